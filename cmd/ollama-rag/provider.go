package main

import (
	"context"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/cache"
	"github.com/ollama-rag/ollama-rag/internal/openai"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/upstream"
)

// The providers, as requests and metrics name them.
const (
	providerOllama = "ollama"
	providerOpenAI = "openai"
)

// openAILabel is the name of the OpenAI-compatible server's breaker and pool.
const openAILabel = "openai_client"

// engines are the ways to an answer by provider: they differ in the model server alone.
type engines map[string]*rag.Engine

func (e engines) of(req rag.Request) *rag.Engine {
	if engine := e[req.Provider]; engine != nil {
		return engine
	}
	return e[providerOllama]
}

func (e engines) Ask(ctx context.Context, req rag.Request) iter.Seq2[rag.Event, error] {
	return e.of(req).Ask(ctx, req)
}

func (e engines) Search(ctx context.Context, req rag.Request) (rag.Found, error) {
	return e.of(req).Search(ctx, req)
}

func (e engines) Explain(ctx context.Context, req rag.Request) (rag.Explanation, error) {
	return e.of(req).Explain(ctx, req)
}

// answerers completes an engine for each provider that is set up.
func (h *house) answerers(common rag.Engine) engines {
	all := engines{}
	if h.metrics != nil { // below the spans, as they cost more than what is timed here
		common.Asked = h.metrics.Asked
		common.Retriever, common.Cache = h.metrics.Retriever(common.Retriever), h.metrics.Recaller(common.Cache)
	}
	h.traceStages(&common)
	// server stands for the digests of models where a provider has none.
	add := func(provider, server string, models rag.Models, generator rag.Generator, spend func() bool) {
		engine := common
		engine.Shadows = rag.NewShadows(spend)
		h.shadows = append(h.shadows, engine.Shadows)
		if h.metrics != nil {
			generator = h.metrics.Generator(generator)
		}
		if h.tracer != nil {
			generator = h.tracer.Generator(generator)
		}
		engine.Provider, engine.Server, engine.Models = provider, server, models
		engine.Generator = cache.Generator{Generator: generator, Calls: h.calls, Sampled: h.config.CacheSampled, Server: server}
		all[provider] = &engine
	}
	add(providerOllama, "", newLastModels(h.ollama, h.store, h.log), h.ollama, h.upstream.SpendRetry)
	if h.openai != nil {
		key := ""
		if len(h.config.OpenAIKey) > 0 {
			key = h.config.OpenAIKey[0]
		}
		client := openai.New(h.openai, key, h.config.OpenAIModel)
		add(providerOpenAI, h.config.OpenAIBaseURL, client, client, h.openai.SpendRetry)
	}
	return all
}

// defaultModels are the models of questions that name none, by provider.
func (h *house) defaultModels() map[string]string {
	all := map[string]string{}
	for provider := range h.engines {
		all[provider] = h.config.LLMModel
		if provider == providerOpenAI {
			all[provider] = h.config.OpenAIModel
		}
	}
	return all
}

// servers is what is known of all model servers, whoever asks them.
func (h *house) servers() []upstream.HostStats {
	all := h.upstream.Stats()
	if h.openai != nil {
		all = append(all, h.openai.Stats()...)
	}
	return all
}

// waiting is who waits for a place on any of them.
func (h *house) waiting() upstream.QueueStats {
	all := h.upstream.Queue()
	if h.openai != nil {
		all = all.Plus(h.openai.Queue())
	}
	return all
}

// openAIUpstream is the way to the OpenAI-compatible server, with breaker and pool of its own; nil where none is set up.
func (h *house) openAIUpstream() (*upstream.Client, error) {
	c := h.config
	if !c.HasOpenAI() {
		return nil, nil
	}
	base, err := url.Parse(strings.TrimSuffix(strings.TrimSuffix(c.OpenAIBaseURL, "/"), "/v1")) // the client's paths begin with it
	if err != nil {
		return nil, err
	}
	u := upstreamConfig(c, h.log, h.live.Changed)
	h.traceUpstream(&u)
	u.Hosts, u.Label, u.Server = []*url.URL{base}, openAILabel, "the OpenAI-compatible server"
	u.ConnectTimeout, u.FirstByteTimeout, u.IdleTimeout = c.OpenAIConnectTimeout, c.OpenAIReadTimeout, c.OpenAIReadTimeout
	u.MaxRetries, u.RetryBackoff = c.OpenAIMaxRetries, max(c.OpenAIRetryBackoff, time.Millisecond)
	return upstream.New(u)
}
