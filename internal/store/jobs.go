package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// JobState is where a job stands.
type JobState string

// The states of a job. Queued and running jobs go on after a restart.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobDone      JobState = "done"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// Job is one durable piece of ingest work. Request and Report are the ingest package's own JSON.
type Job struct {
	ID       string
	Base     string
	State    JobState
	Request  string
	Report   string
	Error    string
	Created  int64 // Unix seconds
	Finished int64 // Unix seconds, 0 until it ended
}

// Jobs that ended are kept this long in number, the newest first.
const maxEndedJobs = 200

// PutJob keeps a job, in place of its older state, and lets old ended jobs go.
func (s *Store) PutJob(ctx context.Context, j Job) error {
	_, err := s.write.ExecContext(ctx, `
INSERT INTO jobs (id, base, state, request, report, error, created, finished) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, report = excluded.report, error = excluded.error, finished = excluded.finished`,
		j.ID, j.Base, j.State, j.Request, j.Report, j.Error, j.Created, j.Finished)
	if err != nil || j.Finished == 0 {
		return err
	}
	_, err = s.write.ExecContext(ctx, `
DELETE FROM jobs WHERE finished > 0 AND id NOT IN (SELECT id FROM jobs WHERE finished > 0 ORDER BY finished DESC, id LIMIT ?)`, maxEndedJobs)
	return err
}

const jobColumns = `id, base, state, request, report, error, created, finished`

// Job gives one job; NotFound where there is none of that id.
func (s *Store) Job(ctx context.Context, id string) (Job, error) {
	var j Job
	err := s.read.QueryRowContext(ctx, `SELECT `+jobColumns+` FROM jobs WHERE id = ?`, id).
		Scan(&j.ID, &j.Base, &j.State, &j.Request, &j.Report, &j.Error, &j.Created, &j.Finished)
	if errors.Is(err, sql.ErrNoRows) {
		return j, rag.Errorf(rag.NotFound, "unknown_job", "no job has this id; GET /api/jobs lists them")
	}
	return j, err
}

// Jobs lists jobs, the oldest first; unfinished only, where that is asked.
func (s *Store) Jobs(ctx context.Context, unfinished bool) ([]Job, error) {
	list := []Job{}
	err := s.each(ctx, `SELECT `+jobColumns+` FROM jobs WHERE finished = 0 OR NOT ? ORDER BY created, rowid`, []any{unfinished}, func(rows *sql.Rows) error {
		var j Job
		err := rows.Scan(&j.ID, &j.Base, &j.State, &j.Request, &j.Report, &j.Error, &j.Created, &j.Finished)
		list = append(list, j)
		return err
	})
	return list, err
}
