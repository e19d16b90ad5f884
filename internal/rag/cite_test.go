package rag

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func hit(id int64, text string) Hit {
	return Hit{Passage: Passage{ID: id, Document: 10 + id, Source: "docs/a.txt", Span: Span{100, 100 + len(text)}, Text: text, Hash: "h"}}
}

func numbersOf(cites []Citation) []int {
	var out []int
	for _, c := range cites {
		out = append(out, c.N)
	}
	return out
}

func TestEachPassageIsCitedOnceInOrderAndNoOtherNumberIs(t *testing.T) {
	hits := []Hit{hit(1, "The breaker opens after five failures."), hit(2, "It stays open for thirty seconds."), hit(3, "Probes close it.")}
	for answer, want := range map[string][]int{
		"Five failures open the breaker [1]. It is open thirty seconds [2], as said [2]. No [0] and no [99]. Probes close it [3].": {1, 2, 3},
		"Both hold [1, 2].":        {1, 2},
		"Both hold [2][1].":        {2, 1},
		"Both hold [1; 3].":        {1, 3},
		"The breaker opens. [2]":   {2},
		"First. [2] Second. [1]":   {2, 1},
		"Odd [12345] and [-1] [].": nil,
		"[3]":                      nil, // no claim to hold it against
		"":                         nil,
	} {
		if got := numbersOf(Cite(answer, hits)); !slices.Equal(got, want) {
			t.Errorf("%q: cited %v, want %v", answer, got, want)
		}
	}
}

func TestAMarkerAfterTheStopBelongsToTheSentenceBeforeIt(t *testing.T) {
	hits := []Hit{hit(1, "Cats sleep all day long."), hit(2, "Dogs bark at night.")}
	got := Cite("Cats sleep all day. [1] Dogs bark at night. [2]", hits)
	if len(got) != 2 || got[0].Claim != "Cats sleep all day." || got[1].Claim != "Dogs bark at night." {
		t.Errorf("claims: %+v", got)
	}
}

func TestAMarkerThatBeginsALineBelongsToThatLine(t *testing.T) {
	hits := []Hit{hit(1, "Cats sleep all day long."), hit(2, "Dogs bark at night.")}
	got := Cite("[1] Cats sleep all day.\n[2] Dogs bark at night.", hits)
	if len(got) != 2 || got[1].N != 2 || got[1].Claim != "Dogs bark at night." || got[0].Verdict != Supported || got[1].Verdict != Supported {
		t.Errorf("claims: %+v", got)
	}
	got = Cite("Cats sleep all day.\n[1]", hits)
	if len(got) != 1 || got[0].Claim != "Cats sleep all day." {
		t.Errorf("a line of markers alone: %+v", got)
	}
}

func TestANumberThatThePassageLacksIsUnsupported(t *testing.T) {
	hits := []Hit{hit(1, "The breaker opens after 5 failures and stays open for 1,000 seconds, which is 3.5 units.")}
	for claim, want := range map[string]Verdict{
		"The breaker opens after 5 failures [1].":           Supported,
		"The breaker opens after 6 failures [1].":           Unsupported,
		"The breaker stays open for 1,000 seconds [1].":     Supported,
		"The breaker stays open for 3.5 units, seconds [1]": Supported,
		"The breaker stays open for 3.6 units, seconds [1]": Unsupported,
		"Bananas grow on Jupiter in winter [1].":            Unsupported,
	} {
		got := Cite(claim, hits)
		if len(got) != 1 || got[0].Verdict != want {
			t.Errorf("%q: %+v, want %s", claim, got, want)
		}
	}
}

func TestACitationIsOnlySupportedIfAllOfItsClaimsAre(t *testing.T) {
	hits := []Hit{hit(1, "The breaker opens after 5 failures.")}
	got := Cite("The breaker opens after 5 failures [1]. The breaker opens after 9 failures [1].", hits)
	if len(got) != 1 || got[0].Verdict != Unsupported || !strings.Contains(got[0].Claim, "9") {
		t.Errorf("got %+v", got)
	}
}

func TestAnAnswerWithoutMarkersIsInferredOnlyWhereAPassageCoversIt(t *testing.T) {
	hits := []Hit{hit(1, "Unrelated words about gardens."), hit(2, "The breaker opens after five failures in a row. Then it waits.")}
	got := Cite("The breaker opens after five failures. Nobody knows the weather of tomorrow morning.", hits)
	if len(got) != 1 || got[0].N != 2 || got[0].Verdict != Inferred || got[0].Quote != "The breaker opens after five failures in a row." {
		t.Errorf("got %+v", got)
	}
	if got := Cite("Sure, I can help.", hits); got != nil {
		t.Errorf("small talk was cited: %+v", got)
	}
}

func TestExtractQuotesTheBestSentencesWordForWord(t *testing.T) {
	hits := []Hit{hit(1, "Weather is fine. The breaker opens\tafter five failures. Bye."), hit(2, " \n "), hit(3, strings.Repeat("x", 2*maxQuoteBytes)), hit(4, "Then it waits."), hit(5, "never reached")}
	text, cites := Extract("When does the breaker open after failures?", hits, nil)
	if !slices.Equal(numbersOf(cites), []int{1, 3, 4}) {
		t.Fatalf("cited %v", numbersOf(cites))
	}
	if want := "“The breaker opens after five failures.” [1]"; !strings.HasPrefix(text, want) {
		t.Errorf("text %q", text)
	}
	for _, c := range cites {
		exact(t, c, hits[c.N-1].Passage)
		if c.Verdict != Quoted || len(c.Quote) > maxQuoteBytes {
			t.Errorf("citation %+v", c)
		}
	}
	if text, cites := Extract("anything", nil, nil); text != "" || cites != nil {
		t.Errorf("from nothing: %q %v", text, cites)
	}
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// exact checks that a quote is the very bytes of its passage that its place says.
func exact(t failer, c Citation, p Passage) {
	t.Helper()
	from, to := c.Start-p.Span.Start, c.End-p.Span.Start
	if from < 0 || to < from || to > len(p.Text) || p.Text[from:to] != c.Quote {
		t.Fatalf("quote %q is not bytes %d to %d of %q", c.Quote, from, to, p.Text)
	}
	if c.Passage != p.ID || c.DocumentID != p.Document || c.Hash != p.Hash || c.Source != p.Source {
		t.Fatalf("citation %+v names another passage than %+v", c, p)
	}
}

func checkCitations(t failer, answer string, hits []Hit, cites []Citation) {
	t.Helper()
	seen := map[int]bool{}
	for _, c := range cites {
		if c.N < 1 || c.N > len(hits) || seen[c.N] {
			t.Fatalf("%q cites [%d] of %d passages, or twice", answer, c.N, len(hits))
		}
		seen[c.N] = true
		exact(t, c, hits[c.N-1].Passage)
	}
}

var anyText = rapid.OneOf(rapid.String(), rapid.StringMatching(`([a-c ]{0,12}(\[[0-9]{1,2}(, ?[0-9])?\]|[.!\n。]|é|\xff| )){0,12}`))

func TestQuotesAreExactBytesOfTheirPassageWhateverTheModelWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		answer := anyText.Draw(t, "answer")
		var hits []Hit
		for i, text := range rapid.SliceOfN(anyText, 0, 4).Draw(t, "passages") {
			hits = append(hits, hit(int64(i+1), text))
		}
		checkCitations(t, answer, hits, Cite(answer, hits))
		_, cites := Extract(answer, hits, nil)
		checkCitations(t, answer, hits, cites)
	})
}

func FuzzCite(f *testing.F) {
	f.Add("Five [1]. Thirty [2][99].", "The breaker opens. It waits.", "x\xffy")
	f.Add("[1]\n[1, 2] é。[0]", "", "。。")
	f.Fuzz(func(t *testing.T, answer, first, second string) {
		hits := []Hit{hit(1, first), hit(2, second)}
		checkCitations(t, answer, hits, Cite(answer, hits))
		_, cites := Extract(answer, hits, nil)
		checkCitations(t, answer, hits, cites)
	})
}

func TestExtractSaysNothingTwice(t *testing.T) {
	text := "The rent is due on the third day."
	var hits []Hit
	for i := range 5 {
		p := Passage{ID: int64(i + 1), Text: text, Span: Span{0, len(text)}}
		if i > 2 {
			p.Text = fmt.Sprintf("The rent of house %d is due on the third day.", i)
			p.Span.End = len(p.Text)
		}
		hits = append(hits, Hit{Passage: p})
	}
	answer, cites := Extract("When is the rent due?", hits, nil)
	if strings.Count(answer, text) != 1 || len(cites) != 3 || cites[1].N != 4 {
		t.Errorf("%q with %d citations", answer, len(cites))
	}
}
