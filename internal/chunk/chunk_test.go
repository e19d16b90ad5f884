package chunk

import (
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// marked finds the headings of a text whose heading lines begin with #.
func marked(s string) rag.Extracted {
	x := rag.Extracted{Text: s}
	at := 0
	for line := range strings.Lines(s) {
		bare := strings.TrimRight(line, "\n")
		if name := strings.TrimLeft(bare, "#"); name != bare {
			x.Headings = append(x.Headings, rag.Heading{Level: len(bare) - len(name), Text: strings.TrimSpace(name), Span: rag.Span{Start: at, End: at + len(bare)}})
		}
		at += len(line)
	}
	return x
}

func cut(size, overlap int, x rag.Extracted) []string {
	var out []string
	for _, p := range New(size, overlap).Cut(x) {
		out = append(out, p.Heading+": "+strings.ReplaceAll(p.Text, "\n", "/"))
	}
	return out
}

func TestCutsFallWhereReadersWouldCut(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("Word and word again. ", 4)) // 83 characters
	for name, c := range map[string]struct {
		size, overlap int
		text          string
		want          []string
	}{
		"white space alone gives nothing": {100, 0, " \n\n\t ", nil},
		"sections stay apart": {100, 0, "# A\n\n" + long + "\n\n# B\n\n" + long,
			[]string{"A: # A//" + long, "B: # B//" + long}},
		"tiny sections are joined, under the first heading":       {100, 0, "## A\n\nOne.\n\n## B\n\nTwo.", []string{"A: ## A//One.//## B//Two."}},
		"a bare heading goes with what follows, whose path it is": {100, 0, "# A\n\n## B\n\n" + long, []string{"A > B: # A//## B//" + long}},
		"inner headings part passages only where they must":       {100, 0, "# A\n\nOne.\n\n### B\n\nTwo.", []string{"A: # A//One.//### B//Two."}},
		"a cut prefers the end of a paragraph": {59, 0, "First one is here. Second one.\n\nThird one is here too, long.\n\nFourth.",
			[]string{": First one is here. Second one.", ": Third one is here too, long.//Fourth."}},
		"code that fits is kept whole": {40, 0, "Some words to begin with.\n\n```\na. B\n\nc. D e f g h\n```\n\nEnd.",
			[]string{": Some words to begin with.", ": ```/a. B//c. D e f g h/```//End."}},
		"a table is cut between rows": {24, 0, "| a | b |\n| c | d |\n| e | f |", []string{": | a | b |/| c | d |", ": | e | f |"}},
		"neighbours share whole sentences": {40, 16, "One two three. Four five. Six seven. Eight nine ten. Eleven.",
			[]string{": One two three. Four five. Six seven.", ": Six seven. Eight nine ten. Eleven."}},
		"an endless word is cut, no other": {10, 0, "ab abcdefghijklmnop cd", []string{": ab", ": abcdefghij", ": klmnop cd"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := cut(c.size, c.overlap, marked(c.text))
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestAPassageKnowsThePageOfItsFirstByte(t *testing.T) {
	x := rag.Extracted{Text: "First page.\n\nSecond page.\n\nThird page.", Pages: []int{0, 13, 27}}
	var pages []int
	for _, p := range New(15, 0).Cut(x) {
		pages = append(pages, p.Page)
	}
	if len(pages) != 3 || pages[0] != 1 || pages[1] != 2 || pages[2] != 3 {
		t.Errorf("pages %v", pages)
	}
	if p := New(15, 0).Cut(rag.Extracted{Text: "No pages."}); p[0].Page != 0 {
		t.Errorf("page %d in a text without pages", p[0].Page)
	}
}

func TestAShortPassageIsInTheDocumentsLanguage(t *testing.T) {
	vietnamese := "Hà Nội là thủ đô của nước Việt Nam và là một trong những thành phố lớn nhất."
	passages := New(90, 0).Cut(marked("# A\n\n" + vietnamese + "\n\n# B\n\n2024: 17 %, 2025: 19 %, 2026: 20 %, 2027: 25 %"))
	if len(passages) != 2 || passages[1].Language != "vi" {
		t.Errorf("%+v", passages)
	}
}

func TestTheRecipeTellsSizesApart(t *testing.T) {
	again := New(800, 100)
	if New(800, 100).Recipe() == New(800, 0).Recipe() || New(800, 100).Recipe() != again.Recipe() {
		t.Error(New(800, 100).Recipe())
	}
}

func BenchmarkCut(b *testing.B) {
	s := strings.Repeat("The quick brown fox jumps over the lazy dog. It was not amused by that at all!\n\n", 5000)
	x := rag.Extracted{Text: s}
	c := New(800, 120)
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		c.Cut(x)
	}
}

func TestPassagesHaveNoMoreTokensThanTheEmbedderTakes(t *testing.T) {
	// Every character of these scripts is a token, a word of the others is one.
	count := func(text string) int {
		n := len(strings.Fields(text))
		for _, r := range text {
			if r > 0x2E80 {
				n++
			}
		}
		return n
	}
	dense := strings.Repeat("面包为什么会发起来。酵母放出气体,使面团里充满气泡。", 100)
	plain := strings.Repeat("Yeast gives off gas that fills the dough with bubbles. ", 100)
	bounded := New(800, 120).Bounded(200, count)
	for name, text := range map[string]string{"dense": dense, "plain": plain} {
		passages := bounded.Cut(rag.Extracted{Text: text})
		for _, p := range passages {
			if n := count(p.Text); n > 200 {
				t.Errorf("%s: a passage has %d tokens", name, n)
			}
		}
		if same := len(passages) == len(New(800, 120).Cut(rag.Extracted{Text: text})); same != (name == "plain") {
			t.Errorf("%s: %d passages, as many as without the bound: %t", name, len(passages), same)
		}
	}
	if bounded.Recipe() != New(800, 120).Recipe() {
		t.Error("another embedder would cut every document again")
	}
}
