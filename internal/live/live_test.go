package live

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/ingest"
	"github.com/ollama-rag/ollama-rag/internal/metrics"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/upstream"
)

// parts are the sources of a recorder, as a test sets them.
type parts struct {
	mu     sync.Mutex
	looks  int // how often the hosts were asked
	hosts  []upstream.HostStats
	queue  upstream.QueueStats
	cache  rag.CacheStats
	ingest ingest.Stats
	store  error
	flow   metrics.Flow
}

func (p *parts) look(context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks++
}

func (p *parts) sources() Sources {
	return Sources{
		Hosts: func() []upstream.HostStats {
			return read(p, func() []upstream.HostStats { return slices.Clone(p.hosts) })
		},
		Queue: func() upstream.QueueStats { return read(p, func() upstream.QueueStats { return p.queue }) },
		Cache: func() rag.CacheStats { return read(p, func() rag.CacheStats { return p.cache }) }, Ingest: func() ingest.Stats { return read(p, func() ingest.Stats { return p.ingest }) },
		Look:  p.look,
		Store: func(context.Context) error { return read(p, func() error { return p.store }) }, Flow: func() metrics.Flow { return read(p, func() metrics.Flow { return p.flow }) },
	}
}

func read[T any](p *parts, what func() T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	return what()
}

// host is a model host that answers.
func host(name string) upstream.HostStats {
	return upstream.HostStats{Label: name, URL: "http://" + name, BreakerEnabled: true, Version: "0.17.4", Requests: 1}
}

// took is a histogram of answers that took just under the given seconds each.
func took(n float64, seconds float64) metrics.Times {
	t := metrics.Times{Bounds: []float64{1, 5, 10, 30, math.Inf(1)}}
	for _, bound := range t.Bounds {
		if seconds <= bound {
			t.Cumulative = append(t.Cumulative, n)
		} else {
			t.Cumulative = append(t.Cumulative, 0)
		}
	}
	return t
}

// run lets a recorder take samples for so long; change is called after each.
func run(t *testing.T, p *parts, ticks int, change func(i int)) *Recorder {
	t.Helper()
	r := New(p.sources())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	for i := range ticks {
		synctest.Wait() // sample i is taken
		p.mu.Lock()
		change(i)
		p.mu.Unlock()
		time.Sleep(Every)
	}
	synctest.Wait()
	stop()
	<-ended
	return r
}

func line(t *testing.T, v View, name string) []Number {
	t.Helper()
	l := v.Lines[name]
	if len(l) != len(v.At) {
		t.Fatalf("%s has %d points at %d times", name, len(l), len(v.At))
	}
	return l
}

func TestAPointTellsOfTheWindowBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parts{hosts: []upstream.HostStats{host("a")}, flow: metrics.Flow{First: took(0, 1)}}
		r := run(t, p, 12, func(i int) {
			if i < 6 { // ten requests in each of the first six spans of 5 s, then none
				p.flow.Requests[2] += 10
				p.cache.Misses += 5
				p.flow.First = took(float64(10*(i+1)), 5)
			}
			p.hosts[0].InFlight = int64(i)
		})
		v := r.View(t.Context(), time.Time{})
		served := line(t, v, "requests_ok")
		if len(v.At) != 13 || !math.IsNaN(float64(served[0])) {
			t.Fatalf("%d points, the first is %g: nothing was before it", len(v.At), served[0])
		}
		for i, want := range map[int]float64{1: 2, 6: 2, 9: 1, 12: 0} { // requests a second
			if got := float64(served[i]); math.Abs(got-want) > 1e-9 {
				t.Errorf("point %d is %g, not %g", i, got, want)
			}
		}
		if got := line(t, v, "in_flight")[5]; got != 4 {
			t.Errorf("%g calls under way", got)
		}
		if got := line(t, v, "cache_misses")[3]; got != 1 {
			t.Errorf("%g misses a second", got)
		}
		first := line(t, v, "first_word_p50")
		if got := float64(first[6]); got != 3 { // all between 1 and 5 s
			t.Errorf("the median is %g", got)
		}
		if got := float64(first[12]); !math.IsNaN(got) {
			t.Errorf("the median of nothing is %g", got)
		}
	})
}

func TestEveryLineHasAPointForEverySampleAndSinceLeavesOutTheOldOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &parts{}, 3, func(int) {})
		all := r.View(t.Context(), time.Time{})
		for name := range all.Lines {
			line(t, all, name)
		}
		if want := len(rates) + len(levels) + len(times); len(all.Lines) != want {
			t.Errorf("%d lines, not %d: two have one name", len(all.Lines), want)
		}
		second := time.UnixMilli(int64(math.Round(float64(all.At[1]) * 1000)))
		later := r.View(t.Context(), second)
		if len(later.At) != 2 || later.At[0] != all.At[2] || len(line(t, later, "retries")) != 2 {
			t.Errorf("after %v of %v come %v", all.At[1], all.At, later.At)
		}
		if none := r.View(t.Context(), time.Now().Add(time.Hour)); len(none.At) != 0 {
			t.Errorf("%v", none.At)
		}
	})
}

func TestAnHourIsKeptAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &parts{}, Kept+20, func(int) {})
		for range KeptChange + 5 {
			r.Changed(breaker.Change{Name: "a", At: time.Now()})
		}
		v := r.View(t.Context(), time.Time{})
		if len(v.At) != Kept || len(v.Changes) != KeptChange || time.Duration(Kept)*Every != time.Hour {
			t.Errorf("%d samples, %d changes", len(v.At), len(v.Changes))
		}
		data, err := json.Marshal(v)
		if err != nil || len(data) > 300<<10 {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	})
}

func TestTheFiguresAreJSONWhateverTheyAre(t *testing.T) {
	for n, want := range map[Number]string{0: "0", 1.0 / 3: "0.333333", 1764425932.1234: "1764425932.123", 1e-9: "1e-09", Number(math.Inf(1)): "null"} {
		if got, err := json.Marshal(n); err != nil || string(got) != want {
			t.Errorf("%g is %s, not %s: %v", float64(n), got, want, err)
		}
	}
	if got, err := json.Marshal(Number(math.NaN())); err != nil || string(got) != "null" {
		t.Errorf("%s %v", got, err)
	}
}

func TestReadersAndBreakersDoNotWaitForEachOther(t *testing.T) {
	r := New((&parts{hosts: []upstream.HostStats{host("a")}}).sources())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				r.Take()
				r.Changed(breaker.Change{Name: "a", At: time.Now()})
				if _, err := json.Marshal(r.View(context.Background(), time.Time{})); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// Each finding is there when it should be, and not when things are only nearly so.
func TestFindings(t *testing.T) {
	open := breaker.Stats{State: breaker.Open, RetryAfter: 20 * time.Second, Successes: 1}
	for name, c := range map[string]struct {
		want   string // "" : none
		look   Look
		change func(p *parts, i int) // after sample i of 15, one every 5 s
	}{
		"all well": {"", Good, func(p *parts, _ int) {
			p.flow.Requests[2] += 10
			p.flow.First = took(p.flow.First.Cumulative[4]+10, 5)
			p.cache.Exact++
		}},
		"the store is gone":        {"The store does not answer", Bad, func(p *parts, _ int) { p.store = errors.New("disk I/O error") }},
		"the only host is cut off": {"No model server answers: a (http://a) is cut off, tried again in 20 s", Bad, func(p *parts, _ int) { p.hosts[0].Breaker = open }},
		"the only host refuses": {"No model server answers: a (http://a) is cut off, tried again in 20 s (connection refused). Questions", Bad, func(p *parts, _ int) {
			p.hosts[0].Breaker, p.hosts[0].LastFailure = open, upstream.Failure{At: time.Now(), Text: "connection refused"}
		}},
		"one model has no memory": {"Calls of the model m on a are refused, tried again in 20 s: it failed while others answered (" + strings.Repeat("é", 80) + "…).", Warn, func(p *parts, _ int) {
			p.hosts[0].Models = []upstream.ModelStats{{Name: "m", Breaker: open, LastFailure: upstream.Failure{At: time.Now(), Text: strings.Repeat("é", 81)}}}
		}},
		"a failure that is over": {"", Good, func(p *parts, _ int) {
			p.hosts[0].LastFailure = upstream.Failure{At: time.Now(), Text: "connection refused"}
		}},
		"nobody ever was there": {"No model server is there", Warn, func(p *parts, _ int) { p.hosts[0].Down, p.hosts[0].Version = true, "" }},
		"one of two hosts is down": {"1 of 2 model hosts down: b (http://b) does not answer. The others serve.", Warn, func(p *parts, i int) {
			if i == 0 {
				p.hosts = append(p.hosts, host("b"))
				p.hosts[1].Down = true
			}
		}},
		"a breaker that does not guard": {"", Good, func(p *parts, _ int) { p.hosts[0].Breaker, p.hosts[0].BreakerEnabled = open, false }},
		"one request in ten fails": {"12 of 120 requests failed in the last minute", Bad, func(p *parts, _ int) {
			p.flow.Requests[2] += 9
			p.flow.Requests[5]++
		}},
		"one request in forty fails": {"", Good, func(p *parts, _ int) {
			p.flow.Requests[2] += 39
			p.flow.Requests[5]++
		}},
		"clients ask for what is not there": {"", Good, func(p *parts, _ int) { p.flow.Requests[4] += 10 }},
		"questions get passages": {"12 of 24 questions got quoted passages", Warn, func(p *parts, i int) {
			p.flow.Questions = map[string]float64{"answered": float64(i + 1), "degraded": float64(i + 1)}
		}},
		"calls get no place": {"12 calls got no place", Bad, func(p *parts, i int) { p.queue.Rejected = []upstream.Count{{Label: "full", Count: uint64(i + 1)}} }},
		"calls wait and wait": {"3 calls wait for a place on a model host, and some have all the last minute; the hosts do 2 at once", Warn, func(p *parts, _ int) {
			p.hosts[0].Models = []upstream.ModelStats{{Name: "m", Limit: 2}}
			p.queue.Waiting = []upstream.Count{{Label: "chat", Count: 3}}
		}},
		"calls wait now and then": {"", Good, func(p *parts, i int) { p.queue.Waiting = []upstream.Count{{Label: "chat", Count: uint64(i % 2)}} }},
		"ingest waits for chat":   {"", Good, func(p *parts, _ int) { p.queue.Waiting = []upstream.Count{{Label: "ingest", Count: 3}} }},
		"one model fails":         {"Calls of the model m on a are refused", Warn, func(p *parts, _ int) { p.hosts[0].Models = []upstream.ModelStats{{Name: "m", Breaker: open}} }},
		"words come late":         {"The first word takes 29", Warn, func(p *parts, i int) { p.flow.First = took(float64(i+1), 25) }},
		"a job waits":             {"An ingest job has waited for 20 minutes", Warn, func(p *parts, _ int) { p.ingest.OldestQueued = time.Now().Add(-20*time.Minute + Every) }},
		"files are refused":       {"1 file could not be read", Warn, func(p *parts, i int) { p.ingest.Files = map[rag.FileStatus]uint64{rag.FileSkipped: uint64(min(i, 1))} }},
		"the tier is closed": {"Similar questions are not answered from the cache: 9 of 60", Warn, func(p *parts, _ int) {
			p.cache.Contract = rag.CacheContract{Tier: rag.TierClosed, Compared: 60, Different: 9}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &parts{hosts: []upstream.HostStats{host("a")}, flow: metrics.Flow{First: took(0, 1)}}
				p.cache.Enabled = true
				r := run(t, p, 15, func(i int) { c.change(p, i) })
				v := r.View(t.Context(), time.Time{})
				if v.Status.Look != c.look || v.Status.Hint == "" {
					t.Errorf("%+v", v.Status)
				}
				if c.want == "" {
					if len(v.Findings) != 0 {
						t.Errorf("%+v", v.Findings)
					}
					return
				}
				if len(v.Findings) != 1 || v.Findings[0].Look != c.look || !strings.HasPrefix(v.Findings[0].Text, c.want) || v.Status.Text != v.Findings[0].Text {
					t.Errorf("%+v", v.Findings)
				}
			})
		})
	}
}

func TestTheWorstComesFirstAndABreakerThatFlapsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parts{hosts: []upstream.HostStats{host("a")}, store: errors.New("gone")}
		r := run(t, p, 2, func(int) {})
		for range 10 { // an outage whose probes fail
			r.Changed(breaker.Change{Name: "b", From: breaker.HalfOpen, To: breaker.Open, At: time.Now()})
		}
		for i := range flapping {
			r.Changed(breaker.Change{Name: "a", From: breaker.Closed, To: breaker.Open, At: time.Now()})
			v := r.View(t.Context(), time.Time{})
			if flaps := len(v.Findings) == 2; v.Findings[0].Look != Bad || flaps != (i == flapping-1) || flaps && !strings.HasPrefix(v.Findings[1].Text, "a opens and closes") {
				t.Errorf("after %d changes: %+v", i+1, v.Findings)
			}
		}
		time.Sleep(flappingWithin + time.Second)
		if v := r.View(t.Context(), time.Time{}); len(v.Findings) != 1 || v.Changes[0].From != "half_open" {
			t.Errorf("%+v", v.Findings)
		}
	})
}

func TestASummaryOfGoodTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parts{hosts: []upstream.HostStats{host("a")}, flow: metrics.Flow{First: took(0, 1)}}
		if hint := New(p.sources()).View(t.Context(), time.Time{}).Status.Hint; !strings.Contains(hint, "in a few seconds") {
			t.Error(hint)
		}
		r := run(t, p, 6, func(i int) {
			p.flow.Requests[2] += 2
			p.flow.First = took(float64(i), 5)
			p.cache.Exact, p.cache.Misses = uint64(i), uint64(i)
		})
		want := "12 requests in the last minute, the first word after 3.0 s, 50 % from the cache."
		if got := r.View(t.Context(), time.Time{}).Status; got.Text != "All is well." || got.Hint != want {
			t.Errorf("%+v", got)
		}
	})
}

// Hosts are asked because somebody looks, and not more often for many who do.
func TestWhoLooksHasTheHostsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parts{hosts: []upstream.HostStats{host("a")}}
		r := run(t, p, 3, func(int) {})
		if p.looks != 0 {
			t.Errorf("asked %d times though nobody looked", p.looks)
		}
		for range 10 {
			r.View(t.Context(), time.Time{})
		}
		time.Sleep(Every)
		r.View(t.Context(), time.Time{})
		if p.looks != 2 {
			t.Errorf("asked %d times", p.looks)
		}
	})
}
