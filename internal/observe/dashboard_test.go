package observe

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	metricName  = regexp.MustCompile(`\b(?:[a-z_]+:)?(?:ollama_rag|go|process|scrape)_[\w:]+|\bup\b`) // recorded ones have a colon
	bound       = regexp.MustCompile(`\b(?:le|quantile)\s*(=|!=|=~|!~)\s*"([^"]*)"`)
	window      = regexp.MustCompile(`\[([^\]]*)\]`)
	familyInDoc = regexp.MustCompile("(?m)^\\| `(ollama_rag_\\w+)` \\| (\\w+) \\|")
)

// families are those of docs/metrics.md, which another test holds to the server: name to type.
func families(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, m := range familyInDoc.FindAllStringSubmatch(string(page), -1) {
		all[m[1]] = m[2]
	}
	if len(all) < 60 {
		t.Fatalf("docs/metrics.md lists %d families only: is its table still one?", len(all))
	}
	return all
}

func TestEveryFamilyIsReadAndNoOtherIs(t *testing.T) {
	known := families(t)
	read := map[string]bool{}
	for _, e := range Expressions() {
		for _, name := range metricName.FindAllString(e.Expr, -1) {
			if !strings.HasPrefix(name, "ollama_rag_") { // recorded, or of others
				continue
			}
			family := name
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				if f, ok := strings.CutSuffix(name, part); ok && known[f] == "histogram" {
					family = f
				}
			}
			read[family] = true
			if known[family] == "" {
				t.Errorf("%s reads %s, which the server does not serve", e.Where, name)
			} else if family == name && known[family] == "histogram" {
				t.Errorf("%s reads the histogram %s without _bucket, _sum or _count", e.Where, name)
			}
		}
	}
	for family := range known {
		if !read[family] {
			t.Errorf("no panel and no rule reads %s", family)
		}
	}
}

func TestEverySelectorFollowsTheDashboardsChoice(t *testing.T) {
	for _, e := range Dashboard().expressions() {
		for _, at := range metricName.FindAllStringIndex(e.Expr, -1) {
			want := `{job=~"$job",instance=~"$instance"`
			if perModel.MatchString(e.Expr[at[0]:at[1]]) {
				want += `,model=~"$model"`
			}
			if !strings.HasPrefix(e.Expr[at[1]:], want) {
				t.Errorf("%s: %s is not followed by %s", e.Where, e.Expr[at[0]:at[1]], want)
			}
		}
		for _, w := range window.FindAllStringSubmatch(e.Expr, -1) {
			if w[1] != "$__rate_interval" && w[1] != "$__range" {
				t.Errorf("%s: [%s] does not follow the time shown", e.Where, w[1])
			}
		}
	}
}

// Prometheus 3 writes le="1" as le="1.0".
func TestBoundsAreFoundHoweverPrometheusWritesThem(t *testing.T) {
	for _, e := range Expressions() {
		for _, m := range bound.FindAllStringSubmatch(e.Expr, -1) {
			re, err := regexp.Compile("^(?:" + strings.ReplaceAll(m[2], `\\`, `\`) + ")$")
			if err != nil {
				t.Errorf("%s: %v", e.Where, err)
				continue
			}
			whole, isWhole := strings.CutSuffix(m[2], `(\\.0)?`)
			if !isWhole && regexp.MustCompile(`^\d+(\.0)?$`).MatchString(m[2]) || isWhole && (m[1] != "=~" || !re.MatchString(whole) || !re.MatchString(whole+".0")) {
				t.Errorf(`%s: %s must be =~"N(\\.0)?"`, e.Where, m[0])
			}
		}
	}
}

func TestEveryPanelSaysWhatItIs(t *testing.T) {
	rows := []string{"Status", "Users", "Model", "Resilience", "Pool and queue", "Cache", "Retrieval and ingest", "Hosts", "Process"}
	b := Dashboard()
	var got []string
	for _, r := range b.Rows {
		got = append(got, r.Title)
		titles := map[string]bool{}
		for _, p := range r.Panels {
			if len(p.Title) < 4 || len(p.Description) < 8 || !strings.HasSuffix(p.Description, ".") {
				t.Errorf("%s, %s: a title and a sentence that says what it shows", r.Title, p.Title)
			}
			if titles[p.Title] {
				t.Errorf("%s has two panels named %s", r.Title, p.Title)
			}
			titles[p.Title] = true
			if p.Unit == "" && p.Kind != Table && p.Kind != Stat && len(p.States) == 0 {
				t.Errorf("%s, %s has no unit", r.Title, p.Title)
			}
			if len(p.Queries) == 0 || p.Kind == Stat && len(p.Queries) > 1 {
				t.Errorf("%s, %s has %d queries", r.Title, p.Title, len(p.Queries))
			}
			for i, s := range p.Steps {
				if i > 0 && s.From <= p.Steps[i-1].From {
					t.Errorf("%s, %s: thresholds must ascend", r.Title, p.Title)
				}
			}
			for _, c := range p.Paint {
				if _, err := regexp.Compile(c.Series); err != nil {
					t.Errorf("%s, %s: %v", r.Title, p.Title, err)
				}
			}
		}
	}
	if !slices.Equal(got, rows) {
		t.Errorf("rows are %q, want %q", got, rows)
	}
}

func TestPanelsFillTheirRowsAndHaveTheirOwnNumbers(t *testing.T) {
	seen := map[int]bool{}
	var check func(panels []*grafanaPanel)
	check = func(panels []*grafanaPanel) {
		for _, p := range panels {
			if seen[p.ID] {
				t.Errorf("%s: number %d is taken", p.Title, p.ID)
			}
			seen[p.ID] = true
			if p.Panels != nil {
				check(*p.Panels)
			}
		}
	}
	b := Dashboard()
	check(b.grafana().Panels)
	for _, r := range b.Rows {
		width := map[int]int{}
		for _, at := range r.Layout() {
			width[at.Y] += at.W
		}
		for y, w := range width {
			if w != columns {
				t.Errorf("%s: the panels at height %d are %d columns wide, not %d", r.Title, y, w, columns)
			}
		}
	}
}
