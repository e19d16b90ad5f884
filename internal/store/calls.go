package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// callsTable is made where it is missing, so that a file of an older program keeps its answers.
const callsTable = `
CREATE TABLE IF NOT EXISTS calls (
  key  TEXT PRIMARY KEY,
  made INTEGER NOT NULL,  -- Unix nanoseconds
  data BLOB NOT NULL,     -- JSON of rag.KeptCall
  sum  BLOB NOT NULL      -- SHA-256 of data
)`

// KeptCalls implements rag.CallKeeper: the oldest first. Rows that are not what was written leave the file.
func (a *Answers) KeptCalls(ctx context.Context) ([]rag.KeptCall, error) {
	var out []rag.KeptCall
	torn, err := a.rows(ctx, `SELECT key, data, sum FROM calls ORDER BY made, key`, func(key string, data []byte) bool {
		var k rag.KeptCall
		if json.Unmarshal(data, &k) != nil || k.Key != key {
			return false
		}
		out = append(out, k)
		return true
	})
	if err != nil || len(torn) == 0 {
		return out, err
	}
	return out, a.KeepCalls(ctx, nil, torn)
}

// KeepCalls implements rag.CallKeeper. What is removed is overwritten, in the log too.
func (a *Answers) KeepCalls(ctx context.Context, put []rag.KeptCall, remove []string) error {
	err := inTx(ctx, a.db, func(tx *sql.Tx) error {
		if err := removeRows(ctx, tx, `DELETE FROM calls WHERE key = ?`, remove); err != nil {
			return err
		}
		for _, k := range put {
			if err := putRow(ctx, tx, `INSERT OR REPLACE INTO calls (key, made, data, sum) VALUES (?, ?, ?, ?)`, k.Key, k.Made, k); err != nil {
				return err
			}
		}
		return nil
	})
	return a.overwrite(ctx, len(remove), err)
}
