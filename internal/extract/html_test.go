package extract

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
)

func TestPagesGiveWhatAReaderSees(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"paragraphs and spaces": {"<p>One\n  <b>two</b>&nbsp;three</p><div>Four<br>five</div>six", "One two three\n\nFour\nfive\n\nsix"},
		"entities":              {"<p>a &lt; b &amp; c &eacute; &#x1F600;", "a < b & c é 😀"},
		"programs are not text": {"<script>x()</script><style>p{}</style><noscript>no</noscript><p>text<!-- c --><template>t</template>", "text"},
		"lists":                 {"<p>Do:</p><ul><li>a<li>b<ol start=3><li>c<li>d</ol><li><p>e</p><p>f</p></ul><p>End", "Do:\n\n- a\n- b\n  3. c\n  4. d\n- e\nf\n\nEnd"},
		"tables":                {"<table><caption>Cap</caption><thead><tr><th>A<th>B</thead><tr><td>1<td><ul><li>x<li>y</ul><tr><td><td></table>after", "Cap\n\nA | B\n1 | x y\n\nafter"},
		"layout tables":         {"<table><tr><td><h2>H</h2><p>a</p><td><table><tr><td>1<td>2</table></table>", "H\n\na\n\n1 | 2"},
		"preformatted":          {"<pre>\n  a\n    b  c\n</pre>", "  a\n    b  c"},
		"definitions":           {"<dl><dt>Word<dd>Meaning<dt>Other<dd>Sense</dl>", "Word\nMeaning\nOther\nSense"},
		"images say nothing":    {"<p>a<img src=x alt='no'>b", "ab"},
		"the main part":         {"<header>Site</header><nav>Menu</nav><main><header><h1>H</h1></header><p>text</p><aside>ad</aside></main><footer>(c)</footer>", "H\n\ntext"},
		"the only article":      {"<nav>Menu</nav><article><p>text</p></article>", "text"},
		"no main part":          {"<header>Head</header><p>text</p><footer>Foot</footer>", "Head\n\ntext\n\nFoot"},
		"an empty main part":    {"<main></main><p>text</p>", "text"},
		"hidden":                {"<p hidden>no</p><p>yes</p>", "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			if x, err := read(t, "a.html", []byte(c.in)); err != nil || x.Text != c.want {
				t.Errorf("got %q, %v; want %q", x.Text, err, c.want)
			}
		})
	}
}

func TestHeadingsAndTitleOfAPage(t *testing.T) {
	x, err := read(t, "a.htm", []byte("<title> The\n title </title><h1>One <em>two</em></h1>a<h3>Three<a href=#x>¶</a></h3>b<h2></h2>"))
	if want := "1 One two [One two]\n3 Three [Three]\n"; err != nil || outlineOf(x) != want || x.Title != "The title" {
		t.Errorf("%q, title %q, %v", outlineOf(x), x.Title, err)
	}
}

func TestAPageIsDecodedByWhatItSays(t *testing.T) {
	russian, _ := charmap.KOI8R.NewEncoder().String("Привет, мир")
	latin, _ := charmap.Windows1252.NewEncoder().String("Größe")
	for name, c := range map[string]struct{ in, want string }{
		"meta":              {`<meta charset="koi8-r"><p>` + russian, "Привет, мир"},
		"XML":               {`<?xml version="1.0" encoding="iso-8859-1"?><html><body><p>` + latin + `</p></body></html>`, "Größe"},
		"UTF-8 in spite of": {`<meta charset="iso-8859-1"><p>Größe`, "Größe"},
		"mark":              {"\xEF\xBB\xBF<p>Größe", "Größe"},
	} {
		if x, err := read(t, "a.html", []byte(c.in)); err != nil || x.Text != c.want || x.Encoding != "" {
			t.Errorf("%s: %q %q, %v", name, x.Text, x.Encoding, err)
		}
	}
}

func TestPagesNestedWithoutEndKeepTheirText(t *testing.T) {
	x, err := read(t, "a.html", []byte(strings.Repeat("<div><span>", 200_000)+"<script>no</script>deep"+"<p>text"))
	if err != nil || !strings.Contains(x.Text, "deep\n\ntext") || strings.Contains(x.Text, "no") {
		t.Errorf("%q, %v", x.Text, err)
	}
}

func FuzzHTML(f *testing.F) {
	f.Add([]byte("<main><h1>a</h1><ul><li>b<table><tr><td>c<pre>d</pre></table></ul></main>"))
	f.Add([]byte("<svg><p><math><mi>x</math><template><select><option>"))
	f.Add([]byte(strings.Repeat("<b>", 600) + "x</script>"))
	e := New(Config{})
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := e.Extract(t.Context(), "a.html", data)
		checkOutcome(t, x, err)
	})
}
