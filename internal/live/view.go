package live

import (
	"context"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/metrics"
	"github.com/ollama-rag/ollama-rag/internal/stat"
	"github.com/ollama-rag/ollama-rag/internal/upstream"
)

// window is how many samples a point of a line tells of.
const window = 6

// View is the picture. Times are Unix seconds; points of all lines stand at the times of At.
type View struct {
	Now      float64             `json:"now"`
	Started  float64             `json:"started"`
	Every    float64             `json:"every_seconds"`
	Window   float64             `json:"window_seconds"` // a point tells of so many seconds before it
	Metrics  bool                `json:"metrics_enabled"`
	Status   Finding             `json:"status"`
	Findings []Finding           `json:"findings"`
	At       []Number            `json:"at"`
	Lines    map[string][]Number `json:"lines"`
	Changes  []Change            `json:"changes"`
	Hosts    []Host              `json:"hosts"`
	Cache    Cache               `json:"cache"`
}

// Number is written short; NaN as null.
type Number float64

// MarshalJSON keeps six figures, or milliseconds of a time.
func (n Number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return []byte("null"), nil
	case math.Abs(f) >= 1e6:
		return strconv.AppendFloat(nil, f, 'f', 3, 64), nil
	}
	return strconv.AppendFloat(nil, f, 'g', 6, 64), nil
}

// Change is a change of a breaker's state.
type Change struct {
	At   Number `json:"at"`
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Host is how a model host stands now.
type Host struct {
	Name       string   `json:"name"`
	URL        string   `json:"url"`
	Look       Look     `json:"look"`
	Says       string   `json:"says"` // how it stands, in a few words
	State      string   `json:"state"`
	Since      Number   `json:"since"`
	RetryAfter Number   `json:"retry_after_seconds"`
	InFlight   int64    `json:"in_flight"`
	Failure    string   `json:"last_failure"` // in words; "": none yet
	FailedAt   Number   `json:"last_failure_at"`
	Version    string   `json:"version"`
	Loaded     []string `json:"loaded"`
	Models     []Model  `json:"models"`
}

// Model is how a model stands on its host.
type Model struct {
	Name    string `json:"name"`
	Breaker string `json:"breaker"`
	State   string `json:"state"`
	Since   Number `json:"since"`
	Places  int    `json:"places"`
	InUse   int    `json:"in_use"`
}

// Cache is how the answer cache stands.
type Cache struct {
	Enabled bool   `json:"enabled"`
	Size    int    `json:"size"`
	MaxSize int    `json:"max_size"`
	Tier    string `json:"semantic_tier"`
}

// rates are the lines that show how much came each second.
var rates = map[string]func(*sample) float64{
	"requests_ok":        func(s *sample) float64 { return s.flow.Requests[2] + s.flow.Requests[3] },
	"requests_refused":   func(s *sample) float64 { return s.flow.Requests[4] },
	"requests_failed":    func(s *sample) float64 { return s.flow.Requests[5] },
	"questions_answered": question("answered"),
	"questions_degraded": question("degraded"),
	"questions_refused":  question("refused"),
	"questions_failed":   question("error"),
	"questions_left":     question("abandoned"),
	"tokens_read":        func(s *sample) float64 { return s.flow.Input },
	"tokens_written":     func(s *sample) float64 { return s.flow.Output },
	"cache_exact":        func(s *sample) float64 { return float64(s.exact) },
	"cache_semantic":     func(s *sample) float64 { return float64(s.semantic) },
	"cache_misses":       func(s *sample) float64 { return float64(s.misses) },
	"cache_coalesced":    func(s *sample) float64 { return float64(s.coalesced) },
	"retries":            func(s *sample) float64 { return float64(s.retries) },
	"breaker_refused":    func(s *sample) float64 { return float64(s.refused) },
	"queue_rejected":     func(s *sample) float64 { return float64(s.rejected) },
	"files_read":         func(s *sample) float64 { return float64(s.read) },
	"files_skipped":      func(s *sample) float64 { return float64(s.skipped) },
	"passages":           func(s *sample) float64 { return float64(s.passages) },
}

func question(outcome string) func(*sample) float64 {
	return func(s *sample) float64 { return s.flow.Questions[outcome] }
}

// levels are the lines that show how things stood.
var levels = map[string]func(*sample) float64{
	"in_flight":         func(s *sample) float64 { return float64(s.inFlight) },
	"places":            func(s *sample) float64 { return float64(s.places) },
	"waiting_chat":      func(s *sample) float64 { return float64(s.chat) },
	"waiting_embedding": func(s *sample) float64 { return float64(s.embedding) },
	"waiting_ingest":    func(s *sample) float64 { return float64(s.filling) },
	"jobs_waiting":      func(s *sample) float64 { return float64(s.jobs) },
	"jobs_running":      func(s *sample) float64 { return float64(s.running) },
}

// times are the lines of quantiles, in seconds.
var times = map[string]struct {
	of func(*sample) metrics.Times
	q  float64
}{
	"first_word_p50": {firstWord, .5},
	"first_word_p95": {firstWord, .95},
	"whole_p50":      {whole, .5},
	"whole_p95":      {whole, .95},
}

func firstWord(s *sample) metrics.Times { return s.flow.First }
func whole(s *sample) metrics.Times     { return s.flow.Whole }

// View is the picture with the samples that were taken after since, all of them where that is zero.
func (r *Recorder) View(ctx context.Context, since time.Time) View {
	store := r.look(ctx)
	now := state{
		at: time.Now(), store: store, hosts: r.sources.Hosts(), cache: r.sources.Cache(), ingest: r.sources.Ingest(),
	}
	r.mu.Lock()
	samples, changes := slices.Clone(r.samples), slices.Clone(r.changes)
	r.mu.Unlock()
	now.samples, now.changes = samples, changes
	v := View{
		Now: unix(now.at), Started: unix(r.started), Every: Every.Seconds(), Window: (window * Every).Seconds(), Metrics: r.sources.Flow != nil,
		Findings: now.findings(), At: []Number{}, Lines: map[string][]Number{}, Changes: []Change{}, Hosts: []Host{},
		Cache: Cache{Enabled: now.cache.Enabled, Size: now.cache.Size, MaxSize: now.cache.MaxSize, Tier: string(now.cache.Contract.Tier)},
	}
	v.Status = now.status(v.Findings)
	first, _ := slices.BinarySearchFunc(samples, since, func(s sample, t time.Time) int { return s.at.Compare(t.Add(time.Millisecond)) })
	for i := first; i < len(samples); i++ {
		v.point(samples, i)
	}
	for _, c := range changes {
		v.Changes = append(v.Changes, Change{At: Number(unix(c.At)), Name: c.Name, From: c.From.String(), To: c.To.String()})
	}
	for i := range now.hosts {
		v.Hosts = append(v.Hosts, hostView(&now.hosts[i]))
	}
	return v
}

// look asks the store, and the hosts unless somebody else just did, whether they are there.
func (r *Recorder) look(ctx context.Context) (store error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	r.mu.Lock()
	due := time.Since(r.looked) >= Every
	if due {
		r.looked = time.Now()
	}
	r.mu.Unlock()
	var asking sync.WaitGroup
	if due {
		asking.Go(func() { r.sources.Look(ctx) })
	}
	store = r.sources.Store(ctx)
	asking.Wait()
	return store
}

// point adds what sample i shows to each line.
func (v *View) point(samples []sample, i int) {
	s, before := &samples[i], &samples[max(i-window, 0)]
	took := s.at.Sub(before.at).Seconds()
	v.At = append(v.At, Number(unix(s.at)))
	for name, of := range rates {
		v.Lines[name] = append(v.Lines[name], Number((of(s)-of(before))/took)) // 0/0 of the first one: not a number
	}
	for name, of := range levels {
		v.Lines[name] = append(v.Lines[name], Number(of(s)))
	}
	for name, t := range times {
		v.Lines[name] = append(v.Lines[name], Number(quantile(t.q, t.of(s), t.of(before))))
	}
}

// quantile is that of what was counted between two moments.
func quantile(q float64, now, before metrics.Times) float64 {
	between := slices.Clone(now.Cumulative)
	for i := range before.Cumulative {
		between[i] -= before.Cumulative[i]
	}
	return stat.Quantile(q, now.Bounds, between)
}

func hostView(h *upstream.HostStats) Host {
	v := Host{
		Name: h.Label, URL: h.URL, State: stateOf(h.BreakerEnabled, h.Breaker), Since: Number(unix(h.Breaker.LastChange)), RetryAfter: Number(h.Breaker.RetryAfter.Seconds()),
		InFlight: h.InFlight, Version: h.Version, Loaded: []string{}, Models: []Model{},
	}
	if f := h.LastFailure; f.Text != "" {
		v.Failure, v.FailedAt = f.Text, Number(unix(f.At))
	}
	v.Look, v.Says = standing(h)
	for _, m := range h.Loaded {
		v.Loaded = append(v.Loaded, m.Name)
	}
	for _, m := range h.Models {
		v.Models = append(v.Models, Model{Name: m.Name, Breaker: m.Breaker.Name, State: stateOf(h.BreakerEnabled, m.Breaker), Since: Number(unix(m.Breaker.LastChange)), Places: m.Limit, InUse: m.InUse})
	}
	return v
}

func stateOf(guarded bool, b breaker.Stats) string {
	if !guarded {
		return "disabled"
	}
	return b.State.String()
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
