package ingest

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

type job struct {
	rag.Job
	mu   sync.Mutex
	done chan struct{}

	work   context.Context // set as it leaves the queue, under Service.mu
	cancel context.CancelCauseFunc
}

// errPaused is why the work of a paused job ends.
var errPaused = errors.New("paused")

func (j *job) snapshot() rag.Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := j.Job
	out.Report.Items = append([]rag.ReportItem(nil), j.Report.Items...)
	return out
}

func (j *job) update(f func(*rag.Job)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f(&j.Job)
}

// loop is the one worker.
func (s *Service) loop(ctx context.Context) {
	defer close(s.ended)
	retry := time.NewTicker(s.Config.RetryPending)
	defer retry.Stop()
	for behind := true; ; {
		for j := s.next(ctx); j != nil; j = s.next(ctx) {
			s.run(ctx, j)
			if ctx.Err() != nil {
				return
			}
		}
		if behind {
			s.catchUp(ctx)
			behind = s.waiting()
			if behind {
				continue
			}
		}
		select {
		case <-s.wake:
		case <-retry.C:
			s.catchUp(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// next takes the oldest job from the queue. From then on it can be stopped.
func (s *Service) next(ctx context.Context) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	j := s.queue[0]
	s.queue = s.queue[1:]
	j.work, j.cancel = context.WithCancelCause(ctx)
	return j
}

// run does one job. A job that the service's own end interrupts stays unfinished.
func (s *Service) run(ctx context.Context, j *job) {
	defer j.cancel(nil)
	j.update(func(job *rag.Job) { job.State = rag.JobRunning })
	start := time.Now()
	s.running(1)
	err := s.work(j.work, j)
	s.running(-1)
	if err != nil && ctx.Err() != nil {
		return
	}
	if err != nil && j.work.Err() != nil {
		err = context.Canceled
	}
	j.update(func(job *rag.Job) { job.Report.Seconds, job.Report.SecondsLeft = time.Since(start).Seconds(), 0 })
	if err != nil && errors.Is(context.Cause(j.work), errPaused) {
		s.rest(context.WithoutCancel(ctx), j)
		return
	}
	s.finishJob(context.WithoutCancel(ctx), j, err)
}

// work does what the job asks for.
func (s *Service) work(ctx context.Context, j *job) error {
	if j.Request.Reindex {
		return s.reindex(ctx, j)
	}
	return s.ingest(ctx, j)
}

// rest keeps a job as paused, also over a restart.
func (s *Service) rest(ctx context.Context, j *job) {
	j.update(func(job *rag.Job) { job.State, job.Report.Current = rag.JobPaused, "" })
	if err := s.keep(ctx, j.snapshot()); err != nil {
		s.Log.Error("keep job", "job", j.ID, "error", err)
	}
}

// Pause stops a job until it is resumed. What it has stored stays, and is not done again.
func (s *Service) Pause(ctx context.Context, id string) (rag.Job, error) {
	s.mu.Lock()
	j := s.jobs[id]
	waiting := slices.Index(s.queue, j)
	if j != nil && waiting >= 0 {
		s.queue = slices.Delete(s.queue, waiting, waiting+1)
	}
	var running context.Context
	if j != nil && waiting < 0 {
		running = j.work
	}
	s.mu.Unlock()
	switch {
	case j == nil:
		return s.over(ctx, id, "pause")
	case waiting >= 0:
		s.rest(context.WithoutCancel(ctx), j)
	case running != nil:
		j.cancel(errPaused)
	}
	return j.snapshot(), nil
}

// Resume puts a paused job at the end of the queue.
func (s *Service) Resume(ctx context.Context, id string) (rag.Job, error) {
	s.Wake()
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	if j == nil {
		return s.over(ctx, id, "resume")
	}
	paused := false
	j.update(func(job *rag.Job) {
		if paused = job.State == rag.JobPaused; paused {
			job.State, job.Report = rag.JobQueued, rag.IngestReport{}
		}
	})
	if paused {
		if err := s.keep(ctx, j.snapshot()); err != nil {
			return rag.Job{}, err
		}
		s.enqueue(j)
	}
	return j.snapshot(), nil
}

// over refuses what makes no sense for a job that is over; NotFound for one that never was.
func (s *Service) over(ctx context.Context, id, what string) (rag.Job, error) {
	j, err := s.Job(ctx, id)
	if err == nil {
		err = rag.Errorf(rag.Conflict, "job_ended", "the job is %s: there is nothing to %s", j.State, what)
	}
	return j, err
}

// finishJob keeps how a job ended and tells those who wait for it.
func (s *Service) finishJob(ctx context.Context, j *job, err error) {
	j.update(func(job *rag.Job) {
		job.Report.Current = ""
		job.Finished = time.Now().Unix()
		switch {
		case errors.Is(err, context.Canceled):
			job.State = rag.JobCancelled
		case err != nil:
			job.State, job.Error = rag.JobFailed, sentence(err)
		default:
			job.State = rag.JobDone
		}
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Log.Error("ingest job failed", "job", j.ID, "db", j.DB, "error", err)
	}
	if err := s.keep(ctx, j.snapshot()); err != nil {
		s.Log.Error("keep job", "job", j.ID, "error", err)
	}
	if spool := j.Request.Spool; spool != "" {
		if err := os.RemoveAll(spool); err != nil {
			s.Log.Error("remove uploads", "job", j.ID, "error", err)
		}
	}
	s.mu.Lock()
	delete(s.jobs, j.ID)
	s.mu.Unlock()
	close(j.done)
}

// Cancel ends a job: one that waits at once, one that runs where it is. What it has stored stays.
func (s *Service) Cancel(ctx context.Context, id string) (rag.Job, error) {
	s.mu.Lock()
	j := s.jobs[id]
	waiting := slices.Index(s.queue, j)
	if j != nil && waiting >= 0 {
		s.queue = slices.Delete(s.queue, waiting, waiting+1)
	}
	s.mu.Unlock()
	switch {
	case j == nil:
		return s.Job(ctx, id) // ended already, or unknown
	case waiting >= 0:
		s.finishJob(context.WithoutCancel(ctx), j, context.Canceled)
	case j.snapshot().State == rag.JobPaused:
		s.finishJob(context.WithoutCancel(ctx), j, context.Canceled)
	default:
		j.cancel(nil)
	}
	return s.wait(ctx, j)
}
