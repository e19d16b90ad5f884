package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"regexp"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// MaxNameLength bounds the names of knowledge bases and versions, in bytes.
const MaxNameLength = 64

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// CheckName checks the name of a knowledge base (or of a version: field says which).
func CheckName(field, name string) error {
	if !validName.MatchString(name) {
		return rag.Errorf(rag.OutOfBounds, "", "%s: %q is not a name: a letter or digit first, then letters, digits, '_', '-' or '.', at most %d in all", field, clip(name, MaxNameLength), MaxNameLength)
	}
	return nil
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

// CreateBase makes an empty knowledge base; it is a Conflict where the name is taken.
func (s *Store) CreateBase(ctx context.Context, name string) error {
	if err := CheckName("name", name); err != nil {
		return err
	}
	res, err := s.write.ExecContext(ctx, `INSERT INTO bases (name, created) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`, name, now())
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, rag.Errorf(rag.Conflict, "db_exists", "name: a knowledge base called %q exists already", name))
	}
	return nil
}

// EnsureBase makes a knowledge base unless it exists.
func (s *Store) EnsureBase(ctx context.Context, name string) error {
	err := s.CreateBase(ctx, name)
	if rag.KindOf(err) == rag.Conflict {
		return nil
	}
	return err
}

// DeleteBase removes a knowledge base with all that is in it.
func (s *Store) DeleteBase(ctx context.Context, name string) error {
	defer s.states.writing()()
	res, err := s.write.ExecContext(ctx, `DELETE FROM bases WHERE name = ?`, name)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return unknownBase(name)
	}
	if err == nil {
		s.forget()
	}
	return err
}

// Bases lists the knowledge bases by name.
func (s *Store) Bases(ctx context.Context) ([]rag.BaseInfo, error) {
	rows, err := s.read.QueryContext(ctx, `
SELECT b.name, b.created, b.change, b.embedder,
  (SELECT count(*) FROM documents d WHERE d.base = b.id),
  (SELECT coalesce(sum(bytes), 0) FROM documents d WHERE d.base = b.id),
  (SELECT count(*) FROM passages p JOIN documents d ON d.id = p.document WHERE d.base = b.id),
  (SELECT count(*) FROM passages p JOIN documents d ON d.id = p.document WHERE d.base = b.id AND length(p.vector) > 0)
FROM bases b ORDER BY b.name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []rag.BaseInfo{}
	for rows.Next() {
		var b rag.BaseInfo
		var embedder string
		if err := rows.Scan(&b.Name, &b.Created, &b.Change, &embedder, &b.Documents, &b.Bytes, &b.Passages, &b.Vectors); err != nil {
			return nil, err
		}
		if b.Embedder, err = parseEmbedder(embedder); err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, rows.Err()
}

// KnowledgeBase gives the state that answers depend on; NotFound where there is none of that name.
func (s *Store) KnowledgeBase(ctx context.Context, name string) (rag.KnowledgeBase, error) {
	kb, known, writes := s.states.get(name)
	if known {
		return kb, nil
	}
	kb.Name = name
	var embedder string
	err := s.read.QueryRowContext(ctx, `
SELECT id, change, embedder, since, NOT EXISTS (SELECT 1 FROM passages p JOIN documents d ON d.id = p.document WHERE d.base = b.id)
FROM bases b WHERE name = ?`, name).Scan(&kb.ID, &kb.Change, &embedder, &kb.Since, &kb.Empty)
	if errors.Is(err, sql.ErrNoRows) {
		return kb, unknownBase(name)
	}
	if err != nil {
		return kb, err
	}
	if kb.Embedder, err = parseEmbedder(embedder); err == nil {
		s.states.put(kb, writes)
	}
	return kb, err
}

// Change gives a knowledge base's change counter.
func (s *Store) Change(ctx context.Context, name string) (uint64, error) {
	var change uint64
	err := s.read.QueryRowContext(ctx, `SELECT change FROM bases WHERE name = ?`, name).Scan(&change)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, unknownBase(name)
	}
	return change, err
}

func parseEmbedder(text string) (rag.EmbedderID, error) {
	var id rag.EmbedderID
	if text == "" {
		return id, nil
	}
	err := json.Unmarshal([]byte(text), &id)
	return id, err
}
