package upstream

import (
	"sync/atomic"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
)

// counts are a host's figures, each counted where the thing happens.
type counts struct {
	requests  atomic.Uint64 // headers written
	reused    atomic.Uint64
	inUse     atomic.Int64 // attempts that have a connection
	conns     atomic.Int64 // open connections
	dials     [4]atomic.Uint64
	outcomes  [3]atomic.Uint64
	saturated atomic.Uint64
	retries   [len(reasons)]atomic.Uint64
	failovers atomic.Uint64
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
	Cooling        bool // asked last for now: it failed or had no room a moment ago

	InFlight  int64   // calls whose answers are not read to the end yet
	Outcomes  []Count // attempts by outcome: neutral, success, failure
	Saturated uint64  // answers 503 and 429
	Retries   []Count // attempts repeated after this host's, by reason: connect, reset, timeout, status, saturated, missing
	Failovers uint64  // those of them that went to another host

	Requests        uint64  // HTTP requests whose header was written to a connection, probes and re-sends included
	Dials           []Count // by result: ok, refused, timeout, error
	Reused          uint64  // requests that got a connection that was there already
	Connections     int64   // open
	InUse           int64   // of these, carrying a call
	Idle            int64   // of these, waiting for one
	PoolConnections int     // as configured
	PoolMaxSize     int     // as configured
	PoolBlock       bool    // as configured
}

func (h *host) stats(cfg *Config) HostStats {
	c := &h.counts
	s := HostStats{
		Label: h.label, URL: h.shown, Breaker: h.breaker.Stats(), BreakerEnabled: h.guarded, Cooling: h.cooling(),
		InFlight: h.inFlight.Load(), Saturated: c.saturated.Load(), Failovers: c.failovers.Load(),
		Requests: c.requests.Load(), Reused: c.reused.Load(),
		Connections: c.conns.Load(), InUse: c.inUse.Load(),
		PoolConnections: cfg.PoolConnections, PoolMaxSize: cfg.PoolMaxSize, PoolBlock: cfg.PoolBlock,
	}
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
