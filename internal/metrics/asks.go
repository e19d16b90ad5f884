package metrics

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// outcome is what became of a question.
type outcome int

const (
	failed outcome = iota
	abandoned
	answered
	degraded
	refused
)

var outcomeNames = [...]string{failed: "error", abandoned: "abandoned", answered: "answered", degraded: "degraded", refused: "refused"}

// providers are the kinds of model servers, the one that is meant where a question names none first.
var providers = [...]string{"ollama", "openai"}

// asking is what questions are counted by.
type asking struct {
	method   rag.Method // "" is any other method
	provider string
}

// outcomes are the counters of one way to ask.
type outcomes [len(outcomeNames)]prometheus.Counter

// gone says whether who asked went away. A deadline of ours that passed is another matter.
func gone(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// add adds what a model server said it used: figures from outside must not make a counter fall, which panics.
func add(c prometheus.Counter, v float64) {
	if v > 0 {
		c.Add(v)
	}
}

// Asked counts a question and what became of it: rag.Engine tells.
func (m *Metrics) Asked(ctx context.Context, req rag.Request, a *rag.Answer, err error) {
	what := abandoned
	switch {
	case a != nil:
		what = m.answered(a)
	case err != nil && !gone(ctx):
		what = failed
	}
	provider := req.Provider
	if !slices.Contains(providers[:], provider) {
		provider = providers[0]
	}
	of := m.queries[asking{req.Method, provider}]
	if of == nil {
		of = m.queries[asking{"", provider}]
	}
	of[what].Inc()
	if what != failed {
		return
	}
	kind := m.errors[rag.KindOf(err)]
	if kind == nil { // of a kind that a question cannot come to: a fault of ours
		kind = m.errors[rag.Internal]
	}
	kind.Inc()
}

func (m *Metrics) answered(a *rag.Answer) outcome {
	m.found.Observe(float64(len(a.Hits)))
	for i := range a.Hits {
		if cosine := a.Hits[i].Cosine; cosine != nil {
			m.topScore.Observe(*cosine)
			break
		}
	}
	for i := range a.Citations {
		if counter := m.cited[a.Citations[i].Verdict]; counter != nil {
			counter.Inc()
		}
	}
	if a.Cache.Status == rag.CacheExact || a.Cache.Status == rag.CacheSemantic {
		add(m.savedTime, a.Usage.TotalSeconds)
		add(m.savedOut, float64(a.Usage.InputTokens)+float64(a.Usage.OutputTokens))
		return answered
	}
	if a.Cache.Status != rag.CacheCoalesced { // whose work was another question's
		m.embed.Observe(a.Timings.Embed)
	}
	if c := m.refused[a.DoneReason]; c != nil {
		c.Inc()
		return refused
	}
	if a.Degraded {
		return degraded
	}
	return answered
}

// Retriever times the sides of a search for passages.
func (m *Metrics) Retriever(next rag.Retriever) rag.Retriever { return retriever{next, m} }

type retriever struct {
	next rag.Retriever
	m    *Metrics
}

func (r retriever) Retrieve(ctx context.Context, q rag.Query) (rag.Retrieval, error) {
	found, err := r.next.Retrieve(ctx, q)
	if err != nil {
		return found, err
	}
	if found.Method != rag.Vector {
		r.m.byWords.Observe(found.Times.Words.Seconds())
	}
	if found.Method != rag.BM25 {
		r.m.byVector.Observe(found.Times.Vectors.Seconds())
	}
	if found.Method == rag.Hybrid {
		r.m.fuse.Observe(found.Times.Fusion.Seconds())
	}
	return found, nil
}

// Recaller times look-ups in the answer cache.
func (m *Metrics) Recaller(next rag.Recaller) rag.Recaller { return recaller{next, m} }

type recaller struct {
	rag.Recaller
	m *Metrics
}

func (r recaller) RecallExact(key rag.CacheKey) (rag.Recalled, bool) {
	start := time.Now()
	defer func() { r.m.lookExact.Observe(time.Since(start).Seconds()) }()
	return r.Recaller.RecallExact(key)
}

func (r recaller) RecallNear(key rag.CacheKey, vector []float32) (rag.Recalled, bool) {
	if vector == nil { // nobody is looked for
		return r.Recaller.RecallNear(key, vector)
	}
	start := time.Now()
	defer func() { r.m.lookNear.Observe(time.Since(start).Seconds()) }()
	return r.Recaller.RecallNear(key, vector)
}

// Generator counts and times the calls of chat models.
func (m *Metrics) Generator(next rag.Generator) rag.Generator { return generator{next, m} }

type generator struct {
	next rag.Generator
	m    *Metrics
}

// call is a call of a chat model under way.
type call struct {
	of               *model
	drawn            prometheus.Observer
	start            time.Time
	text, done, left bool
}

func (g generator) Generate(ctx context.Context, p rag.Prompt) iter.Seq2[rag.Chunk, error] {
	return func(yield func(rag.Chunk, error) bool) {
		c := call{of: g.m.models.get(p.Model), drawn: g.m.firstWord, start: time.Now()}
		defer func() { c.end(ctx) }()
		for chunk, err := range g.next.Generate(ctx, p) {
			c.take(&chunk)
			if !yield(chunk, err) {
				c.left = err == nil
				return
			}
		}
	}
}

func (c *call) take(chunk *rag.Chunk) {
	if chunk.Text != "" && !c.text {
		c.text = true
		took := time.Since(c.start).Seconds()
		c.of.first.Observe(took)
		c.drawn.Observe(took)
	}
	if chunk.Done && !c.done {
		c.done = true
		c.of.response.Observe(time.Since(c.start).Seconds())
		c.of.usage(chunk.Usage)
	}
}

func (c *call) end(ctx context.Context) {
	switch {
	case c.done:
		c.of.ok.Inc()
	case c.left || gone(ctx):
		c.of.left.Inc()
	default: // an error, or an end without Done
		c.of.failed.Inc()
	}
}

func (m *model) usage(u rag.Usage) {
	add(m.input, float64(u.InputTokens))
	add(m.output, float64(u.OutputTokens))
	m.load.Observe(u.LoadSeconds)
	if u.OutputTokens > 0 {
		m.perToken.Observe(u.OutputSeconds / float64(u.OutputTokens))
	}
}
