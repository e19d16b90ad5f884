package store

import (
	"context"
	"database/sql"
	"sync"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// states remembers the committed state of knowledge bases, which every question asks for: no other process writes to the file. While
// somebody writes, nothing is remembered and readers ask the database, so that what they get is always what is committed.
type states struct {
	mu      sync.RWMutex
	known   map[string]rag.KnowledgeBase
	writers int
	writes  uint64 // begun and ended so far
}

// get gives a state where it is known, else what put needs to tell whether it may be remembered.
func (s *states) get(name string) (kb rag.KnowledgeBase, known bool, writes uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	kb, known = s.known[name]
	return kb, known, s.writes
}

// put remembers a state that was read since get, unless somebody wrote meanwhile.
func (s *states) put(kb rag.KnowledgeBase, writes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writers > 0 || s.writes != writes {
		return
	}
	if s.known == nil {
		s.known = map[string]rag.KnowledgeBase{}
	}
	s.known[kb.Name] = kb
}

// writing forgets all states until done.
func (s *states) writing() (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writers++
	s.writes++
	s.known = nil
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.writers--
		s.writes++ // whoever read meanwhile may have read what was before
	}
}

// change runs a transaction that may change the state of a knowledge base.
func (s *Store) change(ctx context.Context, f func(*sql.Tx) error) error {
	defer s.states.writing()()
	return inTx(ctx, s.write, f)
}
