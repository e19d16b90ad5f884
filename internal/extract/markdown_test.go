package extract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// outlineOf is the levels, texts and lines of headings.
func outlineOf(x rag.Extracted) string {
	var b strings.Builder
	for _, h := range x.Headings {
		fmt.Fprintf(&b, "%d %s [%s]\n", h.Level, h.Text, x.Text[h.Span.Start:h.Span.End])
	}
	return b.String()
}

func TestHeadingsOfMarkdownAreThoseThatAParserSees(t *testing.T) {
	source := "# One *two* `three` #\n\ntext\n\n```sh\n# no heading\n```\n\n    # code\n\nUnder\n-----\n\nOver [link](http://x) {/*id*/}\n===\n\n- # in a list\n\n####### seven\n\n## Last"
	x, err := read(t, "a.md", []byte(source))
	if err != nil || x.Text != source {
		t.Fatalf("%q, %v", x.Text, err)
	}
	want := "1 One two three [# One *two* `three` #]\n2 Under [Under\n-----]\n1 Over link [Over [link](http://x) {/*id*/}\n===]\n2 Last [## Last]\n"
	if got := outlineOf(x); got != want || x.Title != "One two three" {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestFrontMatterGivesTitleAndDescription(t *testing.T) {
	for in, want := range map[string][2]string{
		"---\ntitle: \"Set up\"\ndescription: How to.\nid: 1\n---\n\n# H\n": {"Set up", "How to.\n\n# H\n"},
		"---\r\ntitle: Tệp\r\n---\r\nText":                                  {"Tệp", "Text"},
		"---\ntitle: |\n  x\n---\n# H":                                      {"H", "# H"},
		"---\n\nA rule above. Note: this.\n\n---\n":                         {"", "---\n\nA rule above. Note: this.\n\n---\n"},
		"---\ntitle: never ends\n":                                          {"", "---\ntitle: never ends\n"},
	} {
		if x, err := read(t, "a.md", []byte(in)); err != nil || x.Title != want[0] || x.Text != want[1] {
			t.Errorf("%q: title %q, text %q, %v", in, x.Title, x.Text, err)
		}
	}
}

func TestMDXLosesItsProgramAndNotItsCode(t *testing.T) {
	in := "import A from 'a'\nexport const b = {\n  c: 1,\n}\n\n# H\n\n<Note kind=\"x\">\nKeep a < b.\n</Note>\n\n```js\nimport x from 'y'\n<Tag>\n```\n{/* gone */}\nEnd"
	want := "\n# H\n\nKeep a < b.\n\n```js\nimport x from 'y'\n<Tag>\n```\nEnd"
	if x, err := read(t, "a.mdx", []byte(in)); err != nil || x.Text != want || outlineOf(x) != "1 H [# H]\n" {
		t.Errorf("%q, %v", x.Text, err)
	}
}

func TestMarkdownNestedWithoutEndDoesNoHarm(t *testing.T) {
	for _, in := range []string{strings.Repeat(">", 1<<20) + " a", strings.Repeat("- ", 1<<19) + "a", strings.Repeat("[", 1<<20), strings.Repeat("`", 1<<20), strings.Repeat("\n", 1<<20)} {
		if _, err := read(t, "a.md", []byte(in)); err != nil {
			t.Error(err)
		}
	}
}

func FuzzMarkdown(f *testing.F) {
	f.Add([]byte("---\ntitle: a\n---\n# b\nc\n==\n"), false)
	f.Add([]byte("import a\n\n<A>\n{/* b */}\n```\n# c\n"), true)
	f.Add([]byte("> # a\n\n#\t\n##\n"), true)
	e := New(Config{})
	f.Fuzz(func(t *testing.T, data []byte, mdx bool) {
		name := "a.md"
		if mdx {
			name = "a.mdx"
		}
		x, err := e.Extract(t.Context(), name, data)
		checkOutcome(t, x, err)
	})
}
