package observe

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// The types below are the part of Grafana's dashboard schema (version 1, as Grafana 10 to 13 import it) that is used here.
// scripts/dashboard-types.sh checks the result against Grafana's own types.

const (
	schemaVersion = 39
	columns       = 24
	refresh       = "30s"
	shownAtFirst  = "now-1h"
	markStep      = "15s" // Grafana's own is a minute: what opens and closes within one would not be seen
)

type grafanaDashboard struct {
	UID           string            `json:"uid"`
	Title         string            `json:"title"`
	Description   string            `json:"description"`
	Tags          []string          `json:"tags"`
	Editable      bool              `json:"editable"`
	GraphTooltip  int               `json:"graphTooltip"`
	Refresh       string            `json:"refresh"`
	SchemaVersion int               `json:"schemaVersion"`
	Time          grafanaTime       `json:"time"`
	Timezone      string            `json:"timezone"`
	Templating    grafanaTemplating `json:"templating"`
	Annotations   grafanaMarks      `json:"annotations"`
	Panels        []*grafanaPanel   `json:"panels"`
}

type grafanaTime struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type grafanaTemplating struct {
	List []grafanaVariable `json:"list"`
}

type grafanaMarks struct {
	List []grafanaMark `json:"list"`
}

type grafanaSource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type grafanaVariable struct {
	Name        string         `json:"name"`
	Label       string         `json:"label"`
	Description string         `json:"description"`
	Type        string         `json:"type"`
	Query       string         `json:"query"`
	Source      *grafanaSource `json:"datasource,omitempty"`
	Regex       string         `json:"regex,omitempty"`
	Refresh     int            `json:"refresh,omitempty"`
	Sort        int            `json:"sort,omitempty"`
	Multi       bool           `json:"multi,omitempty"`
	IncludeAll  bool           `json:"includeAll,omitempty"`
	AllValue    string         `json:"allValue,omitempty"`
	Current     *grafanaChoice `json:"current,omitempty"`
}

type grafanaChoice struct {
	Text  []string `json:"text"`
	Value []string `json:"value"`
}

type grafanaMark struct {
	Name            string        `json:"name"`
	Source          grafanaSource `json:"datasource"`
	Enable          bool          `json:"enable"`
	IconColor       string        `json:"iconColor"`
	Expr            string        `json:"expr"`
	TitleFormat     string        `json:"titleFormat"`
	Step            string        `json:"step"`
	UseValueForTime bool          `json:"useValueForTime"`
}

// grafanaPanel is a panel, or a row.
type grafanaPanel struct {
	ID              int                     `json:"id"`
	Type            string                  `json:"type"`
	Title           string                  `json:"title"`
	Description     string                  `json:"description,omitempty"`
	GridPos         grafanaPos              `json:"gridPos"`
	Source          *grafanaSource          `json:"datasource,omitempty"`
	Targets         []grafanaTarget         `json:"targets,omitempty"`
	Transformations []grafanaTransformation `json:"transformations,omitempty"`
	FieldConfig     *grafanaFields          `json:"fieldConfig,omitempty"`
	Options         map[string]any          `json:"options,omitempty"`
	Collapsed       *bool                   `json:"collapsed,omitempty"` // of rows
	Panels          *[]*grafanaPanel        `json:"panels,omitempty"`    // of rows that are collapsed
}

type grafanaPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type grafanaTarget struct {
	RefID        string        `json:"refId"`
	Source       grafanaSource `json:"datasource"`
	Expr         string        `json:"expr"`
	LegendFormat string        `json:"legendFormat,omitempty"`
	Format       string        `json:"format"`
	Instant      bool          `json:"instant"`
	Range        bool          `json:"range"`
	EditorMode   string        `json:"editorMode"`
}

type grafanaTransformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}

type grafanaFields struct {
	Defaults  grafanaField      `json:"defaults"`
	Overrides []grafanaOverride `json:"overrides"`
}

type grafanaField struct {
	Unit       string             `json:"unit,omitempty"`
	Min        *float64           `json:"min,omitempty"`
	NoValue    string             `json:"noValue,omitempty"`
	Color      *grafanaColor      `json:"color,omitempty"`
	Thresholds *grafanaThresholds `json:"thresholds,omitempty"`
	Mappings   []grafanaMapping   `json:"mappings,omitempty"`
	Custom     map[string]any     `json:"custom,omitempty"`
}

type grafanaColor struct {
	Mode       string `json:"mode"`
	FixedColor string `json:"fixedColor,omitempty"`
}

type grafanaThresholds struct {
	Mode  string        `json:"mode"`
	Steps []grafanaStep `json:"steps"`
}

type grafanaStep struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"` // null in the first
}

type grafanaMapping struct {
	Type    string                   `json:"type"`
	Options map[string]grafanaMapped `json:"options"`
}

type grafanaMapped struct {
	Text  string `json:"text"`
	Color string `json:"color"`
	Index int    `json:"index"`
}

type grafanaOverride struct {
	Matcher    grafanaMatcher    `json:"matcher"`
	Properties []grafanaProperty `json:"properties"`
}

type grafanaMatcher struct {
	ID      string `json:"id"`
	Options string `json:"options"`
}

type grafanaProperty struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

var source = grafanaSource{"prometheus", "${datasource}"}

// dashboardJSON is the file that is imported into Grafana.
func dashboardJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(Dashboard().grafana())
	return b.Bytes(), err
}

func (b *Board) grafana() grafanaDashboard {
	d := grafanaDashboard{
		UID: b.UID, Title: b.Title, Description: b.Description, Tags: []string{"ollama", "rag", "llm"}, Editable: true, GraphTooltip: 1,
		Refresh: refresh, SchemaVersion: schemaVersion, Time: grafanaTime{shownAtFirst, "now"}, Timezone: "browser", Panels: b.panels(),
	}
	d.Templating.List = []grafanaVariable{{Name: "datasource", Label: "Prometheus", Description: "Where the figures are kept.", Type: "datasource", Query: "prometheus"}}
	for _, v := range b.Variables {
		d.Templating.List = append(d.Templating.List, grafanaVariable{
			Name: v.Name, Label: v.Label, Description: v.Description, Type: "query", Query: v.Query, Source: &source, Regex: v.Regex,
			Refresh: 2, Sort: 1, Multi: true, IncludeAll: true, AllValue: v.All, Current: &grafanaChoice{[]string{"All"}, []string{"$__all"}},
		})
	}
	for _, m := range b.Marks {
		d.Annotations.List = append(d.Annotations.List, grafanaMark{
			Name: m.Name, Source: source, Enable: true, IconColor: m.Color, Expr: m.Expr, TitleFormat: m.Text, Step: markStep, UseValueForTime: true,
		})
	}
	return d
}

// panels lays the rows out below each other, and the panels of a row from left to right as they fit.
func (b *Board) panels() []*grafanaPanel {
	var all []*grafanaPanel
	y := 0
	for i, r := range b.Rows {
		id := PanelID(i, -1)
		closed := !r.Open
		row := &grafanaPanel{ID: id, Type: "row", Title: r.Title, GridPos: grafanaPos{1, columns, 0, y}, Collapsed: &closed, Panels: &[]*grafanaPanel{}}
		all = append(all, row)
		y++
		var panels []*grafanaPanel
		for j, at := range r.Layout() {
			panels = append(panels, r.Panels[j].grafana(PanelID(i, j), grafanaPos{at.H, at.W, at.X, y + at.Y}))
		}
		if closed {
			row.Panels = &panels
			continue
		}
		for _, p := range panels {
			y = max(y, p.GridPos.Y+p.GridPos.H)
		}
		all = append(all, panels...)
	}
	return all
}

// PanelID is the number of a panel in Grafana's addresses, by the positions of its row and of itself in the row.
func PanelID(row, panel int) int { return 100*(row+1) + panel + 1 }

// Place is where a panel lies in its row, in Grafana's units.
type Place struct{ X, Y, W, H int }

// Layout places the panels of a row.
func (r *Row) Layout() []Place {
	var all []Place
	x, y, height := 0, 0, 0
	for _, p := range r.Panels {
		at := Place{W: p.Width, H: p.Height}
		if at.W == 0 {
			at.W = columns / 3
		}
		if at.H == 0 {
			at.H = 8
		}
		if x+at.W > columns {
			x, y, height = 0, y+height, 0
		}
		at.X, at.Y = x, y
		x, height = x+at.W, max(height, at.H)
		all = append(all, at)
	}
	return all
}

func (p *Panel) grafana(id int, at grafanaPos) *grafanaPanel {
	g := &grafanaPanel{
		ID: id, Type: string(p.Kind), Title: p.Title, Description: p.Description, GridPos: at, Source: &source, Options: p.options(),
		FieldConfig: &grafanaFields{Defaults: p.field(), Overrides: []grafanaOverride{}},
	}
	format := map[Kind]string{Table: "table", Heatmap: "heatmap"}[p.Kind]
	if format == "" {
		format = "time_series"
	}
	for i, q := range p.Queries {
		t := grafanaTarget{RefID: refID(i), Source: source, Expr: q.Expr, Format: format, Instant: p.Instant(), Range: !p.Instant(), EditorMode: "code"}
		if p.Kind != Table {
			t.LegendFormat = q.Legend
		}
		g.Targets = append(g.Targets, t)
	}
	for _, c := range p.Paint {
		g.FieldConfig.Overrides = append(g.FieldConfig.Overrides, grafanaOverride{
			grafanaMatcher{"byRegexp", "/^(" + c.Series + ")$/"}, []grafanaProperty{{"color", grafanaColor{"fixed", c.Color}}},
		})
	}
	if p.Kind == Table {
		p.table(g)
	}
	return g
}

// table makes one table of the queries' results, with a column for each.
func (p *Panel) table(g *grafanaPanel) {
	renamed, hidden := map[string]string{}, map[string]bool{"Time": true}
	for i, q := range p.Queries {
		column := "Value #" + refID(i)
		if len(p.Queries) == 1 {
			column = "Value"
		}
		if q.Legend == "" {
			hidden[column] = true
			continue
		}
		renamed[column] = q.Legend
		o := grafanaOverride{grafanaMatcher{"byName", q.Legend}, []grafanaProperty{{"unit", q.Unit}}}
		if len(q.States) > 0 {
			o.Properties = append(o.Properties, grafanaProperty{"mappings", mappings(q.States)},
				grafanaProperty{"custom.cellOptions", map[string]string{"type": "color-text"}})
		}
		g.FieldConfig.Overrides = append(g.FieldConfig.Overrides, o)
	}
	g.Transformations = []grafanaTransformation{
		{"merge", map[string]any{}},
		{"organize", map[string]any{"excludeByName": hidden, "renameByName": renamed, "indexByName": map[string]int{}}},
	}
}

func (p *Panel) field() grafanaField {
	zero := 0.0
	f := grafanaField{Unit: p.Unit, NoValue: p.NoValue, Mappings: mappings(p.States), Color: &grafanaColor{Mode: "thresholds"}}
	steps := p.Steps
	if len(steps) == 0 {
		steps = []Step{{Color: "green"}}
	}
	f.Thresholds = &grafanaThresholds{Mode: "absolute"}
	for i, s := range steps {
		step := grafanaStep{Color: s.Color, Value: &s.From}
		if i == 0 {
			step.Value = nil
		}
		f.Thresholds.Steps = append(f.Thresholds.Steps, step)
	}
	switch p.Kind {
	case Lines:
		f.Color.Mode, f.Min = "palette-classic", &zero
		f.Custom = map[string]any{
			"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": 10, "gradientMode": "none", "showPoints": "never",
			"spanNulls": false, "stacking": map[string]string{"group": "A", "mode": "none"}, "thresholdsStyle": map[string]string{"mode": "off"},
		}
		if p.Stack {
			f.Custom["stacking"], f.Custom["fillOpacity"] = map[string]string{"group": "A", "mode": "normal"}, 50
		}
		if len(p.Steps) > 0 {
			f.Custom["thresholdsStyle"] = map[string]string{"mode": "dashed"}
		}
	case Timeline:
		f.Custom = map[string]any{"fillOpacity": 75, "lineWidth": 0}
	case Bars:
		f.Min = &zero
	case Table:
		f.Custom = map[string]any{"align": "auto", "cellOptions": map[string]string{"type": "auto"}, "inspect": false}
	case Heatmap:
		f.Color, f.Thresholds = nil, nil
		f.Custom = map[string]any{"scaleDistribution": map[string]string{"type": "linear"}}
	}
	return f
}

func mappings(states []State) []grafanaMapping {
	if len(states) == 0 {
		return nil
	}
	m := grafanaMapping{"value", map[string]grafanaMapped{}}
	for i, s := range states {
		m.Options[strconv.Itoa(s.Value)] = grafanaMapped{s.Text, s.Color, i}
	}
	return []grafanaMapping{m}
}

// lastValue reduces a series to what it says now.
var lastValue = map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}

func (p *Panel) options() map[string]any {
	tooltip := map[string]any{"mode": "multi", "sort": "desc"}
	switch p.Kind {
	case Stat:
		graph := "area"
		if p.Instant() || len(p.States) > 0 {
			graph = "none"
		}
		return map[string]any{
			"colorMode": "background", "graphMode": graph, "justifyMode": "center", "orientation": "auto", "percentChangeColorMode": "standard",
			"reduceOptions": lastValue, "showPercentChange": false, "textMode": "auto", "wideLayout": true,
		}
	case Lines:
		legend := map[string]any{"calcs": []string{"lastNotNull", "max"}, "displayMode": "table", "placement": "bottom", "showLegend": true, "sortBy": "Max", "sortDesc": true}
		return map[string]any{"legend": legend, "tooltip": tooltip}
	case Timeline:
		legend := map[string]any{"calcs": []string{}, "displayMode": "list", "placement": "bottom", "showLegend": true}
		return map[string]any{"alignValue": "left", "legend": legend, "mergeValues": true, "rowHeight": .85, "showValue": "auto", "tooltip": tooltip}
	case Bars:
		legend := map[string]any{"calcs": []string{}, "displayMode": "list", "placement": "bottom", "showLegend": false}
		return map[string]any{
			"displayMode": "gradient", "legend": legend, "maxVizHeight": 48, "minVizHeight": 16, "minVizWidth": 8, "namePlacement": "auto", "orientation": "horizontal",
			"reduceOptions": lastValue, "showUnfilled": true, "sizing": "auto", "valueMode": "color",
		}
	case Heatmap:
		return map[string]any{
			"calculate": false, "cellGap": 1, "color": map[string]any{"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "exponent": .5, "reverse": false, "steps": 64},
			"exemplars": map[string]any{"color": "rgba(255,0,255,0.7)"}, "filterValues": map[string]any{"le": 1e-9}, "legend": map[string]any{"show": true},
			"rowsFrame": map[string]any{"layout": "auto"}, "showValue": "never", "tooltip": map[string]any{"mode": "single", "showColorScale": true, "yHistogram": false},
			"yAxis": map[string]any{"axisPlacement": "left", "reverse": false, "unit": p.Unit},
		}
	}
	return map[string]any{"cellHeight": "sm", "frameIndex": 0, "showHeader": true}
}
