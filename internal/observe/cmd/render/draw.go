package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/observe"
)

// Pixels of one of a dashboard's 24 columns, of a unit of height, and what of a panel is not its picture.
const (
	column, unitHeight = 72, 38
	gap                = 8
	headHeight         = 30
	rowHeight          = 40
	legendLine         = 18
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// palette colours series that have no colour of their own, in Grafana's order.
var palette = []string{"#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#705DA0", "#37872D", "#FADE2A", "#447EBC", "#C15C17", "#6D1F62", "#584477"}

var named = map[string]string{"green": "#73BF69", "red": "#F2495C", "orange": "#FF9830", "yellow": "#FADE2A", "blue": "#5794F2", "purple": "#B877D9"}

func hex(color string) string { return cmp.Or(named[color], color) }

type pageView struct {
	Title, Time string
	Width       int
	Marks       []markView
	Rows        []rowView
}

type markView struct{ Name, Color string }

type rowView struct {
	Title  string
	Height int
	Panels []panelView
}

type panelView struct {
	ID, X, Y, W, H int
	Title          string
	Text           string        // of a stat, or why there is nothing
	Color          string        // behind a stat
	SVG            template.HTML // made here from numbers and escaped names
	Legend         []legendView
	More           int // series that the legend has no room for
	Bars           []barView
	Columns        []string
	Cells          [][]cellView
}

type legendView struct{ Color, Name, Last, Max string }

type barView struct {
	Name, Text, Color string
	Percent           int
}

type cellView struct{ Text, Color string }

// draw makes the page.
func draw(b *observe.Board, found *results) []byte {
	view := pageView{Title: b.Title, Width: 24 * column}
	view.Time = found.from.start.UTC().Format("2006-01-02 15:04:05") + " to " + found.from.end.UTC().Format("15:04:05") + " UTC"
	for _, m := range b.Marks {
		view.Marks = append(view.Marks, markView{m.Name, hex(m.Color)})
	}
	for i, r := range b.Rows {
		row := rowView{Title: r.Title}
		for j, at := range r.Layout() {
			id := observe.PanelID(i, j)
			list, asked := found.panels[id]
			if !asked {
				continue
			}
			v := panelView{ID: id, X: at.X * column, Y: at.Y*unitHeight + rowHeight, W: at.W*column - gap, H: at.H*unitHeight - gap, Title: r.Panels[j].Title}
			v.fill(&r.Panels[j], list, found)
			row.Panels = append(row.Panels, v)
			row.Height = max(row.Height, (at.Y+at.H)*unitHeight+rowHeight)
		}
		if len(row.Panels) > 0 {
			view.Rows = append(view.Rows, row)
		}
	}
	var out bytes.Buffer
	if err := page.Execute(&out, view); err != nil {
		panic(err) // the template and its data are ours
	}
	return out.Bytes()
}

func (v *panelView) fill(p *observe.Panel, list []series, found *results) {
	if len(list) == 0 {
		v.Text, v.Color = cmp.Or(p.NoValue, "No data"), "#222"
		return
	}
	slices.SortStableFunc(list, func(a, b series) int { return cmp.Or(cmp.Compare(a.query, b.query), strings.Compare(a.name, b.name)) })
	switch p.Kind {
	case observe.Stat:
		v.stat(p, &list[0], found)
	case observe.Lines:
		v.lines(p, list, found)
	case observe.Timeline:
		v.timeline(p, list, found)
	case observe.Bars:
		v.bars(p, list)
	case observe.Heatmap:
		v.heatmap(p, list, found)
	case observe.Table:
		v.table(p, list)
	}
}

// state says what a value means; ok is false where it means itself.
func state(states []observe.State, v float64) (s observe.State, ok bool) {
	for _, s := range states {
		if float64(s.Value) == v {
			return s, true
		}
	}
	return s, false
}

// shown writes a value as its state or in its unit, with the colour that goes with it.
func shown(v float64, unit string, states []observe.State, steps []observe.Step) (text, color string) {
	if s, ok := state(states, v); ok {
		return s.Text, hex(s.Color)
	}
	color = "green"
	for i, s := range steps {
		if i == 0 || v >= s.From {
			color = s.Color
		}
	}
	return format(v, unit), hex(color)
}

func (v *panelView) stat(p *observe.Panel, s *series, found *results) {
	v.Text, v.Color = shown(s.last(), p.Unit, p.States, p.Steps)
	if len(s.points) < 2 || len(p.States) > 0 {
		return
	}
	f := frame{w: v.W, h: v.H - headHeight, start: found.start, end: found.end, step: found.step, top: 2 * max(s.max(), 1e-9)}
	v.SVG = f.svg(f.line(s.points, nil, "rgba(255,255,255,.5)", .2))
}

func (v *panelView) bars(p *observe.Panel, list []series) {
	most := 1e-9
	if p.Unit == "percentunit" {
		most = 1
	}
	for _, s := range list {
		most = max(most, s.last())
	}
	for _, s := range list {
		text, color := shown(s.last(), p.Unit, p.States, p.Steps)
		v.Bars = append(v.Bars, barView{s.name, text, color, int(100 * s.last() / most)})
	}
}

// table has a row for each label set and a column for each label and each query with a name.
func (v *panelView) table(p *observe.Panel, list []series) {
	labels, rows := map[string]bool{}, map[string]map[int]float64{}
	sets := map[string]map[string]string{}
	for _, s := range list {
		key := fmt.Sprint(s.labels)
		if rows[key] == nil {
			rows[key], sets[key] = map[int]float64{}, s.labels
		}
		rows[key][s.query] = s.last()
		for name := range s.labels {
			labels[name] = true
		}
	}
	names := slices.Sorted(maps.Keys(labels))
	v.Columns = slices.Clone(names)
	for _, q := range p.Queries {
		if q.Legend != "" {
			v.Columns = append(v.Columns, q.Legend)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		var cells []cellView
		for _, name := range names {
			cells = append(cells, cellView{Text: sets[key][name]})
		}
		for i, q := range p.Queries {
			value, there := rows[key][i]
			switch {
			case q.Legend == "":
			case !there:
				cells = append(cells, cellView{})
			default:
				text, color := shown(value, q.Unit, q.States, nil)
				if len(q.States) == 0 {
					color = ""
				}
				cells = append(cells, cellView{text, color})
			}
		}
		v.Cells = append(v.Cells, cells)
	}
}

// colors gives each series its own: what the panel paints it, else the next of the palette.
func colors(p *observe.Panel, list []series) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = palette[i%len(palette)]
		for _, paint := range p.Paint {
			if regexp.MustCompile("^(?:" + paint.Series + ")$").MatchString(s.name) {
				out[i] = hex(paint.Color) // the last that matches, as in Grafana
			}
		}
	}
	return out
}

func (v *panelView) lines(p *observe.Panel, list []series, found *results) {
	color := colors(p, list)
	order := make([]int, len(list))
	for i := range list {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(list[b].max(), list[a].max()) })
	room := max(1, (v.H-headHeight)/3/legendLine)
	for _, i := range order[:min(room, len(order))] {
		v.Legend = append(v.Legend, legendView{color[i], list[i].name, format(list[i].last(), p.Unit), format(list[i].max(), p.Unit)})
	}
	v.More = len(order) - len(v.Legend)
	f := frame{w: v.W - 16, h: v.H - headHeight - (len(v.Legend)+1)*legendLine - 8, left: 62, bottom: 18, start: found.start, end: found.end, step: found.step}
	below := map[float64]float64{}
	stacks := make([]map[float64]float64, len(list))
	for i, s := range list {
		f.top = max(f.top, s.max())
		if p.Stack {
			stacks[i] = maps.Clone(below)
			for _, at := range s.points {
				below[at.t] += at.v
				f.top = max(f.top, below[at.t])
			}
		}
	}
	for _, s := range p.Steps { // a limit far above is not worth flattening the lines
		if s.From <= 2*f.top {
			f.top = max(f.top, s.From)
		}
	}
	base := 10.
	if p.Unit == "bytes" {
		base = 2
	}
	ticks := f.ticks(base)
	var b strings.Builder
	for _, t := range ticks {
		b.WriteString(f.grid(t, format(t, p.Unit)))
	}
	for i := range slices.Backward(list) {
		opacity := .1
		if p.Stack {
			opacity = .5
		}
		b.WriteString(f.line(list[i].points, stacks[i], color[i], opacity))
	}
	for _, s := range p.Steps[min(1, len(p.Steps)):] {
		if s.From <= f.top {
			fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="%s" stroke-dasharray="6 4"/>`, f.left, f.w, f.y(s.From), f.y(s.From), hex(s.Color))
		}
	}
	v.SVG = f.svg(b.String() + f.times() + f.marks(found.events))
}

func (v *panelView) timeline(p *observe.Panel, list []series, found *results) {
	left := 0
	for _, s := range list {
		left = max(left, min(7*len(s.name)+16, v.W*2/5))
	}
	f := frame{w: v.W - 16, h: v.H - headHeight - legendLine - 8, left: left, bottom: 18, start: found.start, end: found.end, step: found.step}
	var b strings.Builder
	height := float64(f.h-f.bottom) / float64(len(list))
	for i, s := range list {
		y := float64(i) * height
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`, f.left-6, y+height/2+4, template.HTMLEscapeString(shorten(s.name, left/7)))
		for from := 0; from < len(s.points); {
			to := from + 1
			for to < len(s.points) && s.points[to].v == s.points[from].v && s.points[to].t-s.points[to-1].t < 1.5*f.step {
				to++
			}
			x, end := f.x(s.points[from].t), min(f.x(s.points[to-1].t+f.step), float64(f.w))
			text, color := shown(s.points[from].v, p.Unit, p.States, p.Steps)
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity=".75"/>`, x, y+2, end-x, height-4, color)
			if end-x > float64(8*len(text)+8) {
				fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" class="in">%s</text>`, x+6, y+height/2+4, template.HTMLEscapeString(text))
			}
			from = to
		}
	}
	v.SVG = f.svg(b.String() + f.times() + f.marks(found.events))
	for _, s := range p.States {
		v.Legend = append(v.Legend, legendView{Color: hex(s.Color), Name: s.Text})
	}
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// heatmap draws what each bucket holds beyond the one below it.
func (v *panelView) heatmap(p *observe.Panel, list []series, found *results) {
	le := func(s *series) float64 {
		bound, _ := strconv.ParseFloat(s.labels["le"], 64)
		return bound
	}
	slices.SortFunc(list, func(a, b series) int { return cmp.Compare(le(&a), le(&b)) })
	f := frame{w: v.W - 16, h: v.H - headHeight - 8, left: 62, bottom: 18, start: found.start, end: found.end, step: found.step}
	height := float64(f.h-f.bottom) / float64(len(list))
	within := make([]map[float64]float64, len(list))
	most := 1e-9
	below := map[float64]float64{}
	for i, s := range list {
		within[i] = map[float64]float64{}
		for _, at := range s.points {
			within[i][at.t] = max(at.v-below[at.t], 0)
			most = max(most, within[i][at.t])
			below[at.t] = at.v
		}
	}
	var b strings.Builder
	for i := range list {
		y := float64(f.h-f.bottom) - float64(i+1)*height
		label := "more"
		if bound := le(&list[i]); !math.IsInf(bound, 1) {
			label = format(bound, p.Unit)
		}
		if i%(1+int(14/height)) == 0 {
			fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`, f.left-6, y+height/2+4, label)
		}
		for _, t := range slices.Sorted(maps.Keys(within[i])) {
			if n := within[i][t]; n > 1e-9 {
				fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#FF9830" fill-opacity="%.2f"/>`,
					f.x(t), y+.5, f.x(t+f.step)-f.x(t), height-1, .15+.85*math.Sqrt(n/most))
			}
		}
	}
	v.SVG = f.svg(b.String() + f.times() + f.marks(found.events))
}
