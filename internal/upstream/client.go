package upstream

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Label is the name of the first host and its breaker in API and metrics.
const Label = "ollama_client"

// maxCooling bounds how long a host that had no room is asked last.
const maxCooling = time.Minute

// maxVersionBody is how much of a probe's answer is read.
const maxVersionBody = 4 << 10

// Client is the way to all configured hosts. It is an http.RoundTripper; its methods may be called from anywhere, any
// time.
type Client struct {
	cfg    Config
	hosts  []*host
	budget *budget

	firstLimit, lookupLimit, idleLimit *limit
}

// New makes a client; the error is Config.Validate's. Nothing is sent before the first call.
func New(cfg Config) (*Client, error) {
	return newClient(cfg, func(c *counts) http.RoundTripper { return newTransport(&cfg, c) })
}

func newClient(cfg Config, transport func(*counts) http.RoundTripper) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, budget: newBudget(),
		firstLimit:  &limit{name: "the first byte", d: cfg.FirstByteTimeout},
		lookupLimit: &limit{name: "the first byte", d: cfg.LookupTimeout},
		idleLimit:   &limit{name: "the next byte", d: cfg.IdleTimeout},
	}
	machine := cfg.Breaker
	machine.SlowCall = 0 // judged here, by the first byte: a long answer is not a slow one
	var told []func(breaker.Change)
	if cfg.OnChange != nil {
		told = append(told, cfg.OnChange)
	}
	for i, u := range cfg.Hosts {
		h := &host{label: Label, url: u, shown: redact(u), guarded: cfg.BreakerEnabled}
		if i > 0 {
			h.label += "/" + u.Host
		}
		h.breaker = breaker.New(h.label, machine, told...)
		h.rt = transport(&h.counts)
		c.hosts = append(c.hosts, h)
	}
	return c, nil
}

// RoundTrip sends the request to a host that can be asked, and again where that can help. See the package's doc for
// what it does to the request and what its errors are.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	call, err := newCall(req, c.cfg.MaxReplayBytes)
	if err != nil {
		return nil, err
	}
	c.budget.call()
	// The queue's place: wait here for room among the hosts, and give the room back in body.Close by way of
	// attempt.release.
	h, done, err := c.admit(call, order(c.hosts))
	if err != nil {
		if call.body != nil && call.once {
			_ = req.Body.Close()
		}
		return nil, err
	}
	for {
		r := c.attempt(call, h, func(o breaker.Outcome) { h.settle(done, o) })
		call.tried = append(call.tried, h)
		next, leave := c.next(call, r)
		if next == nil {
			return r.resp, r.err
		}
		r.discard()
		h, done = next, leave
	}
}

// admit gets leave from the first host that gives it. If none does, the call counts as rejected by the host that can
// be asked soonest. Only inferences ask leave: what models there are says nothing about whether they answer, so a look-up is
// refused while every breaker is open, without being counted, and otherwise leaves the breaker alone.
func (c *Client) admit(call *call, candidates []*host) (*host, func(breaker.Outcome), error) {
	if len(candidates) == 0 {
		candidates = []*host{c.soonest()}
	}
	if h := candidates[0]; !call.infer {
		if h.open() {
			return nil, nil, openError(c.hosts, &breaker.OpenError{Name: h.label, State: breaker.Open, RetryAfter: h.breaker.Stats().RetryAfter})
		}
		return h, func(breaker.Outcome) {}, nil
	}
	var refused error
	for _, h := range candidates {
		done, err := h.allow()
		if err == nil {
			return h, done, nil
		}
		refused = err
	}
	return nil, nil, openError(c.hosts, refused)
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

// next decides whether the call is tried again after r, waits where it must, and gives the host and its leave; nil if
// r is what the caller gets. The error of a wait that the caller ended becomes r's.
func (c *Client) next(call *call, r *result) (*host, func(breaker.Outcome)) {
	if r.again == never || call.once || len(call.tried) > c.cfg.MaxRetries {
		return nil, nil
	}
	candidates := call.fresh(order(c.hosts))
	if len(candidates) == 0 {
		if r.again == elsewhere || len(order(c.hosts)) == 0 {
			return nil, nil
		}
		wait, ok := c.backoff(call, r)
		if !ok || !c.budget.spend() {
			return nil, nil
		}
		if !c.sleep(call, r, wait) {
			return nil, nil
		}
		candidates = order(c.hosts)
	} else if !c.budget.spend() {
		return nil, nil
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	h, done, err := c.admit(call, candidates)
	if err != nil {
		return nil, nil
	}
	r.host.retried(r.reason, h != r.host)
	return h, done
}

// fresh leaves out the hosts that were tried.
func (c *call) fresh(hosts []*host) []*host {
	var left []*host
	for _, h := range hosts {
		if !c.has(h) {
			left = append(left, h)
		}
	}
	return left
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
	d := c.cfg.RetryBackoff << call.waits
	d = d*3/4 + rand.N(d/2+1) // a quarter less to a quarter more
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ollama/api/version", nil)
	if err != nil {
		return "", err
	}
	r := c.attempt(&call{req: req, lookup: true}, h, func(breaker.Outcome) {})
	if r.err != nil {
		return "", r.err
	}
	defer r.discard()
	if r.resp.StatusCode != http.StatusOK {
		return "", rag.Errorf(rag.BadUpstream, "", "Ollama at %s answers %s to GET /api/version", h.shown, r.resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(r.resp.Body, maxVersionBody))
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
		all[i] = h.stats(&c.cfg)
	}
	return all
}

// Reset closes every breaker.
func (c *Client) Reset() {
	for _, h := range c.hosts {
		h.breaker.Reset()
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
