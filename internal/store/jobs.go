package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// maxEndedJobs is how many jobs that ended are kept, the newest.
const maxEndedJobs = 200

// PutJob keeps a job, in place of its older state, and lets old ended jobs go.
func (s *Store) PutJob(ctx context.Context, j rag.JobRecord) error {
	_, err := s.write.ExecContext(ctx, `
INSERT INTO jobs (id, data, created, finished) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET data = excluded.data, finished = excluded.finished`, j.ID, j.Data, j.Created, j.Finished)
	if err != nil || j.Finished == 0 {
		return err
	}
	_, err = s.write.ExecContext(ctx, `
DELETE FROM jobs WHERE finished > 0 AND id NOT IN (SELECT id FROM jobs WHERE finished > 0 ORDER BY finished DESC, id LIMIT ?)`, maxEndedJobs)
	return err
}

// Job gives one job; NotFound where there is none of that id.
func (s *Store) Job(ctx context.Context, id string) (rag.JobRecord, error) {
	j := rag.JobRecord{ID: id}
	err := s.read.QueryRowContext(ctx, `SELECT data, created, finished FROM jobs WHERE id = ?`, id).Scan(&j.Data, &j.Created, &j.Finished)
	if errors.Is(err, sql.ErrNoRows) {
		return j, rag.Errorf(rag.NotFound, "unknown_job", "no job has this id; GET /api/jobs lists them")
	}
	return j, err
}

// Jobs lists jobs, the oldest first; only those that have not ended, where that is asked.
func (s *Store) Jobs(ctx context.Context, unfinished bool) ([]rag.JobRecord, error) {
	list := []rag.JobRecord{}
	err := s.each(ctx, `SELECT id, data, created, finished FROM jobs WHERE finished = 0 OR NOT ? ORDER BY created, rowid`, []any{unfinished}, func(rows *sql.Rows) error {
		var j rag.JobRecord
		err := rows.Scan(&j.ID, &j.Data, &j.Created, &j.Finished)
		list = append(list, j)
		return err
	})
	return list, err
}
