package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// migrations[i] brings a database from version i to version i+1.
var migrations = []string{`
CREATE TABLE bases (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  name     TEXT NOT NULL UNIQUE,
  created  INTEGER NOT NULL,            -- Unix seconds
  change   INTEGER NOT NULL DEFAULT 0,  -- grows with every change of its documents
  embedder TEXT NOT NULL DEFAULT ''     -- JSON of rag.EmbedderID; '' until the first vector
);
CREATE TABLE documents (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  base       INTEGER NOT NULL REFERENCES bases(id) ON DELETE CASCADE,
  source     TEXT NOT NULL,
  title      TEXT NOT NULL,
  media_type TEXT NOT NULL,
  encoding   TEXT NOT NULL,
  version    TEXT NOT NULL,
  language   TEXT NOT NULL,
  digest     TEXT NOT NULL,             -- SHA-256 of the file
  recipe     TEXT NOT NULL,             -- how it was read and cut; another recipe reads it again
  origin     TEXT NOT NULL,             -- absolute path of the file on this machine; '' for uploads
  pages      INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  added      INTEGER NOT NULL,          -- Unix seconds
  text       TEXT NOT NULL,
  UNIQUE (base, source)
);
CREATE INDEX documents_origin ON documents(base, origin);
CREATE TABLE passages (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  document INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  chunk    INTEGER NOT NULL,
  heading  TEXT NOT NULL,
  page     INTEGER NOT NULL,
  start    INTEGER NOT NULL,
  stop     INTEGER NOT NULL,
  language TEXT NOT NULL,
  hash     TEXT NOT NULL,
  text     TEXT NOT NULL,
  vector   BLOB                         -- little-endian float32, unit length; NULL until embedded
);
CREATE INDEX passages_document ON passages(document);
CREATE INDEX passages_pending ON passages(document) WHERE vector IS NULL;
CREATE TABLE jobs (
  id       TEXT PRIMARY KEY,
  data     BLOB NOT NULL,               -- JSON of whoever does the job
  created  INTEGER NOT NULL,            -- Unix nanoseconds
  finished INTEGER NOT NULL DEFAULT 0   -- 0 until it ended: such jobs go on after a restart
);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
`, `
ALTER TABLE passages ADD COLUMN key TEXT; -- what the vector was made of and by whom; NULL where nobody said
CREATE INDEX passages_key ON passages(key) WHERE key IS NOT NULL;
CREATE TABLE spare_vectors (             -- of a knowledge base that is about to change its embedder
  passage INTEGER PRIMARY KEY REFERENCES passages(id) ON DELETE CASCADE,
  key     TEXT NOT NULL,
  vector  BLOB NOT NULL
);
CREATE INDEX spare_vectors_key ON spare_vectors(key);
ALTER TABLE bases ADD COLUMN since INTEGER NOT NULL DEFAULT 0; -- the change at which the embedder took over
`}

// dropBackups removes the copies of older upgrades: the upgraded database has been opened once and is opened again. They hold
// what was deleted since.
func dropBackups(file string) error {
	old, err := filepath.Glob(file + ".v*.bak")
	if err != nil {
		return nil //nolint:nilerr // a folder whose name is no pattern: they stay
	}
	var errs []error
	for _, path := range old {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

// migrate brings the schema up to the newest version, after a copy of an older database beside it.
func migrate(ctx context.Context, db *sql.DB, file string, steps []string) error {
	var version int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return damaged(file).Because(err)
	}
	var tables, ours int
	if err := db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(name = 'bases'), 0) FROM sqlite_master WHERE type = 'table'`).Scan(&tables, &ours); err != nil {
		return damaged(file).Because(err)
	}
	if (tables > 0 || version > 0) && (ours == 0 || version == 0) {
		return damaged(file)
	}
	if version > len(steps) {
		return rag.Errorf(rag.Conflict, "", "the data folder has schema version %d and this program knows up to %d: it was written by a newer ollama-rag, so use that one", version, len(steps))
	}
	if version == len(steps) && version > 0 {
		return dropBackups(file)
	}
	if version > 0 && version < len(steps) {
		backup := fmt.Sprintf("%s.v%d.bak", file, version)
		if err := os.Remove(backup); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("upgrade data folder: %w", err)
		}
		if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, backup); err != nil {
			return fmt.Errorf("copy the data before its upgrade: %w", err)
		}
	}
	for ; version < len(steps); version++ {
		if err := migrateStep(ctx, db, steps[version], version+1); err != nil {
			return fmt.Errorf("upgrade data folder to schema %d: %w", version+1, err)
		}
	}
	return nil
}

func damaged(file string) *rag.Error {
	return rag.Errorf(rag.Internal, "", "%s is not a database of ollama-rag, or is damaged: restore it from a backup, or move it away to start afresh", filepath.Base(file))
}

func migrateStep(ctx context.Context, db *sql.DB, step string, to int) error {
	return inTx(ctx, db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, to))
		return err
	})
}

func inTx(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // the first error is the one to report
		return err
	}
	return tx.Commit()
}
