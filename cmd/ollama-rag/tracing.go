package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/server"
	"github.com/ollama-rag/ollama-rag/internal/trace"
	"github.com/ollama-rag/ollama-rag/internal/upstream"
)

// newTracer makes what keeps traces, nil where nobody wants them.
func (h *house) newTracer() *trace.Tracer {
	c := h.config
	if c.TraceEndpoint == "" {
		return nil
	}
	endpoint := c.TraceEndpoint
	if !strings.HasSuffix(endpoint, "/v1/traces") {
		endpoint = strings.TrimSuffix(endpoint, "/") + "/v1/traces"
	}
	headers := map[string]string{}
	for _, pair := range c.TraceHeaders {
		name, value, _ := strings.Cut(pair, "=")
		headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return trace.New(trace.Config{Endpoint: endpoint, Headers: headers, Service: c.TraceService, Version: version(), Ratio: c.TraceRatio, Log: h.log})
}

// traceUpstream has every attempt on a model host seen.
func (h *house) traceUpstream(u *upstream.Config) {
	if h.tracer != nil {
		u.Wrap = h.tracer.Transport
	}
}

// traceStages has the stages of questions seen.
func (h *house) traceStages(e *rag.Engine) {
	if t := h.tracer; t != nil {
		e.Embedders, e.CacheEmbedder, e.Retriever, e.Evidence = t.Embedders(e.Embedders), t.Embedders(e.CacheEmbedder), t.Retriever(e.Retriever), t.Evidence(e.Evidence)
	}
}

// observe goes around every route and every question: traces outside, so that figures know their trace.
func (h *house) observe(engine server.Engine) (func(string, http.Handler) http.Handler, server.Engine) {
	var around []func(string, http.Handler) http.Handler
	if h.metrics != nil {
		around = append(around, h.metrics.Route)
	}
	if h.tracer != nil {
		around = append(around, h.tracer.Route)
		engine = h.tracer.Engine(engine)
	}
	if len(around) == 0 {
		return nil, engine
	}
	return func(pattern string, next http.Handler) http.Handler {
		for _, wrap := range around {
			next = wrap(pattern, next)
		}
		return next
	}, engine
}

// traceDrain is how long the end of the process waits for the last spans to be sent.
const traceDrain = 3 * time.Second

func (h *house) closeTracer() {
	if h.tracer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceDrain)
	defer cancel()
	if err := h.tracer.Close(ctx); err != nil {
		h.log.Warn("the last traces are lost", "error", err)
	}
}
