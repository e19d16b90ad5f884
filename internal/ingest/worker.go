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

// job is an unfinished job. Its state, its place in the queue, wish and cancel change together, under Service.mu.
type job struct {
	rag.Job
	mu   sync.Mutex // guards Job for those who only look
	done chan struct{}

	saving chan struct{} // holds one: what is kept is never older than what was kept before
	cancel context.CancelFunc
	wish   wish // what somebody wants of it while it runs
	ending bool // finishJob has it: nothing else may change it
}

func newJob(j rag.Job) *job {
	return &job{Job: j, done: make(chan struct{}), saving: make(chan struct{}, 1)}
}

// wish is what becomes of a running job when its work has stopped.
type wish int

const (
	wishNone  wish = iota
	wishPause      // rest until it is resumed
	wishAgain      // wait in the queue once more: it was resumed before it had stopped
	wishEnd        // be cancelled
)

// errRest ends the work of a job that cannot go on now but may later: it rests, and says why.
type errRest struct{ error }

func (e errRest) Unwrap() error { return e.error }

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
	for {
		for j := s.next(ctx); j != nil; j = s.next(ctx) {
			s.run(ctx, j)
			if ctx.Err() != nil {
				return
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

// running is a job at work.
type running struct {
	*job
	ctx context.Context
}

// next takes the oldest job from the queue. From then on it can be stopped.
func (s *Service) next(ctx context.Context) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	j := s.queue[0]
	s.queue = s.queue[1:]
	r := &running{job: j}
	r.ctx, j.cancel = context.WithCancel(ctx)
	j.wish = wishNone
	j.update(func(job *rag.Job) { job.State = rag.JobRunning })
	return r
}

// run does one job. A job that the service's own end interrupts stays unfinished.
func (s *Service) run(ctx context.Context, r *running) {
	start := time.Now()
	s.atWork(1)
	err := s.work(r.ctx, r.job)
	s.atWork(-1)
	j, kept := r.job, context.WithoutCancel(ctx)
	j.update(func(job *rag.Job) { job.Report.Seconds, job.Report.SecondsLeft = time.Since(start).Seconds(), 0 })

	s.mu.Lock()
	j.cancel()
	j.cancel = nil
	wanted := j.wish
	var rest errRest
	switch {
	case err != nil && wanted == wishEnd:
		err = context.Canceled
	case err != nil && (wanted == wishPause || wanted == wishNone && errors.As(err, &rest)):
		j.update(func(job *rag.Job) {
			job.State, job.Report.Current = rag.JobPaused, ""
			if rest.error != nil {
				job.Report.Notice = sentence(rest.error)
			}
		})
		s.mu.Unlock()
		s.save(kept, j)
		return
	case err != nil && wanted == wishAgain, err == nil && j.Request.Adopt && s.pending[j.DB] && len(s.queue) > 0:
		s.enqueueLocked(j)
		s.mu.Unlock()
		s.save(kept, j)
		return
	case err != nil && ctx.Err() != nil:
		s.mu.Unlock()
		return
	}
	j.ending = true
	s.mu.Unlock()
	s.finishJob(kept, j, err)
}

// work does what the job asks for.
func (s *Service) work(ctx context.Context, j *job) error {
	if j.Request.Reindex {
		return s.reindex(ctx, j)
	}
	return s.ingest(ctx, j)
}

// save keeps a job as it is now.
func (s *Service) save(ctx context.Context, j *job) {
	j.saving <- struct{}{}
	defer func() { <-j.saving }()
	if err := s.keep(ctx, j.snapshot()); err != nil {
		s.Log.Error("keep job", "job", j.ID, "error", err)
	}
}

// unqueue takes a job out of the queue, under s.mu.
func (s *Service) unqueue(j *job) {
	if i := slices.Index(s.queue, j); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
}

// Pause stops a job until it is resumed. What it has stored stays, and is not done again. One that runs stops within a moment.
func (s *Service) Pause(ctx context.Context, id string) (rag.Job, error) {
	s.mu.Lock()
	j := s.jobs[id]
	if j == nil || j.ending {
		s.mu.Unlock()
		return s.over(ctx, id, "pause")
	}
	if j.cancel != nil {
		if j.wish != wishEnd {
			j.wish = wishPause
			j.cancel()
		}
	} else {
		s.unqueue(j)
		j.update(func(job *rag.Job) { job.State = rag.JobPaused })
	}
	s.mu.Unlock()
	s.save(context.WithoutCancel(ctx), j)
	return j.snapshot(), nil
}

// Resume puts a paused job at the end of the queue.
func (s *Service) Resume(ctx context.Context, id string) (rag.Job, error) {
	s.Wake()
	s.mu.Lock()
	j := s.jobs[id]
	switch {
	case j == nil || j.ending:
		s.mu.Unlock()
		return s.over(ctx, id, "resume")
	case j.wish == wishPause && j.cancel != nil:
		j.wish = wishAgain
	case j.cancel == nil && j.snapshot().State == rag.JobPaused:
		s.enqueueLocked(j)
	}
	s.mu.Unlock()
	s.save(context.WithoutCancel(ctx), j)
	return j.snapshot(), nil
}

// over refuses what makes no sense for a job that has ended; NotFound for one that never was.
func (s *Service) over(ctx context.Context, id, what string) (rag.Job, error) {
	j, err := s.Job(ctx, id)
	if err == nil {
		err = rag.Errorf(rag.Conflict, "job_ended", "the job is over: there is nothing to %s", what)
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
	if j.Request.Reindex {
		if err := s.Documents.DropAside(ctx, j.DB); err != nil {
			s.Log.Error("drop vectors that were set aside", "job", j.ID, "error", err)
		}
	}
	s.save(ctx, j)
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

// Cancel ends a job: one that waits or rests at once, one that runs where it is. What it has stored stays.
func (s *Service) Cancel(ctx context.Context, id string) (rag.Job, error) {
	s.mu.Lock()
	j := s.jobs[id]
	switch {
	case j == nil:
		s.mu.Unlock()
		return s.Job(ctx, id) // ended already, or unknown
	case j.ending:
	case j.cancel != nil:
		j.wish = wishEnd
		j.cancel()
	default:
		s.unqueue(j)
		j.ending = true
		s.mu.Unlock()
		s.finishJob(context.WithoutCancel(ctx), j, context.Canceled)
		return s.wait(ctx, j)
	}
	s.mu.Unlock()
	return s.wait(ctx, j)
}
