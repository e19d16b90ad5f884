package main

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"
)

// frame is a chart's area: pixels, with room at the left and below for the axes, over a stretch of time and from 0 to top.
type frame struct {
	w, h, left, bottom int
	start, end, step   float64 // seconds since 1970, and between two points
	top                float64
}

func (f *frame) x(t float64) float64 {
	return float64(f.left) + (t-f.start)/(f.end-f.start)*float64(f.w-f.left)
}

func (f *frame) y(v float64) float64 {
	return float64(f.h-f.bottom) * (1 - v/f.top)
}

// svg is the picture; names in it are escaped where they go in.
func (f *frame) svg(inside string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg width="%d" height="%d">%s</svg>`, f.w, f.h, inside))
}

// ticks are a few values that are round to a base of 10 or 2; the frame then ends above all of its lines.
func (f *frame) ticks(base float64) []float64 {
	if f.top <= 0 {
		f.top = 1
	}
	step := math.Pow(base, math.Floor(math.Log(f.top)/math.Log(base)+1e-9))
	parts := []float64{.2, .5, 1, 2}
	if base == 2 {
		parts = []float64{.25, .5}
	}
	for _, part := range parts {
		if f.top/(step*part) <= 5 {
			step *= part
			break
		}
	}
	f.top *= 1.02
	var all []float64
	for i := 0; float64(i)*step <= f.top; i++ {
		all = append(all, float64(i)*step)
	}
	return all
}

func (f *frame) grid(v float64, label string) string {
	y := f.y(v)
	return fmt.Sprintf(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" class="grid"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`, f.left, f.w, y, y, f.left-6, max(y+4, 10), label)
}

// line draws a series and the area down to what it stands on, in one piece where no point is missing.
func (f *frame) line(points []point, under map[float64]float64, color string, opacity float64) string {
	var b strings.Builder
	for from := 0; from < len(points); {
		to := from + 1
		for to < len(points) && points[to].t-points[to-1].t < 1.5*f.step {
			to++
		}
		var over, base []string
		for _, p := range points[from:to] {
			over = append(over, fmt.Sprintf("%.1f,%.1f", f.x(p.t), f.y(p.v+under[p.t])))
			base = append(base, fmt.Sprintf("%.1f,%.1f", f.x(p.t), f.y(under[p.t])))
		}
		slices.Reverse(base)
		fmt.Fprintf(&b, `<polygon points="%s %s" fill="%s" fill-opacity="%.2f"/>`, strings.Join(over, " "), strings.Join(base, " "), color, opacity)
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5" stroke-linecap="round"/>`, strings.Join(over, " "), color)
		from = to
	}
	return b.String()
}

// times are the labels below.
func (f *frame) times() string {
	span := f.end - f.start
	step, layout := 1.0, "15:04:05"
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400} {
		step = s
		if span/step*75 <= float64(f.w-f.left) {
			break
		}
	}
	if step >= 60 {
		layout = "15:04"
	}
	if step >= 86400 {
		layout = "Jan 2"
	}
	var b strings.Builder
	for t := math.Ceil(f.start/step) * step; t <= f.end; t += step {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="0" y2="%d" class="grid"/>`, f.x(t), f.x(t), f.h-f.bottom)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, min(f.x(t), float64(f.w-26)), f.h-4, time.Unix(int64(t), 0).UTC().Format(layout))
	}
	return b.String()
}

// marks are the vertical lines of events.
func (f *frame) marks(events []event) string {
	var b strings.Builder
	for _, e := range events {
		x, bottom := f.x(e.t), f.h-f.bottom
		fmt.Fprintf(&b, `<g stroke="%s" fill="%s" opacity=".7"><title>%s</title><line x1="%.1f" x2="%.1f" y1="0" y2="%d" stroke-dasharray="4 3"/><path d="M%.1f %d l-4 6 h8 z"/></g>`,
			hex(e.color), hex(e.color), template.HTMLEscapeString(e.text), x, x, bottom, x, bottom)
	}
	return b.String()
}
