package breaker

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func allow(t *testing.T, b *Breaker) func(Outcome) {
	t.Helper()
	done, err := b.Allow()
	if err != nil {
		t.Fatalf("no leave: %v", err)
	}
	return done
}

func report(t *testing.T, b *Breaker, outcomes ...Outcome) {
	t.Helper()
	for _, o := range outcomes {
		allow(t, b)(o)
	}
}

func times(n int, o Outcome) []Outcome {
	all := make([]Outcome, n)
	for i := range all {
		all[i] = o
	}
	return all
}

func opened(t *testing.T, cfg Config) *Breaker {
	t.Helper()
	b := New("ollama_client", cfg)
	report(t, b, times(cfg.FailureThreshold, Failure)...)
	return b
}

func TestNewBreakerIsClosedAndAllItsFiguresAreZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New("ollama_client", DefaultConfig()).Stats()
		if s.State != Closed || s.Successes+s.Failures+s.Neutral+s.Rejected+s.Changes() != 0 || !s.LastChange.Equal(time.Now()) {
			t.Errorf("got %+v", s)
		}
		want := map[[2]State]bool{{0, 1}: true, {1, 2}: true, {2, 0}: true, {2, 1}: true, {1, 0}: true}
		for _, p := range s.Transitions {
			delete(want, [2]State{p.From, p.To})
		}
		if len(want) != 0 || len(s.Transitions) != 5 {
			t.Errorf("transitions %v", s.Transitions)
		}
	})
}

func TestHistoriesLeadToStates(t *testing.T) {
	f, s, n := Failure, Success, Neutral
	for name, c := range map[string]struct {
		history []Outcome
		want    State
	}{
		"four failures in a row":           {[]Outcome{f, f, f, f}, Closed},
		"five failures in a row":           {[]Outcome{f, f, f, f, f}, Open},
		"a success breaks the row":         {[]Outcome{f, f, f, f, s, f, f, f}, Closed},
		"neutral does not break the row":   {[]Outcome{f, n, f, n, f, n, f, n, f}, Open},
		"half of ten fail":                 {[]Outcome{f, s, f, s, f, s, f, s, s, f}, Open},
		"half of nine is not enough calls": {[]Outcome{f, s, f, s, f, s, f, s, f}, Closed},
		"old failures leave the window":    {[]Outcome{f, f, f, f, s, s, s, s, s, s, s, s, s, s, f, f, f, f}, Closed},
		"a hundred clients leave":          {times(100, n), Closed},
	} {
		b := New(name, DefaultConfig())
		report(t, b, c.history...)
		if got := b.State(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestOpenRefusesExactlyForTheOpenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, DefaultConfig())
		time.Sleep(10 * time.Second)
		_, err := b.Allow()
		open, ok := errors.AsType[*OpenError](err)
		if !ok || open.State != Open || open.RetryAfter != 20*time.Second || !strings.Contains(err.Error(), "is OPEN") {
			t.Fatalf("got %v (%+v)", err, open)
		}
		time.Sleep(20*time.Second - 1)
		if _, err := b.Allow(); err == nil {
			t.Fatal("leave a nanosecond early")
		}
		time.Sleep(1)
		report(t, b, Success, Success)
		if got := b.State(); got != Closed {
			t.Errorf("after two good probes: %v", got)
		}
	})
}

func TestStateStatsAndTimeAgreeWhoeverAsksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, DefaultConfig())
		at := time.Now()
		time.Sleep(time.Hour)
		s := b.Stats()
		if s.State != HalfOpen || !s.LastChange.Equal(at.Add(30*time.Second)) || s.Changes() != 2 || s.RetryAfter != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestReopeningDoublesWithinBoundsAndACloseForgetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, DefaultConfig())
		if got := b.Stats().RetryAfter; got != 30*time.Second {
			t.Fatalf("first opening %v", got)
		}
		for _, want := range []time.Duration{60, 120, 240, 300, 300, 300} {
			want *= time.Second
			time.Sleep(b.Stats().RetryAfter)
			report(t, b, Failure)
			if got := b.Stats().RetryAfter; got < want || got > want+want/5 {
				t.Errorf("reopening: %v, want %v and up to 20 %%", got, want)
			}
		}
		time.Sleep(b.Stats().RetryAfter)
		report(t, b, Success, Success)
		report(t, b, times(5, Failure)...)
		if got := b.Stats().RetryAfter; got != 30*time.Second {
			t.Errorf("after a close: %v", got)
		}
	})
}

func TestNeverMoreProbesThanConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, DefaultConfig())
		time.Sleep(30 * time.Second)
		first := allow(t, b)
		allow(t, b)
		allow(t, b)
		_, err := b.Allow()
		if err == nil || !strings.Contains(err.Error(), "max calls reached") {
			t.Fatalf("fourth probe: %v", err)
		}
		first(Neutral)
		first(Neutral)
		allow(t, b)
		if _, err := b.Allow(); err == nil {
			t.Error("one place was given back twice")
		}
	})
}

func TestForgottenProbesGiveTheirPlacesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.HalfOpenMaxCalls = 1
		b := opened(t, cfg)
		time.Sleep(30 * time.Second)
		late := allow(t, b)
		time.Sleep(cfg.ProbeTimeout)
		report(t, b, Success)
		late(Failure)
		if s := b.Stats(); s.State != HalfOpen || s.ConsecutiveSuccesses != 1 {
			t.Errorf("a probe that lost its place moved the machine: %+v", s)
		}
		report(t, b, Success)
		if b.State() != Closed {
			t.Error("does not close")
		}
	})
}

func TestOutcomeCountsOnlyForTheStateThatAdmittedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("b", DefaultConfig())
		slowGood, slowBad, slower := allow(t, b), allow(t, b), allow(t, b)
		report(t, b, times(5, Failure)...)
		slowGood(Success)
		if s := b.Stats(); s.State != Open || s.ConsecutiveFailures != 5 {
			t.Errorf("a late success reset an open breaker: %+v", s)
		}
		time.Sleep(30 * time.Second)
		slowBad(Failure)
		slower(Success)
		if s := b.Stats(); s.State != HalfOpen || s.ConsecutiveSuccesses != 0 {
			t.Errorf("late results moved half_open: %+v", s)
		}
		if s := b.Stats(); s.Successes != 2 || s.Failures != 6 {
			t.Errorf("late results must still be counted: %+v", s)
		}
	})
}

func TestSecondReportIsVoid(t *testing.T) {
	b := New("b", DefaultConfig())
	done := allow(t, b)
	for range 10 {
		done(Failure)
	}
	if s := b.Stats(); s.Failures != 1 || s.State != Closed {
		t.Errorf("got %+v", s)
	}
}

func TestSlowSuccessIsAFailureWhereConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.SlowCall = time.Second
		b := New("b", cfg)
		fast, slow := allow(t, b), allow(t, b)
		time.Sleep(time.Second)
		fast(Success)
		time.Sleep(1)
		slow(Success)
		if s := b.Stats(); s.Successes != 1 || s.Failures != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestResetIsATransitionAndForgetsRunsButNotTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []Change
		b := New("b", DefaultConfig(), func(c Change) { told = append(told, c) })
		report(t, b, times(5, Failure)...)
		b.Reset()
		b.Reset()
		s := b.Stats()
		if s.State != Closed || s.ConsecutiveFailures != 0 || s.Failures != 5 || s.Changes() != 2 {
			t.Errorf("got %+v", s)
		}
		if len(told) != 2 || told[1].From != Open || told[1].To != Closed {
			t.Errorf("told %v", told)
		}
	})
}

func TestEndOpenTimeLetsProbesInAtOnce(t *testing.T) {
	b := opened(t, DefaultConfig())
	b.EndOpenTime()
	if b.State() != HalfOpen {
		t.Fatal("not half_open")
	}
	report(t, b, Success, Success)
	b.EndOpenTime()
	if b.State() != Closed {
		t.Error("not closed")
	}
}

func TestCallbacksRunOutsideTheLock(t *testing.T) {
	var b *Breaker
	calls := 0
	b = New("b", DefaultConfig(), func(c Change) {
		calls++
		if b.Stats().State != c.To {
			t.Errorf("told %v", c)
		}
	})
	report(t, b, times(5, Failure)...)
	b.Reset()
	if calls != 2 {
		t.Errorf("told %d times", calls)
	}
}

func TestImpossibleConfigurationsAreRefusedByNameAndValue(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"FailureThreshold is 0":   func(c *Config) { c.FailureThreshold = 0 },
		"OpenTimeout is 0s":       func(c *Config) { c.OpenTimeout = 0 },
		"MaxOpenTimeout is 1s":    func(c *Config) { c.MaxOpenTimeout = time.Second },
		"SuccessThreshold is -1":  func(c *Config) { c.SuccessThreshold = -1 },
		"HalfOpenMaxCalls is 0":   func(c *Config) { c.HalfOpenMaxCalls = 0 },
		"WindowSize is 0":         func(c *Config) { c.WindowSize = 0 },
		"MinCalls is 11":          func(c *Config) { c.MinCalls = 11 },
		"FailureRatio is NaN":     func(c *Config) { c.FailureRatio = math.NaN() },
		"FailureRatio is 1.5":     func(c *Config) { c.FailureRatio = 1.5 },
		"SlowCall is -1s":         func(c *Config) { c.SlowCall = -time.Second },
		"ProbeTimeout is 0s":      func(c *Config) { c.ProbeTimeout = 0 },
		"OpenTimeout is -1ns":     func(c *Config) { c.OpenTimeout = -1 },
		"FailureRatio is 0: must": func(c *Config) { c.FailureRatio = 0 },
	} {
		cfg := DefaultConfig()
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want a fault that says %q, got %v", name, err)
		}
	}
	if n := strings.Count((Config{}).Validate().Error(), "\n") + 1; n < 7 {
		t.Errorf("an empty configuration has %d faults told", n)
	}
}

func TestCountsAreExactUnderConcurrency(t *testing.T) {
	b := New("b", DefaultConfig())
	var wg sync.WaitGroup
	const workers, calls = 16, 1000
	for w := range workers {
		wg.Go(func() {
			for i := range calls {
				done, err := b.Allow()
				if err == nil {
					done([]Outcome{Success, Failure, Neutral}[(i+w)%3])
				}
				if i%100 == 0 {
					b.Reset()
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
	s := b.Stats()
	if got := s.Successes + s.Failures + s.Neutral + s.Rejected; got != workers*calls {
		t.Errorf("counted %d of %d calls", got, workers*calls)
	}
}

func BenchmarkAllowAndDone(b *testing.B) {
	br := New("b", DefaultConfig())
	b.ReportAllocs()
	for b.Loop() {
		done, err := br.Allow()
		if err != nil {
			b.Fatal(err)
		}
		done(Success)
	}
}

func BenchmarkRejection(b *testing.B) {
	br := New("b", DefaultConfig())
	for range 5 {
		done, _ := br.Allow()
		done(Failure)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := br.Allow(); err == nil {
			b.Fatal("leave")
		}
	}
}
