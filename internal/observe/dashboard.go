package observe

import (
	"regexp"
	"strings"
)

// Kind is how a panel draws what its queries find. Values are Grafana's own names.
type Kind string

// The kinds of panels.
const (
	Stat     Kind = "stat"           // the value now, with its way here where the query is not of the whole time shown
	Lines    Kind = "timeseries"     // a line a series, or areas on each other
	Timeline Kind = "state-timeline" // a bar a series, in the colour of its state
	Bars     Kind = "bargauge"       // the value now, a bar a series
	Heatmap  Kind = "heatmap"        // a histogram over time; the series are its buckets
	Table    Kind = "table"          // a row a label set, a column a query
)

// Query is one PromQL expression of a panel. `job` and `instance`, and `model` where a family has it, are added to every selector:
// see filtered.
type Query struct {
	Expr   string
	Legend string  // name of the series, with {{label}}; name of the column in a table
	Unit   string  // of the column in a table
	States []State // of the column in a table
}

// Step is the colour of values from From on. The first step's From does not count.
type Step struct {
	From  float64
	Color string
}

// State is what a value means.
type State struct {
	Value int
	Text  string
	Color string
}

// Paint gives the series whose name matches a colour that says what they are.
type Paint struct {
	Series string // regular expression of the whole name
	Color  string
}

// Panel is one picture. A panel without a Width is 8 of the 24 columns wide, one without a Height 8 units high.
type Panel struct {
	Title       string
	Description string // what it says, and what to do where it looks bad
	Kind        Kind
	Unit        string // Grafana's id, such as s, bytes, percentunit, reqps
	Queries     []Query
	Stack       bool    // series on each other
	Steps       []Step  // colours of values; limits in Lines
	States      []State // what values mean
	Paint       []Paint
	NoValue     string // what a Stat says where nothing is found
	Width       int
	Height      int
}

// Row is a group of panels. One that is not Open shows its title until it is asked for.
type Row struct {
	Title  string
	Open   bool
	Panels []Panel
}

// Mark is an annotation: a vertical line in every panel.
type Mark struct {
	Name  string
	Color string
	Expr  string // its values are times of the events, in milliseconds since 1970
	Text  string // with {{label}}
}

// Variable is a choice at the top of the dashboard, over the values of a label.
type Variable struct {
	Name, Label, Description string
	Query                    string // label_values(...)
	Regex                    string
	All                      string // regular expression that stands for all values
}

// Board is a dashboard.
type Board struct {
	UID, Title, Description string
	Variables               []Variable
	Marks                   []Mark
	Rows                    []Row
}

// ours are the families that the server serves, and `up`, which Prometheus makes of each target, with the selector that may follow.
var ours = regexp.MustCompile(`\b((?:ollama_rag|go|process|scrape)_\w+|up\b)(\{[^}]*\})?`)

// perModel are the families with the label model.
var perModel = regexp.MustCompile(`^ollama_rag_(llm|backend_model)_`)

// filtered gives every selector of an expression the dashboard's choice of job, instance and model, so that no panel can show another
// server's figures.
func filtered(expr string) string {
	return ours.ReplaceAllStringFunc(expr, func(selector string) string {
		name, rest, _ := strings.Cut(selector, "{")
		with := `job=~"$job",instance=~"$instance"`
		if perModel.MatchString(name) {
			with += `,model=~"$model"`
		}
		if rest = strings.TrimSuffix(rest, "}"); rest != "" {
			with += "," + rest
		}
		return name + "{" + with + "}"
	})
}

// Fill puts values in the place of an expression's variables, as Grafana does where all is chosen. window and span are $__rate_interval
// and $__range, in Prometheus' form such as 1m.
func (b *Board) Fill(expr, window, span string) string {
	pairs := []string{"$__rate_interval", window, "$__range", span}
	for _, v := range b.Variables {
		pairs = append(pairs, "$"+v.Name, v.All)
	}
	return strings.NewReplacer(pairs...).Replace(expr)
}

// Whole says whether a query is about the whole time shown, and thus asked once, for its end.
func (q *Query) Whole() bool { return strings.Contains(q.Expr, "$__range") }

// Instant says whether a panel shows one moment.
func (p *Panel) Instant() bool {
	return p.Kind == Table || p.Kind == Bars || p.Kind == Stat && p.Queries[0].Whole()
}
