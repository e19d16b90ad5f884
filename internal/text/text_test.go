package text

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestWordsAreFoldedRunsOfLettersAndDigits(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"Hello, World! 3.14":      "hello|world|3|14",
		"Đà Nẵng ở đâu?":          "đà|nẵng|ở|đâu",
		"CIRCUIT_BREAKER_TIMEOUT": "circuit|breaker|timeout|circuit_breaker_timeout",
		"_private snake_ __":      "private|snake",
		"東京都は日本":                  "東京|京都|都は|は日|日本",
		"猫 a":                     "猫|a",
		"한국어":                     "한국|국어",
		"コーヒー":                    "コー|ーヒ|ヒー",
		"soft\u00adhyphen":        "softhyphen",
		"ΟΔΥΣΣΕΥΣ":                "οδυσσευσ",
		"Οδυσσεύς":                "οδυσσεύσ",
		"GPT4東京":                  "gpt4|東京",
	} {
		if got := strings.Join(AppendWords(nil, text), "|"); got != want {
			t.Errorf("AppendWords(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestTheWordsOfNFDTextAreThoseOfItsNFCForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.RuneFrom([]rune("abcXYZ _-1éèệÀắữĐđ́̂̃가각がガ你ñç\u00ad"))).Draw(t, "s")
		if a, b := AppendWords(nil, norm.NFD.String(s)), AppendWords(nil, norm.NFC.String(s)); !slices.Equal(a, b) {
			t.Fatalf("NFD %q, NFC %q", a, b)
		}
	})
}

func TestStemsAreThoseOfThePaper(t *testing.T) {
	for word, want := range map[string]string{
		"caresses": "caress", "ponies": "poni", "ties": "ti", "caress": "caress", "cats": "cat", "feed": "feed", "agreed": "agre",
		"plastered": "plaster", "bled": "bled", "motoring": "motor", "sing": "sing", "conflated": "conflat", "troubled": "troubl",
		"sized": "size", "hopping": "hop", "tanned": "tan", "falling": "fall", "hissing": "hiss", "fizzed": "fizz", "failing": "fail",
		"filing": "file", "happy": "happi", "sky": "sky", "relational": "relat", "conditional": "condit", "rational": "ration",
		"valenci": "valenc", "digitizer": "digit", "radicalli": "radic", "vietnamization": "vietnam", "predication": "predic",
		"operator": "oper", "feudalism": "feudal", "decisiveness": "decis", "hopefulness": "hope", "callousness": "callous",
		"formaliti": "formal", "sensitiviti": "sensit", "sensibiliti": "sensibl", "triplicate": "triplic", "formative": "form",
		"formalize": "formal", "electrical": "electr", "goodness": "good", "revival": "reviv", "allowance": "allow",
		"inference": "infer", "airliner": "airlin", "adjustable": "adjust", "defensible": "defens", "irritant": "irrit",
		"replacement": "replac", "adjustment": "adjust", "dependent": "depend", "adoption": "adopt", "communism": "commun",
		"activate": "activ", "homologous": "homolog", "effective": "effect", "bowdlerize": "bowdler", "probate": "probat",
		"rate": "rate", "cease": "ceas", "controll": "control", "roll": "roll", "is": "is", "generalizations": "gener",
		"oscillators": "oscil", "analogies": "analog", "possibly": "possibl", "geology": "geologi", "archaeology": "archaeolog", "2000s": "2000",
	} {
		if got := Stem(word); got != want {
			t.Errorf("Stem(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestUnaccentDropsMarksOnlyWhereTheyMayBeLeftOut(t *testing.T) {
	for word, want := range map[string]string{
		"nẵng": "nang", "đà": "da", "được": "duoc", "façade": "facade", "straße": "strasse", "łódź": "lodz", "ørsted": "orsted",
		"ёлка": "елка", "ελλάδα": "ελλαδα", "plain": "plain", "हिन्दी": "हिन्दी", "が": "が", "ไทยที่": "ไทยที่", "한국": "한국",
	} {
		if got := Unaccent(norm.NFC.String(word)); got != norm.NFC.String(want) {
			t.Errorf("Unaccent(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestSentencesEndWhereReadersSeeThemEnd(t *testing.T) {
	for text, want := range map[string]string{
		"One. Two! Three?":                        "One.|Two!|Three?",
		"Dr. Smith paid 3.50 e.g. for tea. He":    "Dr. Smith paid 3.50 e.g. for tea.|He",
		"J. R. R. Tolkien wrote. \"Good.\" Yes":   "J. R. R. Tolkien wrote.|\"Good.\"|Yes",
		"東京です。大阪です！「はい。」終":                        "東京です。|大阪です！|「はい。」|終",
		"A line\nbroken here.\n\nNew paragraph":   "A line\nbroken here.|New paragraph",
		"List:\n- one\n- two\n1. three\n2. four":  "List:|- one|- two|1. three|2. four",
		"See v1.2.3 at example.com/a.b now. Then": "See v1.2.3 at example.com/a.b now.|Then",
		"Xin chào. TP. Hồ Chí Minh rất đông.  ":   "Xin chào.|TP. Hồ Chí Minh rất đông.",
		"   \n ": "",
	} {
		var got []string
		for r := range Sentences(text) {
			got = append(got, text[r[0]:r[1]])
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("Sentences(%q) = %q, want %q", text, s, want)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("Hello, wörld! 東京 a_b")
	f.Add("\xff\xfe_\x00")
	f.Fuzz(func(t *testing.T, s string) {
		for _, word := range AppendWords(nil, s) {
			if word == "" || utf8.ValidString(s) && !utf8.ValidString(word) {
				t.Fatalf("bad word %q", word)
			}
			Stem(word)
			Unaccent(word)
		}
		Language(s)
	})
}

func FuzzSentencesCoverAllThatIsNotSpace(f *testing.F) {
	f.Add("One. Two!\n\n- x")
	f.Fuzz(func(t *testing.T, s string) {
		at := 0
		for r := range Sentences(s) {
			if r[0] < at || r[1] <= r[0] || r[1] > len(s) || strings.TrimSpace(s[at:r[0]]) != "" {
				t.Fatalf("range %v after %d in %q", r, at, s)
			}
			at = r[1]
		}
		if strings.TrimSpace(s[at:]) != "" {
			t.Fatalf("left out %q", s[at:])
		}
	})
}

func BenchmarkAppendWords(b *testing.B) {
	for name, text := range map[string]string{
		"english":    strings.Repeat("The quick brown fox jumps over the lazy dog, again. ", 40),
		"vietnamese": strings.Repeat("Mọi người sinh ra đều được tự do và bình đẳng. ", 40),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			var words []string
			for b.Loop() {
				words = AppendWords(words[:0], text)
			}
		})
	}
}
