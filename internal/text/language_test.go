package text

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestLanguageIsToldByScriptLettersAndCommonWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      Unknown,
		"42":                                    Unknown,
		"hello":                                 Unknown,
		"docker compose up":                     Unknown,
		"GET /api/query":                        Unknown,
		"What is the capital of France?":        "en",
		"The timeout is set by the server":      "en",
		"Quelle est la capitale de la France ?": "fr",
		"Wie hoch ist der Berg und wo ist er?":  "de",
		"¿Cuál es la capital de España?":        "es",
		"Qual é a capital do Brasil e onde está?":                    "pt",
		"Qual è la capitale della Francia?":                          "it",
		"Wat is de hoofdstad van het land?":                          "nl",
		"Jaka jest stolica i co to jest?":                            "pl",
		"Vad är det som är på bordet och när?":                       "sv",
		"Türkiye için en çok bilinen şehir ve bu":                    "tr",
		"Siapa yang menulis buku ini dan untuk apa?":                 "id",
		"Đà Nẵng ở đâu?":                                             "vi",
		"Thủ đô của Việt Nam là gì?":                                 "vi",
		"东京在哪里?":                                                     "zh",
		"東京はどこですか":                                                   "ja",
		"서울은 어디에 있습니까":                                               "ko",
		"Где находится Москва?":                                      "ru",
		"Де знаходиться Київ і що це?":                               "uk",
		"ما هي عاصمة مصر؟":                                           "ar",
		"מהי בירת ישראל?":                                            "he",
		"Ποια είναι η πρωτεύουσα;":                                   "el",
		"เมืองหลวงของไทยคืออะไร":                                     "th",
		"भारत की राजधानी क्या है?":                                   "hi",
		"The city of Đà Nẵng is on the coast and is one of the best": "en",
	} {
		if got := Language(text); got != want {
			t.Errorf("Language(%q) = %q, want %q", text, got, want)
		}
	}
}

func evalData(t *testing.T) string {
	dir := os.Getenv("OLLAMA_RAG_EVAL_DATA")
	if dir == "" {
		t.Skip("OLLAMA_RAG_EVAL_DATA is not set: it names the folder of evaluation data")
	}
	return dir
}

func TestLanguagesOfTheUniversalDeclarationOfHumanRights(t *testing.T) {
	dir := filepath.Join(evalData(t), "ingest-docs", "text-utf8")
	for name, want := range map[string]string{"arb": "ar", "cmn_hant": "zh", "ell_polytonic": "el", "heb": "he", "jpn": "ja", "rus": "ru", "vie": "vi"} {
		data, err := os.ReadFile(filepath.Join(dir, "udhr-"+name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if got := Language(string(data)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestLanguagesOfXquadParagraphsAndQuestions(t *testing.T) {
	dir := filepath.Join(evalData(t), "xquad")
	for _, c := range []struct {
		language, file string
		least          float64 // share that must be told right
	}{{"en", "corpus.jsonl", 0.99}, {"vi", "corpus.jsonl", 0.99}, {"en", "queries.jsonl", 0.85}, {"vi", "queries.jsonl", 0.95}} {
		right, wrong, all := 0, 0, 0
		f, err := os.Open(filepath.Join(dir, c.language, c.file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var row struct{ Text string }
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				t.Fatal(err)
			}
			all++
			switch got := Language(row.Text); got {
			case c.language:
				right++
			case Unknown:
			default:
				t.Logf("%s: %q", got, row.Text)
				wrong++
			}
		}
		t.Logf("%s/%s: %d of %d right, %d wrong", c.language, c.file, right, all, wrong)
		if float64(right) < c.least*float64(all) || wrong*100 > all {
			t.Errorf("%s/%s: %d of %d right, %d wrong", c.language, c.file, right, all, wrong)
		}
	}
}
