package upstream

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Label is the name of the first host and its breaker in API and metrics.
const Label = "ollama_client"

// maxCooling bounds how long a host that had no room is asked last.
const maxCooling = time.Minute

// Client is the way to all configured hosts. It is an http.RoundTripper; its methods may be called from anywhere, any
// time.
type Client struct {
	cfg    Config
	hosts  []*host
	budget *budget
	queue  *queue

	firstLimit, lookupLimit, idleLimit, totalLimit *limit

	looking   sync.Mutex // of what follows
	looked    time.Time
	firstLook chan struct{}
	told      map[string]bool
}

// New makes a client; the error is Config.Validate's. Nothing is sent before the first call.
func New(cfg Config) (*Client, error) {
	return newClient(cfg, func(c *counts) http.RoundTripper {
		if cfg.Wrap != nil {
			return cfg.Wrap(newTransport(&cfg, c))
		}
		return newTransport(&cfg, c)
	})
}

func newClient(cfg Config, transport func(*counts) http.RoundTripper) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, budget: newBudget(), queue: newQueue(cfg.QueueSize, cfg.QueueTimeout), told: map[string]bool{},
		firstLimit:  &limit{name: "the first byte", d: cfg.FirstByteTimeout},
		lookupLimit: &limit{name: "the first byte", d: cfg.LookupTimeout},
		idleLimit:   &limit{name: "the next byte", d: cfg.IdleTimeout},
		totalLimit:  &limit{name: "the whole answer", d: cfg.TotalTimeout, total: true},
	}
	for i, u := range cfg.Hosts {
		label := cfg.Label
		if i > 0 {
			label += "/" + u.Host
		}
		h := newHost(&cfg, label, u)
		h.rt = transport(&h.counts)
		c.hosts = append(c.hosts, h)
	}
	return c, nil
}

// SpendRetry takes one call out of the retry budget, for a call that nobody asked for; false: nothing is left.
func (c *Client) SpendRetry() bool { return c.budget.spend() }

// RoundTrip sends the request to a host that can be asked, and again where that can help. See the package's doc for
// what it does to the request and what its errors are.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	if len(c.hosts) > 1 && isList(req) {
		return c.union(req)
	}
	call, err := newCall(req, &c.cfg)
	if err != nil {
		return nil, err
	}
	began, info := time.Now(), rag.RequestOf(req.Context())
	defer func() { info.AddAway(time.Since(began)) }()
	if call.names() {
		c.look(req.Context())
	}
	c.budget.call()
	s, err := c.admit(call)
	if err != nil {
		if call.body != nil && call.once {
			_ = req.Body.Close()
		}
		return nil, err
	}
	for {
		r := c.hedged(call, s)
		call.tried = append(call.tried, r.host)
		next, ok := c.next(call, r)
		if !ok {
			if r.resp != nil && r.attempt != nil {
				r.attempt.handed.Store(int64(time.Since(epoch)))
			}
			return r.resp, r.err
		}
		r.discard()
		s = next
	}
}

// admit finds a host for the call: an inference waits for a place and asks leave, a look-up does neither.
func (c *Client) admit(call *call) (seat, error) {
	if call.infer {
		return c.seat(call)
	}
	return c.lookupSeat(call)
}

func (c *Client) soonest() *host {
	best := c.hosts[0]
	if len(c.hosts) == 1 {
		return best
	}
	wait := best.breaker.Stats().RetryAfter
	for _, h := range c.hosts[1:] {
		if d := h.breaker.Stats().RetryAfter; d < wait {
			best, wait = h, d
		}
	}
	return best
}

// next decides whether the call is tried again after r, waits where it must, and gives the seat for it; not ok if r is
// what the caller gets. The error of a wait that the caller ended becomes r's.
func (c *Client) next(call *call, r *result) (next seat, ok bool) {
	if r.again == never || call.once || len(call.tried) > c.cfg.MaxRetries {
		return seat{}, false
	}
	call.avoid = call.tried
	if !c.elsewhere(call) {
		if r.again == elsewhere {
			return seat{}, false
		}
		call.avoid = nil
		wait, worth := c.backoff(call, r)
		if !worth || !c.elsewhere(call) || !c.budget.spend() || !c.sleep(call, r, wait) {
			return seat{}, false
		}
	} else if !c.budget.spend() {
		return seat{}, false
	}
	s, err := c.admit(call)
	if err != nil {
		if gone := call.req.Context().Err(); gone != nil {
			r.discard()
			r.resp, r.err = nil, err
		}
		return seat{}, false
	}
	r.host.retried(r.reason, s.host != r.host)
	return s, true
}

// elsewhere says whether a host that the call does not avoid may be asked.
func (c *Client) elsewhere(call *call) bool {
	if !call.infer {
		return slices.ContainsFunc(c.hosts, func(h *host) bool { return !call.avoids(h) && !h.open() })
	}
	return slices.ContainsFunc(c.options(call.model), func(o option) bool { return !call.avoids(o.lane.host) })
}

func (h *host) retried(reason string, elsewhere bool) {
	for i, known := range reasons {
		if known == reason {
			h.counts.retries[i].Add(1)
		}
	}
	if elsewhere {
		h.counts.failovers.Add(1)
	}
}

// backoff is the wait before the same hosts are asked again; false if waiting makes no sense.
func (c *Client) backoff(call *call, r *result) (time.Duration, bool) {
	d := jittered(c.cfg.RetryBackoff << call.waits)
	call.waits++
	if r.wait > c.cfg.MaxRetryAfter {
		return 0, false
	}
	d = max(d, r.wait)
	if deadline, ok := call.req.Context().Deadline(); ok && time.Until(deadline) < d {
		return 0, false
	}
	return d, true
}

// jittered is d, a quarter less to a quarter more.
func jittered(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) }

// sleep waits, unless the caller goes away: then r becomes the caller's own error.
func (c *Client) sleep(call *call, r *result, d time.Duration) bool {
	ctx := call.req.Context()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		r.discard()
		r.resp, r.err = nil, callError(ctx, r.host, nil, ctx.Err())
		return false
	}
}

// Probe asks one host, by its label in Stats, for its version, past its breaker: it is counted as a request and as
// nothing else.
func (c *Client) Probe(ctx context.Context, label string) (version string, err error) {
	for _, h := range c.hosts {
		if h.label == label {
			return c.probe(ctx, h)
		}
	}
	return "", rag.Errorf(rag.NotFound, "", "no model server is called %q", label)
}

func (c *Client) probe(ctx context.Context, h *host) (string, error) {
	data, err := c.fetch(ctx, h, "/api/version")
	if err != nil {
		return "", err
	}
	var v struct{ Version string }
	if err := json.Unmarshal(data, &v); err != nil || v.Version == "" {
		return "", rag.Errorf(rag.BadUpstream, "", "what answers at %s is not Ollama: it has no version", h.shown).Because(err)
	}
	return v.Version, nil
}

// Stats is what is known about each host, in the order of Config.Hosts.
func (c *Client) Stats() []HostStats {
	all := make([]HostStats, len(c.hosts))
	for i, h := range c.hosts {
		all[i] = h.stats(&c.cfg, c.queue)
	}
	return all
}

// Reset closes every breaker.
func (c *Client) Reset() {
	for _, h := range c.hosts {
		h.reset()
	}
}

// CloseIdleConnections closes the connections that carry no call.
func (c *Client) CloseIdleConnections() {
	for _, h := range c.hosts {
		if t, ok := h.rt.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}
