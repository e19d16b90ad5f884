package main

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/ollama-rag/ollama-rag/internal/embed"
	"github.com/ollama-rag/ollama-rag/internal/gateway"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// locals are the embedders that run in this process: the one in the binary and packed files. Each is opened when it is needed
// first, so that a server that only passes requests on never pays for it.
type locals struct {
	mu   sync.Mutex
	open map[string]*embed.Model
}

// isLocal says whether EMBED_MODEL, or the name of a knowledge base's embedder, means one of this process.
func isLocal(name string) bool {
	return name == embed.Builtin || strings.HasPrefix(name, embed.FilePrefix)
}

// get gives an embedder by its name, with its identity under that name.
func (l *locals) get(name string) (*embed.Model, rag.EmbedderID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.open[name]
	if m == nil {
		var err error
		if m, err = embed.Open(name); err != nil {
			return nil, rag.EmbedderID{}, rag.Errorf(rag.Unavailable, "embedder_missing", "%v", err)
		}
		if l.open == nil {
			l.open = map[string]*embed.Model{}
		}
		l.open[name] = m
	}
	id := m.Identity()
	id.Name = name
	return m, id, nil
}

// cacheEmbedder gives the answer cache its vectors: always those of the embedder in the binary, so that its thresholds mean the
// same everywhere and it works while every model server is down. A program without it has no semantic tier.
type cacheEmbedder struct{ locals *locals }

// EmbedderFor implements rag.Embedders.
func (c cacheEmbedder) EmbedderFor(context.Context, string) (rag.Embedder, rag.EmbedderID, error) {
	if !embed.HasBuiltin {
		return nil, rag.EmbedderID{}, nil
	}
	return local(c.locals.get(embed.Builtin))
}

// gateway is the embedder in the binary for the clients of its model name, nil where the program was built without one.
func (l *locals) gateway() gateway.Embedder {
	if !embed.HasBuiltin {
		return nil
	}
	return lazy{l}
}

// lazy is the embedder in the binary, opened when it is needed first.
type lazy struct{ locals *locals }

func (b lazy) Embed(ctx context.Context, purpose rag.Purpose, texts []string) ([][]float32, error) {
	m, _, err := b.locals.get(embed.Builtin)
	if err != nil {
		return nil, err
	}
	return m.Embed(ctx, purpose, texts)
}

// CountTokens is 0 where the model cannot be opened: Embed then says why.
func (b lazy) CountTokens(text string) int {
	m, _, err := b.locals.get(embed.Builtin)
	if err != nil {
		return 0
	}
	return m.CountTokens(text)
}

func (b lazy) MaxTokens() int {
	m, _, err := b.locals.get(embed.Builtin)
	if err != nil {
		return 0
	}
	return m.MaxTokens()
}

// Identity is nameless where the model cannot be opened.
func (b lazy) Identity() rag.EmbedderID {
	m, _, err := b.locals.get(embed.Builtin)
	if err != nil {
		return rag.EmbedderID{}
	}
	return m.Identity()
}

func (l *locals) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, m := range l.open {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
