package metrics

import (
	"math"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Flow is what the live page draws of the instruments: sums since the start.
type Flow struct {
	Requests  [6]float64         // by the first digit of the status; scrapes, probes and the page's own requests left out
	Questions map[string]float64 // by outcome; errors without those that are the client's fault
	Input     float64            // tokens that models read
	Output    float64            // tokens that models wrote
	First     Times              // to the first word of chat models
	Whole     Times              // of questions and the gateway's requests, to the end of the answer
}

// Times are a histogram: how many took no longer than each bound, in seconds, the last of which is +Inf.
type Times struct{ Bounds, Cumulative []float64 }

// watching are the routes by which people and machines look at the server: not what it is there for.
var watching = []string{
	"/metrics", "/dashboard", "/api/dashboard", "/health", "/health/live", "/health/ready", "/api/health", "/api/cache-stats",
	"/api/circuit-breaker/metrics", "/api/connection-pool/metrics", "/api/semantic-cache/metrics", "/{$}", "/static/{path...}",
}

func isWatching(route string) bool { return slices.Contains(watching, route) }

// questionRoutes are the routes of ours that answer questions.
var questionRoutes = []string{"/api/query", streamRoute}

// Flow reads the instruments. The figures are each exact, but read one after the other.
func (m *Metrics) Flow() Flow {
	f := Flow{Questions: map[string]float64{}}
	series(m.requests, func(labels map[string]string, v *dto.Metric) {
		if digit := labels["code"][0] - '0'; int(digit) < len(f.Requests) && !isWatching(labels["route"]) {
			f.Requests[digit] += v.GetCounter().GetValue()
		}
	})
	series(m.questions, func(labels map[string]string, v *dto.Metric) {
		f.Questions[labels["outcome"]] += v.GetCounter().GetValue()
	})
	f.Questions[outcomeNames[failed]] = 0 // a question about what is not there is its client's fault
	for _, kind := range []rag.Kind{rag.BadUpstream, rag.Unavailable, rag.Overloaded, rag.Timeout, rag.Internal} {
		series(m.errors[kind], func(_ map[string]string, v *dto.Metric) {
			f.Questions[outcomeNames[failed]] += v.GetCounter().GetValue()
		})
	}
	series(m.firstWord, func(_ map[string]string, v *dto.Metric) { f.First = timesOf(v.GetHistogram()) })
	series(m.wholeAnswer, func(_ map[string]string, v *dto.Metric) { f.Whole = timesOf(v.GetHistogram()) })
	series(m.tokens, func(labels map[string]string, v *dto.Metric) {
		if labels["type"] == "input" {
			f.Input += v.GetCounter().GetValue()
		} else {
			f.Output += v.GetCounter().GetValue()
		}
	})
	return f
}

func timesOf(h *dto.Histogram) (t Times) {
	for _, b := range h.GetBucket() {
		t.Bounds, t.Cumulative = append(t.Bounds, b.GetUpperBound()), append(t.Cumulative, float64(b.GetCumulativeCount()))
	}
	return Times{append(t.Bounds, math.Inf(1)), append(t.Cumulative, float64(h.GetSampleCount()))}
}

// series reads those of a family.
func series(family prometheus.Collector, f func(labels map[string]string, v *dto.Metric)) {
	ch := make(chan prometheus.Metric)
	go func() {
		defer close(ch)
		family.Collect(ch)
	}()
	for one := range ch {
		v := new(dto.Metric)
		if one.Write(v) != nil {
			continue // of our own instruments: cannot fail
		}
		labels := make(map[string]string, len(v.GetLabel()))
		for _, l := range v.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		f(labels, v)
	}
}
