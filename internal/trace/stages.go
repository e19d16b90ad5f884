package trace

import (
	"context"
	"iter"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Names that no convention has.
const (
	cacheStatus     = attribute.Key("ollama_rag.cache.status")
	cacheSimilarity = attribute.Key("ollama_rag.cache.similarity")
	cacheEntry      = attribute.Key("ollama_rag.cache.entry_id")
	degraded        = attribute.Key("ollama_rag.degraded_reason")
	method          = attribute.Key("ollama_rag.retrieval.method")
	passages        = attribute.Key("ollama_rag.retrieval.passages")
	citations       = attribute.Key("ollama_rag.citations")
)

// Asker is what Engine wraps.
type Asker interface {
	Ask(ctx context.Context, req rag.Request) iter.Seq2[rag.Event, error]
	Search(ctx context.Context, req rag.Request) (rag.Found, error)
	Explain(ctx context.Context, req rag.Request) (rag.Explanation, error)
}

// Engine makes a span of each question.
func (t *Tracer) Engine(next Asker) Asker { return engine{next, t} }

type engine struct {
	Asker
	t *Tracer
}

func (e engine) Ask(ctx context.Context, req rag.Request) iter.Seq2[rag.Event, error] {
	return func(yield func(rag.Event, error) bool) {
		ctx, span := e.t.tracer.Start(ctx, "ask", trace.WithAttributes(semconv.GenAIDataSourceID(req.DB)))
		defer span.End()
		for ev, err := range e.Asker.Ask(ctx, req) {
			switch {
			case err != nil:
				failed(span, err)
			case ev.Kind == rag.EventDone:
				span.SetAttributes(ofAnswer(ev.Answer)...)
			}
			if !yield(ev, err) {
				if err == nil && ev.Kind != rag.EventDone {
					span.AddEvent("the reader left")
				}
				return
			}
		}
	}
}

func ofAnswer(a *rag.Answer) []attribute.KeyValue {
	out := []attribute.KeyValue{cacheStatus.String(string(a.Cache.Status)), passages.Int(len(a.Hits)), citations.Int(len(a.Citations)), method.String(string(a.Method))}
	if a.Cache.EntryID != "" {
		out = append(out, cacheEntry.String(a.Cache.EntryID), cacheSimilarity.Float64(a.Cache.Similarity))
	}
	if a.Degraded {
		out = append(out, degraded.String(string(a.DegradedReason)))
	}
	return out
}

// Embedders makes a span of each vector that a question waits for.
func (t *Tracer) Embedders(next rag.Embedders) rag.Embedders { return embedders{next, t} }

type embedders struct {
	next rag.Embedders
	t    *Tracer
}

func (e embedders) EmbedderFor(ctx context.Context, db string) (rag.Embedder, rag.EmbedderID, error) {
	m, id, err := e.next.EmbedderFor(ctx, db)
	if err == nil && m != nil {
		m = embedder{m, id, e.t}
	}
	return m, id, err
}

type embedder struct {
	rag.Embedder
	id rag.EmbedderID
	t  *Tracer
}

func (e embedder) Embed(ctx context.Context, purpose rag.Purpose, texts []string) ([][]float32, error) {
	ctx, span := e.t.tracer.Start(ctx, "embeddings "+e.id.Name, trace.WithAttributes(
		semconv.GenAIOperationNameEmbeddings, semconv.GenAIRequestModel(e.id.Name), semconv.GenAIEmbeddingsDimensionCount(e.id.Dimension)))
	defer span.End()
	out, err := e.Embedder.Embed(ctx, purpose, texts)
	failed(span, err)
	return out, err
}

// Retriever makes a span of each search for passages.
func (t *Tracer) Retriever(next rag.Retriever) rag.Retriever { return retriever{next, t} }

type retriever struct {
	next rag.Retriever
	t    *Tracer
}

func (r retriever) Retrieve(ctx context.Context, q rag.Query) (rag.Retrieval, error) {
	ctx, span := r.t.tracer.Start(ctx, "retrieval "+q.DB, trace.WithAttributes(semconv.GenAIOperationNameKey.String("retrieval"), semconv.GenAIDataSourceID(q.DB)))
	defer span.End()
	found, err := r.next.Retrieve(ctx, q)
	failed(span, err)
	span.SetAttributes(method.String(string(found.Method)), passages.Int(len(found.Hits)))
	return found, err
}

// Evidence makes a span of each look at what a remembered answer rests on.
func (t *Tracer) Evidence(next rag.Evidence) rag.Evidence { return evidence{next, t} }

type evidence struct {
	next rag.Evidence
	t    *Tracer
}

func (e evidence) Evidence(ctx context.Context, db string, ids []int64) (uint64, map[int64]string, error) {
	ctx, span := e.t.tracer.Start(ctx, "evidence", trace.WithAttributes(passages.Int(len(ids))))
	defer span.End()
	change, hashes, err := e.next.Evidence(ctx, db, ids)
	failed(span, err)
	return change, hashes, err
}

// Generator makes a span of each call of a chat model, whatever attempts it takes.
func (t *Tracer) Generator(next rag.Generator) rag.Generator { return generator{next, t} }

type generator struct {
	next rag.Generator
	t    *Tracer
}

func (g generator) Generate(ctx context.Context, p rag.Prompt) iter.Seq2[rag.Chunk, error] {
	return func(yield func(rag.Chunk, error) bool) {
		ctx, span := g.t.tracer.Start(ctx, "chat "+p.Model, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			semconv.GenAIOperationNameChat, semconv.GenAIProviderNameKey.String(p.Provider), semconv.GenAIRequestModel(p.Model),
			semconv.GenAIRequestMaxTokens(p.MaxTokens), semconv.GenAIRequestTemperature(p.Temperature)))
		defer span.End()
		if p.Seed != nil {
			span.SetAttributes(semconv.GenAIRequestSeed(*p.Seed))
		}
		first := true
		for chunk, err := range g.next.Generate(ctx, p) {
			failed(span, err)
			if first && chunk.Text != "" {
				first = false
				span.AddEvent("first token")
			}
			if chunk.Done {
				span.SetAttributes(semconv.GenAIUsageInputTokens(chunk.Usage.InputTokens), semconv.GenAIUsageOutputTokens(chunk.Usage.OutputTokens), semconv.GenAIResponseFinishReasons(chunk.DoneReason))
			}
			if !yield(chunk, err) {
				return
			}
		}
	}
}
