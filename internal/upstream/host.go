package upstream

import (
	"net/http"
	"net/url"
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
	label   string
	url     *url.URL
	shown   string // url without secrets
	rt      http.RoundTripper
	breaker *breaker.Breaker
	guarded bool // the breaker is asked

	inFlight atomic.Int64
	coolTill atomic.Int64 // monotonic nanoseconds since epoch; the host is asked last until then
	counts   counts
}

// epoch is what coolTill counts from: the difference of two times is monotonic.
var epoch = time.Now()

func (h *host) cool(d time.Duration) { h.coolTill.Store(int64(time.Since(epoch) + d)) }

func (h *host) cooling() bool { return int64(time.Since(epoch)) < h.coolTill.Load() }

// open says whether asking for leave would be in vain.
func (h *host) open() bool { return h.guarded && h.breaker.State() == breaker.Open }

// allow asks leave for one attempt.
func (h *host) allow() (func(breaker.Outcome), error) {
	if !h.guarded {
		return func(breaker.Outcome) {}, nil
	}
	return h.breaker.Allow()
}

// settle reports an attempt's outcome, once.
func (h *host) settle(done func(breaker.Outcome), o breaker.Outcome) {
	h.counts.outcomes[o].Add(1)
	if o == breaker.Failure {
		h.cool(failCooling)
	}
	done(o)
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

// order sorts hosts for a call: those that may be asked before those that cool down, among these the one with the
// fewest calls in flight, among these the first. Hosts whose breaker is open are left out.
func order(hosts []*host) []*host {
	if len(hosts) == 1 {
		if hosts[0].open() {
			return nil
		}
		return hosts
	}
	type place struct {
		h       *host
		cooling bool
		calls   int64
	}
	var places []place
	for _, h := range hosts {
		if h.open() {
			continue
		}
		p := place{h, h.cooling(), h.inFlight.Load()}
		i := len(places)
		for i > 0 && (places[i-1].cooling && !p.cooling || places[i-1].cooling == p.cooling && places[i-1].calls > p.calls) {
			i--
		}
		places = append(places[:i], append([]place{p}, places[i:]...)...)
	}
	sorted := make([]*host, len(places))
	for i, p := range places {
		sorted[i] = p.h
	}
	return sorted
}
