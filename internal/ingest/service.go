package ingest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Config bounds the work. The zero value of a field takes its default.
type Config struct {
	MaxFileBytes int64         // largest file that is read; 50 MiB
	MaxFiles     int           // most files of one job; 100,000
	ReadTimeout  time.Duration // longest that reading one file may take; 2 min
	EmbedBatch   int           // passages embedded and stored in one step when vectors are made up for; 64
	RetryPending time.Duration // how often passages without vectors are tried again; 30 s
}

func (c Config) withDefaults() Config {
	if c.MaxFileBytes == 0 {
		c.MaxFileBytes = 50 << 20
	}
	if c.MaxFiles == 0 {
		c.MaxFiles = 100_000
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 2 * time.Minute
	}
	if c.EmbedBatch == 0 {
		c.EmbedBatch = 64
	}
	if c.RetryPending == 0 {
		c.RetryPending = 30 * time.Second
	}
	return c
}

// Service runs jobs, one at a time, in the order they came.
type Service struct {
	Reader    Reader
	Cutter    Cutter
	Documents Documents
	Jobs      Jobs
	Embedders rag.Embedders
	Followers []Follower
	Log       *slog.Logger
	Config    Config

	changes sync.Mutex // held from commit to followers: they hear of changes in order

	mu      sync.Mutex
	jobs    map[string]*job // unfinished, and those somebody waits for
	queue   []*job
	wake    chan struct{}
	stop    context.CancelFunc
	ended   chan struct{}
	pending map[string]bool // knowledge bases with passages that wait for vectors
	stats   Stats
}

// Stats are the figures of the service since its start.
type Stats struct {
	QueueDepth    int
	OldestQueued  time.Time // zero where none waits
	Files         map[rag.FileStatus]uint64
	Passages      uint64
	StageSeconds  map[string]float64 // read, cut, embed, store
	StageCalls    map[string]uint64
	JobsRunning   int
	PendingVector int // knowledge bases with passages that wait for vectors
}

// The names of the stages in Stats.
const (
	StageRead  = "read"
	StageCut   = "cut"
	StageEmbed = "embed"
	StageStore = "store"
)

type job struct {
	rag.Job
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

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

// Start takes up the jobs that a former process left unfinished and begins to work. Close ends it.
func (s *Service) Start(ctx context.Context) error {
	s.Config = s.Config.withDefaults()
	s.jobs, s.pending = map[string]*job{}, map[string]bool{}
	s.wake, s.ended = make(chan struct{}, 1), make(chan struct{})
	s.stats.Files, s.stats.StageSeconds, s.stats.StageCalls = map[rag.FileStatus]uint64{}, map[string]float64{}, map[string]uint64{}
	records, err := s.Jobs.Jobs(ctx, true)
	if err != nil {
		return fmt.Errorf("unfinished jobs: %w", err)
	}
	for _, r := range records {
		var j rag.Job
		if err := json.Unmarshal(r.Data, &j); err != nil {
			return fmt.Errorf("unfinished job %s: %w", r.ID, err)
		}
		j.State, j.Report = rag.JobQueued, rag.IngestReport{}
		s.enqueue(j)
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.loop(work)
	return nil
}

// Started says whether Start was called and did not fail.
func (s *Service) Started() bool { return s.stop != nil }

// Spools lists the folders of uploaded files that unfinished jobs still need.
func (s *Service) Spools(ctx context.Context) (map[string]bool, error) {
	records, err := s.Jobs.Jobs(ctx, true)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, r := range records {
		var j rag.Job
		if err := json.Unmarshal(r.Data, &j); err != nil {
			return nil, err
		}
		out[j.Request.Spool] = true
	}
	return out, nil
}

// Close stops the work where it is, after the file at hand; unfinished jobs stay queued for the next start.
func (s *Service) Close() {
	s.stop()
	<-s.ended
}

// Submit keeps a job and answers with it; the work begins as soon as those before it are done.
func (s *Service) Submit(ctx context.Context, req rag.IngestRequest) (rag.Job, error) {
	j := rag.Job{ID: rand.Text(), DB: req.DB, State: rag.JobQueued, Request: req, Created: time.Now().Unix()}
	if err := s.keep(ctx, j); err != nil {
		return rag.Job{}, err
	}
	s.enqueue(j)
	return j, nil
}

func (s *Service) enqueue(j rag.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := &job{Job: j, done: make(chan struct{})}
	s.jobs[j.ID] = entry
	s.queue = append(s.queue, entry)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Service) keep(ctx context.Context, j rag.Job) error {
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return s.Jobs.PutJob(ctx, rag.JobRecord{ID: j.ID, Data: data, Created: j.Created * int64(time.Second), Finished: j.Finished * int64(time.Second)})
}

// Wait waits until a job ended, or ctx did.
func (s *Service) Wait(ctx context.Context, id string) (rag.Job, error) {
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	if j == nil {
		return s.Job(ctx, id)
	}
	select {
	case <-j.done:
		return j.snapshot(), nil
	case <-ctx.Done():
		return j.snapshot(), ctx.Err()
	}
}

// Job tells where a job stands.
func (s *Service) Job(ctx context.Context, id string) (rag.Job, error) {
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	if j != nil {
		return j.snapshot(), nil
	}
	r, err := s.Jobs.Job(ctx, id)
	if err != nil {
		return rag.Job{}, err
	}
	var out rag.Job
	return out, json.Unmarshal(r.Data, &out)
}

// List gives the jobs that are kept, the oldest first.
func (s *Service) List(ctx context.Context) ([]rag.Job, error) {
	records, err := s.Jobs.Jobs(ctx, false)
	if err != nil {
		return nil, err
	}
	list := make([]rag.Job, 0, len(records))
	for _, r := range records {
		j, err := s.Job(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		list = append(list, j)
	}
	return list, nil
}

// Cancel stops a job after the file at hand; what it has read stays.
func (s *Service) Cancel(ctx context.Context, id string) (rag.Job, error) {
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	if j == nil {
		return s.Job(ctx, id) // ended already, or unknown
	}
	j.mu.Lock()
	if j.State == rag.JobQueued {
		j.State = rag.JobCancelled
	}
	if j.cancel != nil {
		j.cancel()
	}
	j.mu.Unlock()
	s.nudge()
	return s.Wait(ctx, id)
}

func (s *Service) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Stats gives the figures so far.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Files, out.StageSeconds, out.StageCalls = copyMap(s.stats.Files), copyMap(s.stats.StageSeconds), copyMap(s.stats.StageCalls)
	out.QueueDepth, out.PendingVector = len(s.queue), len(s.pending)
	if len(s.queue) > 0 {
		out.OldestQueued = time.Unix(s.queue[0].Created, 0)
	}
	return out
}

func copyMap[K comparable, V any](m map[K]V) map[K]V {
	out := make(map[K]V, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func (s *Service) observe(stage string, start time.Time) {
	s.mu.Lock()
	s.stats.StageSeconds[stage] += time.Since(start).Seconds()
	s.stats.StageCalls[stage]++
	s.mu.Unlock()
}

// loop is the one worker.
func (s *Service) loop(ctx context.Context) {
	defer close(s.ended)
	retry := time.NewTicker(s.Config.RetryPending)
	defer retry.Stop()
	for {
		for j := s.next(); j != nil; j = s.next() {
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

func (s *Service) next() *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	j := s.queue[0]
	s.queue = s.queue[1:]
	return j
}

// run does one job and keeps how it ended. A job that the service's own end interrupts stays unfinished.
func (s *Service) run(ctx context.Context, j *job) {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	j.mu.Lock()
	cancelled := j.State == rag.JobCancelled
	if !cancelled {
		j.State, j.cancel = rag.JobRunning, cancel
	}
	j.mu.Unlock()
	start := time.Now()
	var err error
	if cancelled {
		err = context.Canceled
	} else {
		s.running(1)
		err = s.ingest(work, j)
		s.running(-1)
	}
	if ctx.Err() != nil {
		close(j.done)
		return
	}
	j.update(func(job *rag.Job) {
		job.Report.Seconds = time.Since(start).Seconds()
		job.Report.Current = ""
		job.Finished = time.Now().Unix()
		switch {
		case work.Err() != nil || errors.Is(err, context.Canceled):
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

func (s *Service) running(n int) {
	s.mu.Lock()
	s.stats.JobsRunning += n
	s.mu.Unlock()
}

// sentence is what a client may read of an error.
func sentence(err error) string {
	if e, ok := errors.AsType[*rag.Error](err); ok {
		return e.Detail
	}
	return "a fault of the server; its log says more"
}

// readers is how many files are read at once, ahead of embedding.
func readers() int { return max(1, min(4, runtime.GOMAXPROCS(0))) }
