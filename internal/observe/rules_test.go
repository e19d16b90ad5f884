package observe

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func alerts() []Alert {
	var all []Alert
	for _, g := range Rules() {
		all = append(all, g.Alerts...)
	}
	return all
}

func TestEachAlertSaysWhatIsWrongAndIsProved(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range alerts() {
		if !strings.HasPrefix(a.Name, "OllamaRAG") || seen[a.Name] {
			t.Errorf("%s: a name begins with OllamaRAG and is there once", a.Name)
		}
		seen[a.Name] = true
		if a.Severity != Critical && a.Severity != Warning {
			t.Errorf("%s has the severity %q", a.Name, a.Severity)
		}
		if !strings.HasSuffix(a.Summary, ".") || strings.Contains(a.Summary, "{{") || a.Description == "" {
			t.Errorf("%s needs a summary, which is a sentence without figures, and a description", a.Name)
		}
		if len(a.Fires) == 0 || len(a.Quiet) == 0 {
			t.Errorf("%s needs a case in which it fires and one in which it nearly does", a.Name)
		}
		if a.For > 0 && !slices.ContainsFunc(a.Fires, func(c Firing) bool { return c.Not > 0 && c.Not < c.At }) {
			t.Errorf("%s needs a case that says when it has not held for long enough (Not)", a.Name)
		}
	}
}

func TestEachAlertHasItsSectionInTheRunbook(t *testing.T) {
	_, chapter, ok := strings.Cut(readDoc(t, "operations.md"), "\n## Alerts\n")
	if !ok {
		t.Fatal("docs/operations.md has no chapter Alerts")
	}
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	sections := map[string]string{}
	for _, s := range strings.Split(chapter, "\n### ")[1:] {
		name, text, _ := strings.Cut(s, "\n")
		sections[name] = strings.TrimSpace(text)
	}
	for _, a := range alerts() {
		if len(sections[a.Name]) < 100 {
			t.Errorf("docs/operations.md does not say under ### %s what to do", a.Name)
		}
		delete(sections, a.Name)
	}
	for name := range sections {
		t.Errorf("docs/operations.md has a section for %s, which is no alert", name)
	}
}

var (
	quoted  = regexp.MustCompile(`"[^"]*"`)
	series  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\{`)
	records = regexp.MustCompile(`[a-z_]+:[a-z_]+:[a-z0-9_]+`)
	family  = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\w+) \\|")
)

// read are the names of series and of recorded ones in an expression.
func read(expr string) (names, recorded []string) {
	expr = quoted.ReplaceAllString(expr, `""`)
	for _, m := range series.FindAllStringSubmatch(records.ReplaceAllString(expr, "_"), -1) {
		if m[1] != "_" {
			names = append(names, m[1])
		}
	}
	return names, records.FindAllString(expr, -1)
}

func TestExpressionsReadSeriesThatThereAre(t *testing.T) {
	known := map[string]bool{"up": true}
	for _, m := range family.FindAllStringSubmatch(readDoc(t, "metrics.md"), -1) {
		if m[2] == "histogram" {
			known[m[1]+"_bucket"], known[m[1]+"_sum"], known[m[1]+"_count"] = true, true, true
		} else {
			known[m[1]] = true
		}
	}
	if len(known) < 80 {
		t.Fatalf("only %d series were found in docs/metrics.md: the table has another form", len(known))
	}
	calm, kept := map[string]bool{}, map[string]bool{}
	for _, s := range calmSeries() {
		name, _, _ := strings.Cut(s.name, "{")
		calm[name] = true
	}
	check := func(where, expr string) {
		names, recorded := read(expr)
		if len(names)+len(recorded) == 0 {
			t.Errorf("%s reads nothing", where)
		}
		for _, name := range names {
			if !known[name] && !strings.HasPrefix(name, "process_") && !strings.HasPrefix(name, "go_") {
				t.Errorf("%s reads %s, which docs/metrics.md does not have", where, name)
			}
			if !calm[name] {
				t.Errorf("%s reads %s, which the calm servers do not have", where, name)
			}
		}
		for _, name := range recorded {
			if !kept[name] {
				t.Errorf("%s reads %s, which is not recorded before", where, name)
			}
		}
		if strings.Count(expr, jobs) != len(names) {
			t.Errorf("%s does not choose the job of every series", where)
		}
	}
	for _, g := range Rules() {
		for _, r := range g.Records {
			check(r.Name, r.Expr)
			kept[r.Name] = true
		}
		for _, a := range g.Alerts {
			check(a.Name, a.Expr)
		}
	}
}

// The files are those in deploy/, of which another test says that they are what is declared here.
func TestPromtoolFindsRulesSoundAndTheirCasesTrue(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian package prometheus)")
	}
	runs := [][]string{{"check", "rules", "--lint=all", rulesPath}}
	for _, f := range ruleTestFiles() {
		if testing.Short() {
			break // their cases take promtool half a minute
		}
		runs = append(runs, []string{"test", "rules", f.path})
	}
	for _, args := range runs {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			args[len(args)-1] = filepath.Join("..", "..", args[len(args)-1])
			out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "SUCCESS") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
