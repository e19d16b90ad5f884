package upstream

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// counts are a host's figures, each counted where the thing happens.
type counts struct {
	requests  atomic.Uint64 // headers written
	reused    atomic.Uint64
	inUse     atomic.Int64 // attempts that have a connection
	conns     atomic.Int64 // open connections
	waits     waits        // for a connection
	dials     [4]atomic.Uint64
	outcomes  [3]atomic.Uint64
	saturated atomic.Uint64
	retries   [len(reasons)]atomic.Uint64
	failovers atomic.Uint64
	hedges    atomic.Uint64 // second attempts sent here
	hedgesWon atomic.Uint64
}

// Count is a figure with the label value it belongs to.
type Count struct {
	Label string
	Count uint64
}

// HostStats is what is known about one host. State, counts and times of its breaker are one picture; the other
// figures are each exact, but read one after the other.
type HostStats struct {
	Label          string // ollama_client for the first host, ollama_client/HOST for the others
	URL            string // without user, password and query
	Breaker        breaker.Stats
	BreakerEnabled bool
	Cooling        bool         // asked last for now: it failed or had no room a moment ago
	Down           bool         // the last contact came to nothing
	LastFailure    Failure      // kept when all is well again
	Version        string       // of Ollama; "" while unknown
	Loaded         []Loaded     // models in its memory, as far as is known, by name
	Models         []ModelStats // that it was asked for and has, in the order in which they were

	InFlight  int64   // calls whose answers are not read to the end yet
	Outcomes  []Count // attempts by outcome: neutral, success, failure
	Saturated uint64  // answers 503 and 429
	Retries   []Count // attempts repeated after this host's, by reason: connect, reset, timeout, status, saturated, missing
	Hedges    uint64  // second attempts sent here while a first was slow
	HedgesWon uint64  // those that answered first
	Failovers uint64  // those of them that went to another host

	Requests        uint64  // HTTP requests whose header was written to a connection, probes and re-sends included
	Dials           []Count // by result: ok, refused, timeout, error
	Reused          uint64  // requests that got a connection that was there already
	Connections     int64   // open
	InUse           int64   // of these, carrying a call
	Idle            int64   // of these, waiting for one
	Waits           Waits   // for a connection
	PoolConnections int     // as configured
	PoolMaxSize     int     // as configured
	PoolBlock       bool    // as configured
}

// ModelStats is what is known about one model on one host.
type ModelStats struct {
	Name     string
	Breaker  breaker.Stats // named HOST LABEL#MODEL
	Limit    int           // calls at once that it is trusted with now
	InUse    int           // of these
	Resident bool          // in the host's memory

	LastFailure Failure // of what the model does; what happens on the way to the host is the host's
}

// QueueStats is what is known about those who wait for a place, all models together.
type QueueStats struct {
	Waiting  []Count          // callers, by class
	Rejected []Count          // by reason: full, timeout, cooling
	Waits    map[string]Waits // of those who got a place, by class
}

// Queue is who waits, and who did.
func (c *Client) Queue() QueueStats {
	q := c.queue
	s := QueueStats{Waits: map[string]Waits{}}
	var waiting [classes]uint64
	q.mu.Lock()
	for _, ln := range q.lines {
		for class := range waiting {
			waiting[class] += uint64(len(ln.waiting[class]))
		}
	}
	q.mu.Unlock()
	for class := range waiting {
		name := rag.Class(class).String()
		s.Waiting = append(s.Waiting, Count{name, waiting[class]})
		s.Waits[name] = q.waited[class].stats()
	}
	for i, reason := range rejections {
		s.Rejected = append(s.Rejected, Count{reason, q.rejected[i].Load()})
	}
	return s
}

// Plus is who waits for the servers of either client.
func (s QueueStats) Plus(o QueueStats) QueueStats {
	sum := QueueStats{Waiting: slices.Clone(s.Waiting), Rejected: slices.Clone(s.Rejected), Waits: map[string]Waits{}}
	for i := range sum.Waiting {
		sum.Waiting[i].Count += o.Waiting[i].Count
	}
	for i := range sum.Rejected {
		sum.Rejected[i].Count += o.Rejected[i].Count
	}
	for class, a := range s.Waits {
		b := o.Waits[class]
		w := Waits{Count: a.Count + b.Count, Seconds: a.Seconds + b.Seconds, Buckets: map[float64]uint64{}}
		for bound, n := range a.Buckets {
			w.Buckets[bound] = n + b.Buckets[bound]
		}
		sum.Waits[class] = w
	}
	return sum
}

// models are those that the host was asked for and has: a name that only a client knows tells nothing.
func (q *queue) models(cfg *Config, h *host) []ModelStats {
	h.lanes.mu.Lock()
	var all []*lane
	for _, l := range h.lanes.all {
		if l.worked && l.model != "" {
			all = append(all, l)
		}
	}
	h.lanes.mu.Unlock()
	slices.SortFunc(all, func(a, b *lane) int { return a.born - b.born })
	out := make([]ModelStats, len(all))
	for i, l := range all {
		out[i] = ModelStats{Name: l.model, Breaker: l.breaker.Stats(), Resident: h.know.resident(l.model), LastFailure: l.failure.get()}
		out[i].Breaker.Config.SlowCall = cfg.Breaker.SlowCall
		q.mu.Lock()
		out[i].Limit, out[i].InUse = l.limiter.limit, l.inUse
		q.mu.Unlock()
	}
	return out
}

func (k *knowledge) stats(s *HostStats) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.Down, s.Version = k.down, k.version
	s.Loaded = slices.Collect(maps.Values(k.loaded))
	slices.SortFunc(s.Loaded, func(a, b Loaded) int { return strings.Compare(a.Name, b.Name) })
}

func (h *host) stats(cfg *Config, q *queue) HostStats {
	c := &h.counts
	s := HostStats{
		Label: h.label, URL: h.shown, Breaker: h.breaker.Stats(), BreakerEnabled: h.guarded, Cooling: h.cooling(),
		InFlight: h.inFlight.Load(), Saturated: c.saturated.Load(), Failovers: c.failovers.Load(),
		Hedges: c.hedges.Load(), HedgesWon: c.hedgesWon.Load(), Waits: c.waits.stats(), Models: q.models(cfg, h), LastFailure: h.failure.get(),
		Requests: c.requests.Load(), Reused: c.reused.Load(),
		Connections: c.conns.Load(), InUse: c.inUse.Load(),
		PoolConnections: cfg.PoolConnections, PoolMaxSize: cfg.PoolMaxSize, PoolBlock: cfg.PoolBlock,
	}
	h.know.stats(&s)
	s.Breaker.Config.SlowCall = cfg.Breaker.SlowCall
	s.InUse = min(s.InUse, s.Connections)
	s.Idle = s.Connections - s.InUse
	for i := range c.outcomes {
		s.Outcomes = append(s.Outcomes, Count{breaker.Outcome(i).String(), c.outcomes[i].Load()})
	}
	for i, reason := range reasons {
		s.Retries = append(s.Retries, Count{reason, c.retries[i].Load()})
	}
	for i, result := range dialResults {
		s.Dials = append(s.Dials, Count{result, c.dials[i].Load()})
	}
	return s
}
