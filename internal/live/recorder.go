// Package live remembers the last hour of what an operator looks at first, so that the live page has a past to show the moment
// somebody opens it, with no other program set up. Once every few seconds it reads what the parts count anyway; what they have done
// since is worked out when somebody looks.
package live

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/ingest"
	"github.com/ollama-rag/ollama-rag/internal/metrics"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/upstream"
)

// The bounds of what is remembered: an hour.
const (
	Every      = 5 * time.Second
	Kept       = 720             // samples
	KeptChange = 500             // changes of breakers
	lookWait   = 2 * time.Second // how long a view waits for store and hosts
)

// Sources are the parts that are read.
type Sources struct {
	Hosts  func() []upstream.HostStats
	Queue  func() upstream.QueueStats
	Cache  func() rag.CacheStats
	Ingest func() ingest.Stats
	Store  func(context.Context) error // whether the store answers
	Look   func(context.Context)       // asks the model hosts whether they live: what Hosts says of idle ones is as old as the last call
	Flow   func() metrics.Flow         // nil: METRICS_ENABLED is false
}

// Recorder takes samples and remembers them.
type Recorder struct {
	sources Sources
	started time.Time

	mu      sync.Mutex
	samples []sample // oldest first
	changes []breaker.Change
	looked  time.Time // when hosts were last asked
}

// sample is what was counted up to a moment, and how things stood at it.
type sample struct {
	at   time.Time
	flow metrics.Flow

	exact, semantic, misses, coalesced uint64 // look-ups in the answer cache; questions that followed another
	retries, refused, rejected         uint64 // attempts repeated; calls that breakers refused; calls that got no place
	read, skipped, passages            uint64 // files that ingest read, those it could not, passages it made

	inFlight, places         int64  // calls at model hosts; how many these are trusted with
	chat, embedding, filling uint64 // calls that wait for a place, by class; filling is ingest's
	jobs, running            int    // ingest jobs that wait, and those at work
}

// New makes a recorder that has seen nothing yet.
func New(s Sources) *Recorder { return &Recorder{sources: s, started: time.Now()} }

// Run takes a sample at once and then one every few seconds, until ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		r.Take()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Changed notes that a breaker changed its state. It neither blocks nor fails.
func (r *Recorder) Changed(c breaker.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = keep(append(r.changes, c), KeptChange)
}

// keep drops the oldest of a list that has grown too long.
func keep[T any](list []T, most int) []T {
	if over := len(list) - most; over > 0 {
		return slices.Delete(list, 0, over)
	}
	return list
}

// Take takes a sample now.
func (r *Recorder) Take() {
	s := sample{at: time.Now()}
	if r.sources.Flow != nil {
		s.flow = r.sources.Flow()
	}
	c := r.sources.Cache()
	s.exact, s.semantic, s.misses, s.coalesced = c.Exact, c.Semantic, c.Misses, c.Coalesced
	i := r.sources.Ingest()
	s.read, s.skipped = i.Files[rag.FileAdded]+i.Files[rag.FileReplaced]+i.Files[rag.FileUnchanged], i.Files[rag.FileSkipped]
	s.passages, s.jobs, s.running = i.Passages, i.QueueDepth, i.JobsRunning
	for _, h := range r.sources.Hosts() {
		s.inFlight += h.InFlight
		s.refused += h.Breaker.Rejected
		for _, m := range h.Models {
			s.places += int64(m.Limit)
			s.refused += m.Breaker.Rejected
		}
		s.retries += sum(h.Retries)
	}
	q := r.sources.Queue()
	s.rejected = sum(q.Rejected)
	for _, w := range q.Waiting {
		switch w.Label {
		case rag.ClassChat.String():
			s.chat = w.Count
		case rag.ClassEmbedding.String():
			s.embedding = w.Count
		default:
			s.filling = w.Count
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = keep(append(r.samples, s), Kept)
}

func sum(counts []upstream.Count) uint64 {
	var n uint64
	for _, c := range counts {
		n += c.Count
	}
	return n
}
