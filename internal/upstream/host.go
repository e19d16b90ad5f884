package upstream

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
)

// failCooling is how long a host that just failed is asked last. Without it, the host that fails fastest would always
// have the fewest calls in flight, and draw all traffic until its breaker opens.
const failCooling = 2 * time.Second

// host is one model server and everything that is known about it.
type host struct {
	label       string
	url         *url.URL
	shown       string // url without secrets
	server      string // what it is, for people
	advice      string // what to do where nothing answers
	rt          http.RoundTripper
	breaker     *breaker.Breaker
	guarded     bool // breakers are asked
	makeBreaker func(name string, last *lastFailure) *breaker.Breaker
	mostPlaces  int // a model

	lanes   lanes
	know    knowledge
	failure lastFailure

	inFlight atomic.Int64
	coolTill atomic.Int64 // monotonic nanoseconds since epoch; the host is asked last until then
	counts   counts
}

func newHost(cfg *Config, label string, u *url.URL) *host {
	machine := cfg.Breaker
	machine.SlowCall = 0 // judged here, by the first byte: a long answer is not a slow one
	h := &host{
		label: label, url: u, shown: redact(u), server: cfg.Server, advice: "check OPENAI_BASE_URL", guarded: cfg.BreakerEnabled, mostPlaces: cfg.MaxPlaces,
		makeBreaker: func(name string, last *lastFailure) *breaker.Breaker {
			if cfg.OnChange == nil {
				return breaker.New(name, machine)
			}
			return breaker.New(name, machine, func(c breaker.Change) { cfg.OnChange(c, last.get()) })
		},
	}
	if cfg.ollama() {
		h.advice = "start it with `ollama serve` or set OLLAMA_BASE_URL"
	}
	h.breaker = h.makeBreaker(label, &h.failure)
	h.lanes.all = map[string]*lane{"": h.newLane("")}
	return h
}

// name is what people know the host by.
func (h *host) name() string { return h.server + " at " + h.shown }

// epoch is what coolTill counts from: the difference of two times is monotonic.
var epoch = time.Now()

func (h *host) cool(d time.Duration) { h.coolTill.Store(int64(time.Since(epoch) + d)) }

func (h *host) cooling() bool {
	till := h.coolTill.Load()
	return till != 0 && int64(time.Since(epoch)) < till
}

// open says whether asking for leave would be in vain.
func (h *host) open() bool { return h.guarded && h.breaker.State() == breaker.Open }

// settled notes an attempt's outcome, once.
func (h *host) settled(o breaker.Outcome) {
	h.counts.outcomes[o].Add(1)
	if o == breaker.Failure {
		h.cool(failCooling)
	}
}

// reset closes the breakers of the host and of its models.
func (h *host) reset() {
	h.breaker.Reset()
	h.lanes.mu.Lock()
	all := slices.Collect(maps.Values(h.lanes.all))
	h.lanes.ofHost = false
	h.lanes.mu.Unlock()
	for _, l := range all {
		l.breaker.Reset()
		h.lanes.mu.Lock()
		l.failing = false
		h.lanes.mu.Unlock()
	}
}

// address rewrites a request to this host.
func (h *host) address(r *http.Request) {
	r.URL.Scheme, r.URL.Host, r.Host = h.url.Scheme, h.url.Host, h.url.Host
	if base := strings.TrimSuffix(h.url.Path, "/"); base != "" {
		if r.URL.RawPath != "" {
			r.URL.RawPath = strings.TrimSuffix(h.url.EscapedPath(), "/") + r.URL.RawPath
		}
		r.URL.Path = base + r.URL.Path
	}
	r.Header.Del("Origin")
	if h.url.User != nil && r.Header.Get("Authorization") == "" {
		password, _ := h.url.User.Password()
		r.SetBasicAuth(h.url.User.Username(), password)
	}
}
