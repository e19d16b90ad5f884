package worth

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// knows embeds the texts of the languages that it knows by what they mean, and all others alike.
type knows struct {
	languages string
	fail      error
}

func (k knows) Embed(_ context.Context, purpose rag.Purpose, texts []string) ([][]float32, error) {
	var out [][]float32
	for _, text := range texts {
		v := make([]float32, 16)
		v[15] = 1
		for _, p := range probes {
			for i := range p.questions {
				if text != p.questions[i] && text != p.answers[i] {
					continue
				}
				if strings.Contains(k.languages, p.language) {
					v = make([]float32, 16)
					v[i] = 1
				} else if purpose == rag.ForPassage { // the answer of another question is nearer than the own one
					v[14] = float32(i) / 12
				}
			}
		}
		out = append(out, v)
	}
	return out, k.fail
}

func TestAnEmbedderIsWorthSomethingInTheLanguagesItKnowsAlone(t *testing.T) {
	for _, known := range []string{"en", "en vi", "vi de", "en vi de fr es pt ru zh ja ar"} {
		w, err := Measure(t.Context(), knows{languages: known})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range probes {
			if got, want := w.In(p.language) == 1, strings.Contains(known, p.language); got != want {
				t.Errorf("knows %s: worth in %s is %v", known, p.language, w.In(p.language))
			}
		}
		if w.In("unknown") != 1 || w.In("") != 1 {
			t.Errorf("knows %s: a text whose language cannot be told is worth %v", known, w.In("unknown"))
		}
	}
}

func TestOtherLanguagesAreWorthTheMeanOfTheForeignOnes(t *testing.T) {
	for known, want := range map[string]float64{"en": 0, "en vi de fr es pt ru zh ja ar": 1} {
		w, err := Measure(t.Context(), knows{languages: known})
		if err != nil {
			t.Fatal(err)
		}
		if got := w.In("pl"); math.Abs(got-want) > .15 {
			t.Errorf("knows %s: Polish is worth %v, not about %v", known, got, want)
		}
	}
}

func TestAFaultOfTheEmbedderIsAnErrorAndNoWorth(t *testing.T) {
	if w, err := Measure(t.Context(), knows{fail: errors.New("gone")}); err == nil || w != nil {
		t.Errorf("worth %v, error %v", w, err)
	}
}

func TestEveryLanguageHasTheSameProbes(t *testing.T) {
	if len(probes) != 10 {
		t.Fatalf("%d languages", len(probes))
	}
	for _, p := range probes {
		if len(p.questions) != 12 || len(p.answers) != 12 {
			t.Errorf("%s has %d questions and %d answers", p.language, len(p.questions), len(p.answers))
		}
		seen := map[string]bool{}
		for _, text := range append(p.questions, p.answers...) {
			if seen[text] || text == "" {
				t.Errorf("%s: %q comes twice or is empty", p.language, text)
			}
			seen[text] = true
		}
	}
}
