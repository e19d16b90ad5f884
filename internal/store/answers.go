package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// answersFile is the answer cache's own database. What is in it can be made again, so that it is thrown away where it is damaged
// or of another version.
const answersFile = "answers.db"

// answersVersion is raised with every change of the table or of what its rows mean.
const answersVersion = 1

// Answers is the file of the answer cache and of whole answers of models. It implements rag.AnswerKeeper and rag.CallKeeper.
type Answers struct{ db *sql.DB }

// OpenAnswers opens the answer cache's file in the data folder; a damaged one is replaced by an empty one, which lost says.
func (s *Store) OpenAnswers(ctx context.Context) (a *Answers, lost bool, err error) {
	file := filepath.Join(s.dir, answersFile)
	if a, err = openAnswers(ctx, file); err == nil {
		return a, false, nil
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(file + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, true, fmt.Errorf("remove the damaged file of the answer cache: %w", err)
		}
	}
	a, err = openAnswers(ctx, file)
	return a, true, err
}

func openAnswers(ctx context.Context, file string) (*Answers, error) {
	db, err := connect(file, 1, "immediate")
	if err != nil {
		return nil, err
	}
	if err := prepareAnswers(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("open the file of the answer cache: %w", err), db.Close())
	}
	if _, err := db.ExecContext(ctx, callsTable); err != nil {
		return nil, errors.Join(fmt.Errorf("open the file of the answer cache: %w", err), db.Close())
	}
	return &Answers{db}, nil
}

func prepareAnswers(ctx context.Context, db *sql.DB) error {
	var version, tables int
	var check string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&check); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, `SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_master)`).Scan(&version, &tables); err != nil {
		return err
	}
	switch {
	case check != "ok":
		return errors.New(check)
	case version == answersVersion:
		return nil
	case version != 0 || tables != 0:
		return fmt.Errorf("it has version %d", version)
	}
	return migrateStep(ctx, db, `
CREATE TABLE answers (
  id   TEXT PRIMARY KEY,
  made INTEGER NOT NULL,  -- Unix nanoseconds
  data BLOB NOT NULL,     -- JSON of rag.KeptAnswer
  sum  BLOB NOT NULL      -- SHA-256 of data: no answer is served that was not written so
)`, answersVersion)
}

// KeptAnswers implements rag.AnswerKeeper: the oldest first. Rows that are not what was written leave the file.
func (a *Answers) KeptAnswers(ctx context.Context) ([]rag.KeptAnswer, error) {
	var out []rag.KeptAnswer
	torn, err := a.rows(ctx, `SELECT id, data, sum FROM answers ORDER BY made, id`, func(id string, data []byte) bool {
		var k rag.KeptAnswer
		if json.Unmarshal(data, &k) != nil || k.ID != id {
			return false
		}
		out = append(out, k)
		return true
	})
	if err != nil || len(torn) == 0 {
		return out, err
	}
	return out, a.KeepAnswers(ctx, nil, torn)
}

// rows gives every row that is what was written, and the keys of the others, those that take refuses among them.
func (a *Answers) rows(ctx context.Context, query string, take func(key string, data []byte) bool) (torn []string, err error) {
	rows, err := a.db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var data, sum []byte
		if err := rows.Scan(&key, &data, &sum); err != nil {
			return nil, err
		}
		if want := sha256.Sum256(data); string(sum) != string(want[:]) || !take(key, data) {
			torn = append(torn, key)
		}
	}
	return torn, errors.Join(rows.Err(), rows.Close())
}

// KeepAnswers implements rag.AnswerKeeper. What is removed is overwritten, in the log too.
func (a *Answers) KeepAnswers(ctx context.Context, put []rag.KeptAnswer, remove []string) error {
	err := inTx(ctx, a.db, func(tx *sql.Tx) error {
		if err := removeRows(ctx, tx, `DELETE FROM answers WHERE id = ?`, remove); err != nil {
			return err
		}
		for _, k := range put {
			if err := putRow(ctx, tx, `INSERT OR REPLACE INTO answers (id, made, data, sum) VALUES (?, ?, ?, ?)`, k.ID, k.Made, k); err != nil {
				return err
			}
		}
		return nil
	})
	return a.overwrite(ctx, len(remove), err)
}

func removeRows(ctx context.Context, tx *sql.Tx, query string, keys []string) error {
	for _, key := range keys {
		if _, err := tx.ExecContext(ctx, query, key); err != nil {
			return err
		}
	}
	return nil
}

// putRow writes v as JSON with its checksum.
func putRow(ctx context.Context, tx *sql.Tx, query, key string, made int64, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	_, err = tx.ExecContext(ctx, query, key, made, data, sum[:])
	return err
}

// overwrite takes what a transaction removed out of the log too.
func (a *Answers) overwrite(ctx context.Context, removed int, err error) error {
	if err != nil || removed == 0 {
		return err
	}
	_, err = a.db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

// Close closes the file.
func (a *Answers) Close() error { return a.db.Close() }
