package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/store"
)

// lastModels remembers in the data folder which model answered, so that a server that starts while every model host is down still
// knows by which model its remembered answers were made.
type lastModels struct {
	rag.Models
	store *store.Store
	log   *slog.Logger
	known *sync.Map // wanted -> rag.Model, as it was written last
}

func newLastModels(models rag.Models, s *store.Store, log *slog.Logger) lastModels {
	return lastModels{models, s, log, &sync.Map{}}
}

// ChatModel gives the model that is there, or with the error of a server that cannot be asked the one that was.
func (l lastModels) ChatModel(ctx context.Context, wanted string) (rag.Model, error) {
	m, err := l.Models.ChatModel(ctx, wanted)
	name := "chat model " + wanted
	switch {
	case err == nil:
		if last, ok := l.known.Load(wanted); !ok || last != m {
			data, _ := json.Marshal(m) // plain values: cannot fail
			if err := l.store.SetSetting(ctx, name, string(data)); err == nil {
				l.known.Store(wanted, m)
			} else if ctx.Err() == nil {
				l.log.Warn("note the chat model", "error", err)
			}
		}
	case rag.KindOf(err) != rag.NotFound:
		if last, ok := l.known.Load(wanted); ok {
			return last.(rag.Model), err
		}
		text, readErr := l.store.Setting(ctx, name)
		if readErr != nil || text == "" || json.Unmarshal([]byte(text), &m) != nil {
			return rag.Model{}, err
		}
		l.known.Store(wanted, m)
	}
	return m, err
}
