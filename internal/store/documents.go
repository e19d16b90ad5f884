package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Known looks a source up; false where it was never ingested.
func (s *Store) Known(ctx context.Context, base, source string) (rag.KnownDocument, bool, error) {
	var k rag.KnownDocument
	err := s.read.QueryRowContext(ctx, `
SELECT d.digest, d.recipe, d.version, d.origin FROM documents d JOIN bases b ON b.id = d.base WHERE b.name = ? AND d.source = ?`, base, source).
		Scan(&k.Digest, &k.Recipe, &k.Version, &k.Origin)
	if errors.Is(err, sql.ErrNoRows) {
		return k, false, nil
	}
	return k, err == nil, err
}

// Put keeps a document, in place of an older one of the same source, and tells the change.
func (s *Store) Put(ctx context.Context, base string, n rag.NewDocument) (rag.Update, error) {
	var u rag.Update
	if n.Keys != nil && len(n.Keys) != len(n.Vectors) {
		return u, fmt.Errorf("store document: %d keys for %d vectors", len(n.Keys), len(n.Vectors))
	}
	if n.Vectors != nil && len(n.Vectors) != len(n.Passages) {
		return u, fmt.Errorf("store document: %d vectors for %d passages", len(n.Vectors), len(n.Passages))
	}
	replaced := false
	err := s.change(ctx, func(tx *sql.Tx) error {
		id, change, err := touch(ctx, tx, base)
		if err != nil {
			return err
		}
		u.Change = change
		if replaced, u.Remove, err = removeSource(ctx, tx, id, n.Document.Source); err != nil {
			return err
		}
		if n.Vectors != nil {
			if err := claimEmbedder(ctx, tx, id, base, n.Embedder); err != nil {
				return err
			}
		}
		u.Add, err = insert(ctx, tx, id, n)
		return err
	})
	if err != nil {
		return rag.Update{}, fmt.Errorf("store document: %w", err)
	}
	if replaced {
		s.forget()
	} else {
		s.settle()
	}
	return u, nil
}

// touch raises a knowledge base's change counter.
func touch(ctx context.Context, tx *sql.Tx, base string) (id int64, change uint64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE bases SET change = change + 1 WHERE name = ? RETURNING id, change`, base).Scan(&id, &change)
	if errors.Is(err, sql.ErrNoRows) {
		err = unknownBase(base)
	}
	return id, change, err
}

// claimEmbedder makes id the knowledge base's embedder, or refuses vectors of another one.
func claimEmbedder(ctx context.Context, tx *sql.Tx, baseID int64, base string, id rag.EmbedderID) error {
	var text string
	if err := tx.QueryRowContext(ctx, `SELECT embedder FROM bases WHERE id = ?`, baseID).Scan(&text); err != nil {
		return err
	}
	have, err := parseEmbedder(text)
	if err != nil {
		return err
	}
	if have == id {
		return nil
	}
	if !have.IsZero() {
		return rag.Errorf(rag.Conflict, "embedder_changed", "the knowledge base %q was built with the embedder %s (%d dimensions) and keeps it; `ollama-rag dbs reindex %s` builds its vectors anew with %s", base, have.Name, have.Dimension, base, id.Name)
	}
	data, err := json.Marshal(id)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE bases SET embedder = ?, since = change WHERE id = ?`, string(data), baseID)
	return err
}

// removeSource deletes a document, if there is one, and gives the ids of its passages.
func removeSource(ctx context.Context, tx *sql.Tx, baseID int64, source string) (there bool, ids []int64, err error) {
	var document int64
	err = tx.QueryRowContext(ctx, `SELECT id FROM documents WHERE base = ? AND source = ?`, baseID, source).Scan(&document)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	if ids, err = int64s(tx.QueryContext(ctx, `DELETE FROM passages WHERE document = ? RETURNING id`, document)); err != nil {
		return false, nil, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM documents WHERE id = ?`, document)
	return true, ids, err
}

func int64s(rows *sql.Rows, err error) ([]int64, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func insert(ctx context.Context, tx *sql.Tx, baseID int64, n rag.NewDocument) ([]rag.Entry, error) {
	d := n.Document
	res, err := tx.ExecContext(ctx, `
INSERT INTO documents (base, source, title, media_type, encoding, version, language, digest, recipe, origin, pages, bytes, added, text)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		baseID, d.Source, d.Title, d.MediaType, d.Encoding, d.Version, d.Language, d.Digest, n.Recipe, n.Origin, d.Pages, n.Bytes, now(), d.Text)
	if err != nil {
		return nil, err
	}
	document, err := res.LastInsertId()
	if err != nil {
		return nil, err
	}
	stmt, err := tx.PrepareContext(ctx, `
INSERT INTO passages (document, chunk, heading, page, start, stop, language, hash, text, vector, key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stmt.Close() }() // it ends with its transaction at the latest
	entries := make([]rag.Entry, len(n.Passages))
	for i, p := range n.Passages {
		var blob, key any
		if n.Keys != nil {
			key = n.Keys[i]
		}
		if n.Vectors != nil {
			entries[i].Vector = n.Vectors[i]
			blob = encodeVector(n.Vectors[i])
		}
		res, err := stmt.ExecContext(ctx, document, p.Chunk, p.Heading, p.Page, p.Span.Start, p.Span.End, p.Language, p.Hash, p.Text, blob, key)
		if err != nil {
			return nil, err
		}
		if p.ID, err = res.LastInsertId(); err != nil {
			return nil, err
		}
		p.Document, p.Source, p.Title, p.Version = document, d.Source, d.Title, d.Version
		entries[i].Passage = p
	}
	return entries, nil
}

// Delete removes documents by source and tells which of them were there.
func (s *Store) Delete(ctx context.Context, base string, sources []string) (deleted []string, u rag.Update, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		var id int64
		if id, u.Change, err = touch(ctx, tx, base); err != nil {
			return err
		}
		for _, source := range sources {
			there, ids, err := removeSource(ctx, tx, id, source)
			if err != nil {
				return err
			}
			if there {
				deleted = append(deleted, source)
				u.Remove = append(u.Remove, ids...)
			}
		}
		if len(deleted) == 0 {
			return errNothing // undo the touch: nothing changed
		}
		return nil
	})
	if errors.Is(err, errNothing) {
		return nil, rag.Update{}, nil
	}
	if err != nil {
		return nil, rag.Update{}, fmt.Errorf("delete documents: %w", err)
	}
	s.forget()
	return deleted, u, nil
}

var errNothing = errors.New("nothing to delete")

// Origins maps the sources of a knowledge base whose files lie on this machine to the files' absolute paths.
func (s *Store) Origins(ctx context.Context, base string) (map[string]string, error) {
	out := map[string]string{}
	err := s.each(ctx, `
SELECT d.source, d.origin FROM documents d JOIN bases b ON b.id = d.base WHERE b.name = ? AND d.origin <> ''`, []any{base}, func(rows *sql.Rows) error {
		var source, origin string
		err := rows.Scan(&source, &origin)
		out[source] = origin
		return err
	})
	return out, err
}

func stringsOf(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []string{}
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// Documents lists a knowledge base's documents by source.
func (s *Store) Documents(ctx context.Context, base string) ([]rag.DocumentInfo, error) {
	if _, err := s.Change(ctx, base); err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `
SELECT d.id, d.source, d.title, d.media_type, d.encoding, d.version, d.language, d.pages, d.bytes, d.added, count(p.id), count(p.id) - count(p.vector)
FROM documents d JOIN bases b ON b.id = d.base LEFT JOIN passages p ON p.document = d.id WHERE b.name = ? GROUP BY d.id ORDER BY d.source`, base)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []rag.DocumentInfo{}
	for rows.Next() {
		var d rag.DocumentInfo
		if err := rows.Scan(&d.ID, &d.Source, &d.Title, &d.MediaType, &d.Encoding, &d.Version, &d.Language, &d.Pages, &d.Bytes, &d.Added, &d.Chunks, &d.Pending); err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

// Document gives a whole document with its extracted text; NotFound where the knowledge base has none of that id.
func (s *Store) Document(ctx context.Context, base string, id int64) (rag.Document, error) {
	d := rag.Document{ID: id}
	err := s.read.QueryRowContext(ctx, `
SELECT d.source, d.title, d.media_type, d.encoding, d.version, d.language, d.digest, d.pages, d.text
FROM documents d JOIN bases b ON b.id = d.base WHERE b.name = ? AND d.id = ?`, base, id).
		Scan(&d.Source, &d.Title, &d.MediaType, &d.Encoding, &d.Version, &d.Language, &d.Digest, &d.Pages, &d.Text)
	if errors.Is(err, sql.ErrNoRows) {
		return d, rag.Errorf(rag.NotFound, "unknown_document", "the knowledge base %q has no document %d", base, id)
	}
	return d, err
}

// Filters lists the distinct languages and versions of a knowledge base, sorted.
func (s *Store) Filters(ctx context.Context, base string) (languages, versions []string, err error) {
	if _, err := s.Change(ctx, base); err != nil {
		return nil, nil, err
	}
	languages, err = stringsOf(s.read.QueryContext(ctx, `
SELECT DISTINCT p.language FROM passages p JOIN documents d ON d.id = p.document JOIN bases b ON b.id = d.base WHERE b.name = ? ORDER BY 1`, base))
	if err != nil {
		return nil, nil, err
	}
	versions, err = stringsOf(s.read.QueryContext(ctx, `
SELECT DISTINCT d.version FROM documents d JOIN bases b ON b.id = d.base WHERE b.name = ? ORDER BY 1`, base))
	return languages, versions, err
}

// DocumentCounts gives the number of documents of each knowledge base.
func (s *Store) DocumentCounts(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	err := s.each(ctx, `SELECT b.name, count(d.id) FROM bases b LEFT JOIN documents d ON d.base = b.id GROUP BY b.id`, nil, func(rows *sql.Rows) error {
		var name string
		var n int
		err := rows.Scan(&name, &n)
		out[name] = n
		return err
	})
	return out, err
}
