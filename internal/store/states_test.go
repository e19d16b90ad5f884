package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Whoever has been told of a change never reads a state from before it, and a state that is read during one is remembered by nobody.
func TestTheStateOfAKnowledgeBaseIsTheCommittedOne(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	must(t, s.CreateBase(ctx, "kb"))
	read := func() uint64 {
		kb, err := s.KnowledgeBase(ctx, "kb")
		must(t, err)
		return kb.Change
	}
	var told atomic.Uint64
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if least, got := told.Load(), read(); got < least {
					t.Errorf("change %d was told and %d is read", least, got)
					return
				}
			}
		})
	}
	for range 100 {
		u, err := s.Put(ctx, "kb", rag.NewDocument{Document: rag.Document{Source: "a", Text: "text"}, Passages: []rag.Passage{{Text: "text", Hash: "h"}}})
		must(t, err)
		told.Store(u.Change)
	}
	close(stop)
	readers.Wait()

	before := read()
	if _, known, _ := s.states.get("kb"); !known {
		t.Error("a state that was read is not remembered: the test checks nothing")
	}
	fault := errors.New("rolled back")
	err := s.change(context.Background(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE bases SET change = change + 7`); err != nil {
			return err
		}
		if got := read(); got != before {
			t.Errorf("change %d is read and is not committed", got)
		}
		if _, known, _ := s.states.get("kb"); known {
			t.Error("a state that is about to go is remembered")
		}
		return fault
	})
	if !errors.Is(err, fault) || read() != before {
		t.Errorf("%v, change %d after %d", err, read(), before)
	}
	must(t, s.DeleteBase(ctx, "kb"))
	if _, err := s.KnowledgeBase(ctx, "kb"); rag.KindOf(err) != rag.NotFound {
		t.Errorf("a deleted knowledge base: %v", err)
	}
}
