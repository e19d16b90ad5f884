package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
)

// Config says where the model servers are and how patient to be with them. DefaultConfig has values for all but Hosts.
type Config struct {
	Hosts  []*url.URL // at least one; the first has Label, the others LABEL/HOST
	Label  string     // of the first host and its breaker in API and metrics
	Server string     // how errors call the servers

	PoolConnections int  // idle connections are kept for this many hosts at full size
	PoolMaxSize     int  // idle connections kept a host
	PoolBlock       bool // PoolMaxSize is also the most connections a host; further calls wait, within their own limits

	ConnectTimeout   time.Duration // dial, and again TLS
	FirstByteTimeout time.Duration // from sending an inference to the first byte of its answer's body; covers a model load
	IdleTimeout      time.Duration // between two bytes of a body after the first
	TotalTimeout     time.Duration // from sending an inference to the end of its answer; 0 is no limit
	LookupTimeout    time.Duration // as FirstByteTimeout, for model lists and the like, which load nothing

	MaxRetries     int           // further attempts after the first
	RetryBackoff   time.Duration // wait before the first retry; doubles with each, with jitter
	MaxRetryAfter  time.Duration // a server that wants a longer wait than this gets no retry: its answer is passed on
	MaxReplayBytes int64         // a request body beyond this is sent once and never tried again

	QueueSize    int           // calls that wait for a model, for each host that can serve it
	QueueTimeout time.Duration // for a place, retries of the same call included
	MaxPlaces    int           // most calls at once of a model on a host; how many it is within that is found out
	HedgeAfter   time.Duration // no answer's header by then: another host that holds the model is asked too; 0 is never

	OnMixed func(model, host string) // told once of a host that has another model under a name; may be nil

	Breaker        breaker.Config // SlowCall is measured to the first byte of the body
	BreakerEnabled bool
	// OnChange is told of each change of a breaker's state, and of what its host or model failed with last; may be nil.
	OnChange func(breaker.Change, Failure)
	// Wrap goes around the transport of each host, where it sees every attempt; nil: nothing does. It passes CloseIdleConnections on.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// DefaultConfig is the configuration for the given hosts when nothing is set.
func DefaultConfig(hosts ...*url.URL) Config {
	return Config{
		Hosts:            hosts,
		Label:            Label,
		Server:           "Ollama",
		PoolConnections:  10,
		PoolMaxSize:      20,
		ConnectTimeout:   5 * time.Second,
		FirstByteTimeout: 900 * time.Second,
		IdleTimeout:      180 * time.Second,
		TotalTimeout:     time.Hour,
		LookupTimeout:    30 * time.Second,
		QueueSize:        256,
		QueueTimeout:     900 * time.Second, // a model may load for that long before the first caller has its answer
		MaxPlaces:        64,
		MaxRetries:       3,
		RetryBackoff:     600 * time.Millisecond,
		MaxRetryAfter:    10 * time.Second,
		MaxReplayBytes:   64 << 20, // a chat with pictures is a few MiB
		Breaker:          breaker.DefaultConfig(),
		BreakerEnabled:   true,
	}
}

// Validate names everything that cannot work, each with its value and what is allowed; nil if all is well.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, name string, value any, allowed string) {
		if !ok {
			faults = append(faults, fmt.Errorf("upstream %s is %v: must be %s", name, value, allowed))
		}
	}
	check(len(c.Hosts) > 0, "Hosts", "empty", "at least one URL such as http://localhost:11434")
	seen := map[string]bool{}
	for i, h := range c.Hosts {
		name := fmt.Sprintf("Hosts[%d]", i)
		if h == nil || (h.Scheme != "http" && h.Scheme != "https") || h.Host == "" {
			check(false, name, redact(h), "a URL such as http://localhost:11434")
			continue
		}
		check(!seen[h.Host], name, redact(h), "a host that is not in the list already")
		seen[h.Host] = true
	}
	check(c.PoolConnections >= 1, "PoolConnections", c.PoolConnections, "1 or more")
	check(c.PoolMaxSize >= 1, "PoolMaxSize", c.PoolMaxSize, "1 or more")
	for name, d := range map[string]time.Duration{
		"ConnectTimeout": c.ConnectTimeout, "FirstByteTimeout": c.FirstByteTimeout, "IdleTimeout": c.IdleTimeout,
		"LookupTimeout": c.LookupTimeout, "RetryBackoff": c.RetryBackoff, "QueueTimeout": c.QueueTimeout,
	} {
		check(d > 0, name, d, "above 0s")
	}
	check(c.MaxRetryAfter >= 0, "MaxRetryAfter", c.MaxRetryAfter, "0s or more")
	check(c.MaxRetries >= 0 && c.MaxRetries <= 10, "MaxRetries", c.MaxRetries, "between 0 and 10")
	check(c.Label != "" && c.Server != "", "Label or Server", "empty", "a name")
	check(c.TotalTimeout >= 0, "TotalTimeout", c.TotalTimeout, "0s (no limit) or more")
	check(c.HedgeAfter >= 0, "HedgeAfter", c.HedgeAfter, "0s (never) or more")
	check(c.QueueSize >= 0, "QueueSize", c.QueueSize, "0 or more")
	check(c.MaxPlaces >= 1, "MaxPlaces", c.MaxPlaces, "1 or more")
	check(c.MaxReplayBytes >= 0, "MaxReplayBytes", c.MaxReplayBytes, "0 or more")
	faults = append(faults, c.Breaker.Validate())
	return errors.Join(faults...)
}

// ollama says whether the servers speak Ollama's own API: they say what they have and hold.
func (c *Config) ollama() bool { return c.Label == Label }

// redact is a URL fit for people's eyes: without user, password, query.
func redact(u *url.URL) string {
	if u == nil {
		return "nil"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}
