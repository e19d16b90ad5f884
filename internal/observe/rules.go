package observe

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	rulesPath    = "deploy/prometheus/rules.yml"
	operatorPath = "deploy/kubernetes/prometheusrule.yaml"

	// runbook is the page that has a section for each alert.
	runbook = "https://github.com/ollama-rag/ollama-rag/blob/main/docs/operations.md"

	// jobs is what $job in an expression stands for: every job of Prometheus that has ollama-rag in its name.
	jobs = `job=~".*ollama-rag.*"`
)

// Severity says who is told of an alert.
type Severity string

// Critical wakes somebody up, since users are harmed now; Warning waits for the morning.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
)

// Group is what Prometheus evaluates in one go: recording rules first, then the alerts that may read them.
type Group struct {
	Name    string
	Records []Record
	Alerts  []Alert
}

// Record is an expression that Prometheus keeps as a series of its own, named level:metric:operation.
type Record struct {
	Name string
	Expr string
}

// Alert is a condition that somebody must act on, with the proof that it is told from its near misses.
type Alert struct {
	Name     string // begins with OllamaRAG; the heading of its section in the runbook
	Severity Severity
	Expr     string
	For      time.Duration // how long it must hold before anybody is told
	Keep     time.Duration // how long it goes on after it last held

	Summary     string // one sentence without figures
	Description string // what is wrong where, with the labels and the value

	Fires []Firing
	Quiet []Quiet // near misses
}

// Series are input: the name of a series with its labels, and its values from 0 on in promtool's short form, one a minute.
// $at stands for the labels of one server.
type Series [][2]string

// Labels are those of a firing alert, but for its name and severity.
type Labels map[string]string

// Firing is a case in which an alert fires.
type Firing struct {
	When        string // what is the case, for readers
	Series      Series
	At          time.Duration
	Not         time.Duration // when the condition holds already, but not for long enough
	Labels      Labels
	Description string // as it is told
}

// Quiet is a case in which an alert does not fire, although it nearly does.
type Quiet struct {
	When   string
	Series Series
	At     time.Duration
}

// Labels of the one server in the cases, and what $at stands for in their series.
const at = `job="ollama-rag",instance="rag:8000"`

func atJob(more ...string) Labels { return labels(append(more, "job", "ollama-rag")) }

func atInstance(more ...string) Labels { return atJob(append(more, "instance", "rag:8000")...) }

func labels(pairs []string) Labels {
	l := Labels{}
	for i := 0; i < len(pairs); i += 2 {
		l[pairs[i]] = pairs[i+1]
	}
	return l
}

// Rules are all groups with expressions as Prometheus reads them.
func Rules() []Group {
	groups := []Group{serverRules(), answerRules(), hostRules(), queueRules(), cacheRules(), ingestRules()}
	for i := range groups {
		for j := range groups[i].Records {
			r := &groups[i].Records[j]
			r.Expr = promql(r.Expr)
		}
		for j := range groups[i].Alerts {
			a := &groups[i].Alerts[j]
			a.Expr = promql(a.Expr)
		}
	}
	return groups
}

// promql takes away the indentation that an expression has in the Go source, which is its first line's, and fills $job in.
func promql(expr string) string {
	lines := strings.Split(strings.TrimRight(strings.Trim(expr, "\n"), "\n\t"), "\n")
	outer := lines[0][:len(lines[0])-len(strings.TrimLeft(lines[0], "\t"))]
	for i := range lines {
		lines[i] = strings.ReplaceAll(strings.TrimPrefix(lines[i], outer), "\t", "  ")
	}
	return strings.ReplaceAll(strings.Join(lines, "\n"), "$job", jobs)
}

// What follows is how Prometheus and promtool read rules and their tests.

type ruleFile struct {
	Groups []ruleGroup `yaml:"groups"`
}

type ruleGroup struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Keep        string            `yaml:"keep_firing_for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations *annotations      `yaml:"annotations,omitempty"`
}

type annotations struct {
	Summary     string `yaml:"summary"`
	Description string `yaml:"description"`
	Runbook     string `yaml:"runbook_url"`
}

type testFile struct {
	Rules []string   `yaml:"rule_files"`
	Every string     `yaml:"evaluation_interval"`
	Tests []ruleTest `yaml:"tests"`
}

type ruleTest struct {
	Name   string      `yaml:"name"`
	Every  string      `yaml:"interval"`
	Series []input     `yaml:"input_series"`
	Alerts []alertTest `yaml:"alert_rule_test"`
}

type input struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type alertTest struct {
	At    string     `yaml:"eval_time"`
	Alert string     `yaml:"alertname"`
	Want  []expected `yaml:"exp_alerts"`
}

type expected struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations annotations       `yaml:"exp_annotations"`
}

func (a *Alert) annotations(description string) annotations {
	return annotations{a.Summary, description, runbook + "#" + strings.ToLower(a.Name)}
}

// rulesFile is rules.yml.
func rulesFile() ([]byte, error) {
	return generated(rulesHead, ruleGroups())
}

const rulesHead = "Recording rules and alerts for ollama-rag. Every job with ollama-rag in its name is watched."

// prometheusRule is the same for the Prometheus operator.
type prometheusRule struct {
	Version  string   `yaml:"apiVersion"`
	Kind     string   `yaml:"kind"`
	Metadata metadata `yaml:"metadata"`
	Spec     ruleFile `yaml:"spec"`
}

type metadata struct {
	Name   string            `yaml:"name"`
	Labels map[string]string `yaml:"labels"`
}

func prometheusRuleFile() ([]byte, error) {
	return generated(rulesHead, prometheusRule{
		Version: "monitoring.coreos.com/v1", Kind: "PrometheusRule",
		Metadata: metadata{Name: "ollama-rag", Labels: map[string]string{"app.kubernetes.io/name": "ollama-rag"}}, Spec: ruleGroups(),
	})
}

func ruleGroups() ruleFile {
	var file ruleFile
	for _, g := range Rules() {
		group := ruleGroup{Name: g.Name}
		for _, r := range g.Records {
			group.Rules = append(group.Rules, rule{Record: r.Name, Expr: r.Expr})
		}
		for _, a := range g.Alerts {
			told := a.annotations(a.Description)
			group.Rules = append(group.Rules, rule{
				Alert: a.Name, Expr: a.Expr, For: span(a.For), Keep: span(a.Keep),
				Labels: map[string]string{"severity": string(a.Severity)}, Annotations: &told,
			})
		}
		file.Groups = append(file.Groups, group)
	}
	return file
}

// ruleTests is a file of cases. The longer they are the more seldom they are evaluated: at one a minute, those of days would take
// minutes.
type ruleTests struct {
	path  string
	every string
	from  time.Duration // cases that are longer than that
	to    time.Duration // and not longer than this
	calm  bool
}

func ruleTestFiles() []ruleTests {
	const hours, days = 70 * time.Minute, 20 * time.Hour
	return []ruleTests{
		{path: "deploy/prometheus/rules_test.yml", every: "1m", to: hours},
		{path: "deploy/prometheus/rules_hours_test.yml", every: "10m", from: hours, to: days, calm: true},
		{path: "deploy/prometheus/rules_days_test.yml", every: "1h", from: days, to: 100 * time.Hour},
	}
}

func (f ruleTests) content() ([]byte, error) {
	file := testFile{Rules: []string{"rules.yml"}, Every: f.every}
	for _, g := range Rules() {
		for _, a := range g.Alerts {
			file.Tests = append(file.Tests, a.tests(func(at time.Duration) bool { return f.from < at && at <= f.to })...)
		}
	}
	if f.calm {
		file.Tests = append(file.Tests, calm()...)
	}
	return generated("Tests of rules.yml: promtool test rules "+f.path, file)
}

func (a *Alert) tests(belongs func(time.Duration) bool) []ruleTest {
	var tests []ruleTest
	for _, c := range a.Fires {
		if belongs(c.At) {
			told := expected{Labels: map[string]string{"severity": string(a.Severity)}, Annotations: a.annotations(c.Description)}
			maps.Copy(told.Labels, c.Labels)
			test := a.test("fires", c.When, c.Series, c.At, []expected{told})
			if c.Not > 0 {
				test.Alerts = append([]alertTest{{At: span(c.Not), Alert: a.Name, Want: []expected{}}}, test.Alerts...)
			}
			tests = append(tests, test)
		}
	}
	for _, c := range a.Quiet {
		if belongs(c.At) {
			tests = append(tests, a.test("is quiet", c.When, c.Series, c.At, []expected{}))
		}
	}
	return tests
}

func (a *Alert) test(does, when string, series Series, moment time.Duration, want []expected) ruleTest {
	return ruleTest{
		Name: a.Name + " " + does + ": " + when, Every: "1m", Series: inputs(series),
		Alerts: []alertTest{{At: span(moment), Alert: a.Name, Want: want}},
	}
}

func inputs(series Series) []input {
	in := make([]input, len(series))
	for i, s := range series {
		in[i] = input{strings.ReplaceAll(s[0], "$at", at), s[1]}
	}
	return in
}

// span is a duration as Prometheus writes it: 90m, not 1h30m0s.
func span(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

func generated(what string, content any) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n# Written by `make observe` from internal/observe, where changes belong.\n", what)
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(content); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
