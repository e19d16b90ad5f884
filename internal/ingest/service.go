package ingest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Config bounds the work. The zero value of a field takes its default.
type Config struct {
	MaxFileBytes int64         // largest file that is read; 50 MiB
	MaxQueued    int           // most jobs that wait; 1,000
	MaxFiles     int           // most files of one job; 100,000
	ReadTimeout  time.Duration // longest that reading one file may take; 2 min
	EmbedBatch   int           // passages embedded in one step; 16
	StoreBatch   int           // passages stored in one step when vectors are made up for; 64
	RetryPending time.Duration // how often passages without vectors are tried again; 30 s
}

func (c Config) withDefaults() Config {
	if c.MaxFileBytes == 0 {
		c.MaxFileBytes = 50 << 20
	}
	if c.MaxQueued == 0 {
		c.MaxQueued = 1000
	}
	if c.MaxFiles == 0 {
		c.MaxFiles = 100_000
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 2 * time.Minute
	}
	if c.EmbedBatch == 0 {
		c.EmbedBatch = 16
	}
	if c.StoreBatch == 0 {
		c.StoreBatch = 64
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
	// Next finds the embedder that a knowledge base changes to when its vectors are built anew; nil: it cannot.
	Next      func(ctx context.Context) (rag.Embedder, rag.EmbedderID, error)
	Offline   func(ctx context.Context, base string) bool // whether a knowledge base gets its vectors without a model server; nil: never
	Followers []Follower
	Log       *slog.Logger
	Config    Config

	awake   atomic.Bool
	changes sync.Mutex // held from commit to followers: they hear of changes in order

	mu      sync.Mutex
	jobs    map[string]*job // unfinished
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
	Stages        map[string]Stage // read, cut, embed, store
	JobsRunning   int
	PendingVector int // knowledge bases with passages that wait for vectors
}

// Stage says how long a stage took, each time.
type Stage struct {
	Count   uint64
	Seconds float64            // all together
	Buckets map[float64]uint64 // by upper bound in seconds: how many took no longer
}

// stageBounds are the upper ends of Stage's buckets, in seconds. The last is a large scan.
var stageBounds = [...]float64{.001, .01, .1, 1, 10, 60, 600}

// The names of the stages in Stats.
const (
	StageRead  = "read"
	StageCut   = "cut"
	StageEmbed = "embed"
	StageStore = "store"
)

// Start takes up the jobs, and the passages without vectors, that a former process left and begins to work. Close ends it.
func (s *Service) Start(ctx context.Context) error {
	s.Config = s.Config.withDefaults()
	s.jobs, s.pending = map[string]*job{}, map[string]bool{}
	s.wake, s.ended = make(chan struct{}, 1), make(chan struct{})
	s.stats.Files, s.stats.Stages = map[rag.FileStatus]uint64{}, map[string]Stage{}
	for _, name := range []string{StageRead, StageCut, StageEmbed, StageStore} {
		stage := Stage{Buckets: map[float64]uint64{}}
		for _, bound := range stageBounds {
			stage.Buckets[bound] = 0
		}
		s.stats.Stages[name] = stage
	}
	records, err := s.Jobs.Jobs(ctx, true)
	if err != nil {
		return fmt.Errorf("unfinished jobs: %w", err)
	}
	for _, r := range records {
		var j rag.Job
		if err := json.Unmarshal(r.Data, &j); err != nil {
			return fmt.Errorf("unfinished job %s: %w", r.ID, err)
		}
		if j.State == rag.JobPaused {
			s.jobs[j.ID] = newJob(j)
			continue
		}
		s.enqueue(newJob(j))
	}
	waiting, err := s.Documents.PendingBases(ctx)
	if err != nil {
		return fmt.Errorf("passages without vectors: %w", err)
	}
	adopting := map[string]bool{}
	for _, j := range s.jobs {
		adopting[j.DB] = adopting[j.DB] || j.Request.Adopt
	}
	for _, base := range waiting {
		s.pending[base] = true
		if s.Offline != nil && s.Offline(ctx, base) && !adopting[base] {
			j := rag.Job{ID: rand.Text(), DB: base, Request: rag.IngestRequest{DB: base, Adopt: true}, Created: time.Now().Unix()}
			s.enqueue(newJob(j))
		}
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.loop(work)
	return nil
}

// Wake lets passages that wait for the vectors of a model server be made up for. Until somebody has asked for something, nothing
// is sent to one.
func (s *Service) Wake() { s.awake.Store(true) }

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

// Close stops the work where it is; unfinished jobs stay queued for the next start.
func (s *Service) Close() {
	s.stop()
	<-s.ended
}

// Submit keeps a job and answers with it; the work begins as soon as those before it are done.
func (s *Service) Submit(ctx context.Context, req rag.IngestRequest) (rag.Job, error) {
	s.Wake()
	s.mu.Lock()
	waiting := len(s.queue)
	s.mu.Unlock()
	if waiting >= s.Config.MaxQueued {
		return rag.Job{}, rag.Errorf(rag.Overloaded, "ingest_queue_full", "%d ingest jobs wait already: try again when some are done", waiting)
	}
	j := rag.Job{ID: rand.Text(), DB: req.DB, State: rag.JobQueued, Request: req, Created: time.Now().Unix()}
	if err := s.keep(ctx, j); err != nil {
		return rag.Job{}, err
	}
	s.enqueue(newJob(j))
	return j, nil
}

func (s *Service) enqueue(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enqueueLocked(j)
}

func (s *Service) enqueueLocked(j *job) {
	j.update(func(job *rag.Job) { job.State, job.Report = rag.JobQueued, rag.IngestReport{} })
	s.jobs[j.ID] = j
	s.queue = append(s.queue, j)
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

// Wait waits until a job ended, or ctx or the service did.
func (s *Service) Wait(ctx context.Context, id string) (rag.Job, error) {
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	if j == nil {
		return s.Job(ctx, id)
	}
	return s.wait(ctx, j)
}

func (s *Service) wait(ctx context.Context, j *job) (rag.Job, error) {
	select {
	case <-j.done:
		return j.snapshot(), nil
	case <-ctx.Done():
		return j.snapshot(), ctx.Err()
	case <-s.ended:
		return j.snapshot(), rag.Errorf(rag.Unavailable, "stopping", "the server is stopping; the job goes on at its next start")
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
		s.mu.Lock()
		running := s.jobs[r.ID]
		s.mu.Unlock()
		var j rag.Job
		if running != nil {
			j = running.snapshot()
		} else if err := json.Unmarshal(r.Data, &j); err != nil {
			return nil, fmt.Errorf("job %s: %w", r.ID, err)
		}
		list = append(list, j)
	}
	return list, nil
}

// Stats gives the figures so far.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Files, out.Stages = maps.Clone(s.stats.Files), maps.Clone(s.stats.Stages)
	for name, stage := range out.Stages {
		stage.Buckets = maps.Clone(stage.Buckets)
		out.Stages[name] = stage
	}
	out.QueueDepth, out.PendingVector = len(s.queue), len(s.pending)
	if len(s.queue) > 0 {
		out.OldestQueued = time.Unix(s.queue[0].Created, 0)
	}
	return out
}

func (s *Service) observe(stage string, start time.Time) {
	took := time.Since(start).Seconds()
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.stats.Stages[stage]
	of.Count++
	of.Seconds += took
	for _, bound := range stageBounds {
		if took <= bound {
			of.Buckets[bound]++
		}
	}
	s.stats.Stages[stage] = of
}

func (s *Service) atWork(n int) {
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
