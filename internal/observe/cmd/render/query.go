package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/observe"
)

// points is how many points of a series are asked for, about one each other pixel of a panel.
const points = 240

// prometheus answers queries for a stretch of time.
type prometheus struct {
	url        string
	board      *observe.Board
	start, end time.Time
	window     time.Duration
}

// point is a value at a time, in seconds since 1970.
type point struct{ t, v float64 }

// series is what a query found under one label set. NaN and infinite values are left out.
type series struct {
	query  int // which of the panel's
	labels map[string]string
	name   string
	points []point
}

func (s *series) last() float64 { return s.points[len(s.points)-1].v }

func (s *series) max() float64 {
	most := math.Inf(-1)
	for _, p := range s.points {
		most = max(most, p.v)
	}
	return most
}

// event is a mark at a time.
type event struct {
	t           float64
	color, text string
}

// results are what all panels found.
type results struct {
	from       *prometheus
	panels     map[int][]series // by observe.PanelID
	events     []event
	start, end float64
	step       float64
	empty      []string
}

// all asks for the panels whose "Row: Title" is chosen, and for the marks.
func (p *prometheus) all(chosen *regexp.Regexp) (*results, error) {
	found := &results{from: p, panels: map[int][]series{}, start: seconds(p.start), end: seconds(p.end), step: p.step().Seconds()}
	for i, row := range p.board.Rows {
		for j, panel := range row.Panels {
			name := row.Title + ": " + panel.Title
			if !chosen.MatchString(name) {
				continue
			}
			list, err := p.panel(&panel)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			found.panels[observe.PanelID(i, j)] = list
			if len(list) == 0 {
				found.empty = append(found.empty, name)
			}
		}
	}
	for _, m := range p.board.Marks {
		list, err := p.ask(m.Expr, false)
		if err != nil {
			return nil, fmt.Errorf("mark %s: %w", m.Name, err)
		}
		found.mark(m, list)
	}
	return found, nil
}

// mark notes each of a mark's times once.
func (r *results) mark(m observe.Mark, list []series) {
	for _, s := range list {
		before := 0.0
		for _, at := range s.points {
			if t := at.v / 1000; t != before && t >= r.start && t <= r.end {
				r.events = append(r.events, event{t, m.Color, legend(m.Text, s.labels)})
			}
			before = at.v / 1000
		}
	}
}

func (p *prometheus) panel(panel *observe.Panel) ([]series, error) {
	var all []series
	for i, q := range panel.Queries {
		list, err := p.ask(q.Expr, panel.Instant())
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			s.query, s.name = i, legend(q.Legend, s.labels)
			all = append(all, s)
		}
	}
	return all, nil
}

var placeholder = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// legend puts labels into a name, as Grafana does.
func legend(format string, labels map[string]string) string {
	return placeholder.ReplaceAllStringFunc(format, func(s string) string { return labels[placeholder.FindStringSubmatch(s)[1]] })
}

func (p *prometheus) step() time.Duration {
	return max(p.end.Sub(p.start)/points, 100*time.Millisecond)
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// ask gives the series of an expression, at the end of the time or all through it.
func (p *prometheus) ask(expr string, atEnd bool) ([]series, error) {
	params := url.Values{"query": {p.board.Fill(expr, inProm(p.window), inProm(p.end.Sub(p.start)))}}
	path := "/api/v1/query"
	if atEnd {
		params.Set("time", p.end.Format(time.RFC3339Nano))
	} else {
		path = "/api/v1/query_range"
		params.Set("start", p.start.Format(time.RFC3339Nano))
		params.Set("end", p.end.Format(time.RFC3339Nano))
		params.Set("step", inProm(p.step()))
	}
	resp, err := http.PostForm(p.url+path, params)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return decode(body)
}

// inProm writes a time as Prometheus reads it.
func inProm(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }

func decode(body []byte) ([]series, error) {
	var out struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
				Values [][2]any
			}
		}
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, fmt.Errorf("no answer of a Prometheus: %.100q", body)
	}
	if out.Error != "" {
		return nil, fmt.Errorf("%s", strings.TrimSpace(out.Error))
	}
	var all []series
	for _, r := range out.Data.Result {
		s := series{labels: r.Metric}
		if r.Values == nil {
			r.Values = [][2]any{r.Value}
		}
		for _, at := range r.Values {
			t, _ := at[0].(float64)
			text, _ := at[1].(string)
			if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
				s.points = append(s.points, point{t, v})
			}
		}
		if len(s.points) > 0 {
			all = append(all, s)
		}
	}
	return all, nil
}
