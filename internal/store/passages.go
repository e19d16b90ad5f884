package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// passageColumns are read by scanPassage, in this order.
const passageColumns = `p.id, p.document, d.source, d.title, p.heading, p.page, p.chunk, p.start, p.stop, d.version, p.language, p.text, p.hash`

func scanPassage(rows *sql.Rows, p *rag.Passage, more ...any) error {
	return rows.Scan(append([]any{
		&p.ID, &p.Document, &p.Source, &p.Title, &p.Heading, &p.Page, &p.Chunk, &p.Span.Start, &p.Span.End, &p.Version, &p.Language, &p.Text, &p.Hash,
	}, more...)...)
}

// Passages reads passages by id, in the order of ids; those that are gone, or of another knowledge base, are left out.
func (s *Store) Passages(ctx context.Context, base string, ids []int64) ([]rag.Passage, error) {
	byID := make(map[int64]rag.Passage, len(ids))
	err := s.byIDs(ctx, `
SELECT `+passageColumns+` FROM passages p CROSS JOIN documents d ON d.id = p.document CROSS JOIN bases b ON b.id = d.base WHERE b.name = ? AND p.id IN `, []any{base}, ids, func(rows *sql.Rows) error {
		var p rag.Passage
		err := scanPassage(rows, &p)
		byID[p.ID] = p
		return err
	})
	out := make([]rag.Passage, 0, len(byID))
	for _, id := range ids {
		if p, ok := byID[id]; ok {
			out = append(out, p)
		}
	}
	return out, err
}

// Evidence implements rag.Evidence.
func (s *Store) Evidence(ctx context.Context, base string, ids []int64) (change uint64, hashes map[int64]string, err error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return 0, nil, err
	}
	found := false
	hashes = make(map[int64]string, len(ids))
	// One statement sees one state.
	err = s.each(ctx, `
SELECT b.change, 0, '' FROM bases b WHERE b.name = ?1
UNION ALL SELECT b.change, p.id, p.hash FROM json_each(?2) wanted
  CROSS JOIN passages p ON p.id = wanted.value CROSS JOIN documents d ON d.id = p.document CROSS JOIN bases b ON b.id = d.base WHERE b.name = ?1`,
		[]any{base, string(list)}, func(rows *sql.Rows) error {
			var id int64
			var hash string
			found = true
			err := rows.Scan(&change, &id, &hash)
			if id != 0 {
				hashes[id] = hash
			}
			return err
		})
	if err == nil && !found {
		err = unknownBase(base)
	}
	return change, hashes, err
}

// Vectors reads the vectors of passages; those without one are left out. Ids are never given twice, so they alone say which
// knowledge base is meant.
func (s *Store) Vectors(ctx context.Context, _ string, ids []int64) (map[int64][]float32, error) {
	out := make(map[int64][]float32, len(ids))
	err := s.byIDs(ctx, `
SELECT id, vector FROM passages WHERE vector IS NOT NULL AND id IN `, nil, ids, func(rows *sql.Rows) error {
		var id int64
		var blob sql.RawBytes
		if err := rows.Scan(&id, &blob); err != nil {
			return err
		}
		out[id] = decodeVector(blob)
		return nil
	})
	return out, err
}

// byIDs runs a query that ends in a list of ids, which is its last argument.
func (s *Store) byIDs(ctx context.Context, query string, first []any, ids []int64, scan func(*sql.Rows) error) error {
	if len(ids) == 0 {
		return nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	return s.each(ctx, query+`(SELECT value FROM json_each(?))`, append(first, string(list)), scan)
}

// each runs a query and gives its rows. What the query is parsed to is kept, since for short ones that takes longest: so its text must
// be one of a few.
func (s *Store) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	statement, err := s.statement(ctx, query) //nolint:sqlclosecheck // kept until the database is closed
	if err != nil {
		return err
	}
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *Store) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if kept, ok := s.statements.Load(query); ok {
		return kept.(*sql.Stmt), nil
	}
	made, err := s.read.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if kept, there := s.statements.LoadOrStore(query, made); there {
		return kept.(*sql.Stmt), made.Close() //nolint:sqlclosecheck // there is nothing to defer
	}
	return made, nil
}

// Entries reads a whole knowledge base, passage by passage with its vector, as one snapshot in the order of ids.
func (s *Store) Entries(ctx context.Context, base string) iter.Seq2[rag.Entry, error] {
	return func(yield func(rag.Entry, error) bool) {
		rows, err := s.read.QueryContext(ctx, `
SELECT `+passageColumns+`, p.vector FROM passages p JOIN documents d ON d.id = p.document JOIN bases b ON b.id = d.base WHERE b.name = ? ORDER BY p.id`, base)
		if err != nil {
			yield(rag.Entry{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var e rag.Entry
			var blob sql.RawBytes
			if err := scanPassage(rows, &e.Passage, &blob); err != nil {
				yield(rag.Entry{}, err)
				return
			}
			e.Vector = decodeVector(blob)
			if !yield(e, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(rag.Entry{}, err)
		}
	}
}

// Pending gives up to n passages that wait for their vectors, the oldest first.
func (s *Store) Pending(ctx context.Context, base string, n int) ([]rag.Passage, error) {
	var out []rag.Passage
	err := s.each(ctx, `
SELECT `+passageColumns+` FROM passages p JOIN documents d ON d.id = p.document JOIN bases b ON b.id = d.base
WHERE b.name = ? AND p.vector IS NULL ORDER BY p.id LIMIT ?`, []any{base, n}, func(rows *sql.Rows) error {
		var p rag.Passage
		err := scanPassage(rows, &p)
		out = append(out, p)
		return err
	})
	return out, err
}

// PendingBases lists the knowledge bases in which passages wait for vectors.
func (s *Store) PendingBases(ctx context.Context) ([]string, error) {
	return stringsOf(s.read.QueryContext(ctx, `
SELECT DISTINCT b.name FROM passages p JOIN documents d ON d.id = p.document JOIN bases b ON b.id = d.base WHERE p.vector IS NULL ORDER BY 1`))
}

// SetVectors gives passages their vectors. Passages that went meanwhile are left out of the update.
func (s *Store) SetVectors(ctx context.Context, base string, id rag.EmbedderID, passages []rag.Passage, vectors [][]float32, keys []string) (rag.Update, error) {
	var u rag.Update
	if len(vectors) != len(passages) || keys != nil && len(keys) != len(passages) {
		return u, fmt.Errorf("store vectors: %d of them for %d passages", len(vectors), len(passages))
	}
	err := s.change(ctx, func(tx *sql.Tx) error {
		baseID, change, err := touch(ctx, tx, base)
		if err != nil {
			return err
		}
		u.Change = change
		if err := claimEmbedder(ctx, tx, baseID, base, id); err != nil {
			return err
		}
		for i, p := range passages {
			res, err := tx.ExecContext(ctx, `UPDATE passages SET vector = ?, key = ? WHERE id = ? AND hash = ?`, encodeVector(vectors[i]), keyOf(keys, i), p.ID, p.Hash)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil {
				return err
			} else if n == 0 {
				continue
			}
			u.Remove = append(u.Remove, p.ID)
			u.Add = append(u.Add, rag.Entry{Passage: p, Vector: vectors[i]})
		}
		return nil
	})
	if err != nil {
		return rag.Update{}, fmt.Errorf("store vectors: %w", err)
	}
	return u, nil
}

// keyOf is the key of a vector, NULL where there is none.
func keyOf(keys []string, i int) any {
	if keys == nil {
		return nil
	}
	return keys[i]
}

// KnownVectors gives the vectors that were made before, by their keys: those of passages, and those that were set aside.
func (s *Store) KnownVectors(ctx context.Context, keys []string) (map[string][]float32, error) {
	known := map[string][]float32{}
	for batch := range slices.Chunk(keys, maxKeys) {
		list, err := json.Marshal(batch)
		if err != nil {
			return nil, err
		}
		err = s.each(ctx, `
SELECT key, vector FROM passages WHERE key IN (SELECT value FROM json_each(?1)) AND vector IS NOT NULL GROUP BY key
UNION ALL SELECT key, vector FROM spare_vectors WHERE key IN (SELECT value FROM json_each(?1)) GROUP BY key`, []any{string(list)}, func(rows *sql.Rows) error {
			var key string
			var blob []byte
			if err := rows.Scan(&key, &blob); err != nil {
				return err
			}
			known[key] = decodeVector(blob)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return known, nil
}

// maxKeys is how many keys one statement looks up.
const maxKeys = 500

// SetAside keeps vectors for passages of a knowledge base that is about to change its embedder. Passages that went meanwhile are
// left out.
func (s *Store) SetAside(ctx context.Context, base string, passages []rag.Passage, vectors [][]float32, keys []string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		for i, p := range passages {
			_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO spare_vectors (passage, key, vector)
SELECT p.id, ?, ? FROM passages p JOIN documents d ON d.id = p.document JOIN bases b ON b.id = d.base WHERE p.id = ? AND p.hash = ? AND b.name = ?`,
				keys[i], encodeVector(vectors[i]), p.ID, p.Hash, base)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ofBase are the passages of a knowledge base, by its id.
const ofBase = `(SELECT p.id FROM passages p JOIN documents d ON d.id = p.document WHERE d.base = ?)`

// TakeAside puts the vectors that were set aside in place of the others, all at once, and makes id the knowledge base's embedder.
// Passages that have none set aside wait for theirs. The update says that the index is to be built anew.
func (s *Store) TakeAside(ctx context.Context, base string, id rag.EmbedderID) (rag.Update, error) {
	u := rag.Update{Rebuild: true}
	err := s.change(ctx, func(tx *sql.Tx) error {
		baseID, change, err := touch(ctx, tx, base)
		if err != nil {
			return err
		}
		u.Change = change
		data, err := json.Marshal(id)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE bases SET embedder = ?, since = change WHERE id = ?`, string(data), baseID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE passages SET (key, vector) = (SELECT v.key, v.vector FROM (SELECT 1) LEFT JOIN spare_vectors v ON v.passage = passages.id) WHERE id IN `+ofBase, baseID); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM spare_vectors WHERE passage IN `+ofBase, baseID)
		return err
	})
	if err != nil {
		return rag.Update{}, fmt.Errorf("change vectors: %w", err)
	}
	s.forget()
	return u, nil
}

// DropAside forgets the vectors that were set aside for a knowledge base.
func (s *Store) DropAside(ctx context.Context, base string) error {
	res, err := s.write.ExecContext(ctx, `DELETE FROM spare_vectors WHERE passage IN (SELECT p.id FROM passages p JOIN documents d ON d.id = p.document JOIN bases b ON b.id = d.base WHERE b.name = ?)`, base)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err == nil && n > 0 {
		s.forget()
	}
	return nil
}

// CountPending is how many passages wait for their vectors.
func (s *Store) CountPending(ctx context.Context, base string) (n int, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT count(*) FROM passages p JOIN documents d ON d.id = p.document JOIN bases b ON b.id = d.base WHERE b.name = ? AND p.vector IS NULL`, base).Scan(&n)
	return n, err
}

// CountPassages is how many passages a knowledge base has.
func (s *Store) CountPassages(ctx context.Context, base string) (n int, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT count(*) FROM passages p JOIN documents d ON d.id = p.document JOIN bases b ON b.id = d.base WHERE b.name = ?`, base).Scan(&n)
	return n, err
}

// AllPassages walks through a knowledge base's passages after the given id, the oldest first, n at most.
func (s *Store) AllPassages(ctx context.Context, base string, after int64, n int) ([]rag.Passage, error) {
	var out []rag.Passage
	err := s.each(ctx, `
SELECT `+passageColumns+` FROM passages p JOIN documents d ON d.id = p.document JOIN bases b ON b.id = d.base
WHERE b.name = ? AND p.id > ? ORDER BY p.id LIMIT ?`, []any{base, after, n}, func(rows *sql.Rows) error {
		var p rag.Passage
		err := scanPassage(rows, &p)
		out = append(out, p)
		return err
	})
	return out, err
}

func encodeVector(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func decodeVector(b []byte) []float32 {
	if len(b) == 0 {
		return nil
	}
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}
