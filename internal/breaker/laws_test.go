package breaker

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// model is the laws as seen from outside: what was asked, what was answered.
type model struct {
	cfg      Config
	b        *Breaker
	calls    []call
	counts   [3]uint64
	rejected uint64
	changes  []Change
	seen     uint64 // changes
	run      int    // successes in a row since the last of them
}

// call is a leave that was not reported yet.
type call struct {
	done  func(Outcome)
	probe bool
	at    time.Time
	epoch uint64 // changes before it
}

func configs(t *rapid.T) Config {
	cfg := DefaultConfig()
	cfg.FailureThreshold = rapid.IntRange(1, 4).Draw(t, "failure threshold")
	cfg.SuccessThreshold = rapid.IntRange(1, 4).Draw(t, "success threshold")
	cfg.HalfOpenMaxCalls = rapid.IntRange(1, 4).Draw(t, "half-open max calls")
	cfg.WindowSize = rapid.IntRange(1, 6).Draw(t, "window size")
	cfg.MinCalls = rapid.IntRange(1, cfg.WindowSize).Draw(t, "min calls")
	cfg.FailureRatio = rapid.Float64Range(0.01, 1).Draw(t, "failure ratio")
	cfg.OpenTimeout = time.Duration(rapid.IntRange(1, 60).Draw(t, "open time")) * time.Second
	cfg.MaxOpenTimeout = cfg.OpenTimeout * time.Duration(rapid.IntRange(1, 10).Draw(t, "max open time"))
	cfg.ProbeTimeout = time.Duration(rapid.IntRange(1, 600).Draw(t, "probe time")) * time.Second
	return cfg
}

// TestLawsHoldOverRandomHistories draws configurations and histories of calls, late, double and forgotten reports, waits
// and resets, and checks laws 1 to 6 after every step. rapid prints the history and its seed when one fails.
func TestLawsHoldOverRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := configs(rt)
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 50, 300).Draw(rt, "history")
		var fault string
		synctest.Test(t, func(*testing.T) {
			m := &model{cfg: cfg}
			m.b = New("b", cfg, func(c Change) { m.changes = append(m.changes, c) })
			for _, s := range steps {
				if fault = m.step(s); fault == "" {
					fault = m.check()
				}
				if fault != "" {
					return
				}
			}
			fault = m.heals()
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

type step struct {
	Kind    int // 0-4 ask, 5-7 report, 8 report twice, 9-10 wait, 11 reset or end the open time
	Which   int
	Outcome Outcome
	Wait    time.Duration
}

func drawStep(t *rapid.T) step {
	return step{
		Kind:    rapid.IntRange(0, 11).Draw(t, "kind"),
		Which:   rapid.IntRange(0, 1000).Draw(t, "which"),
		Outcome: Outcome(rapid.IntRange(0, 2).Draw(t, "outcome")),
		Wait:    time.Duration(rapid.IntRange(0, 120_000).Draw(t, "wait")) * time.Millisecond,
	}
}

func (m *model) step(s step) string {
	switch {
	case s.Kind <= 4:
		return m.ask()
	case s.Kind <= 8 && len(m.calls) > 0:
		i := s.Which % len(m.calls)
		return m.report(i, s.Outcome, s.Kind == 8)
	case s.Kind == 9 || s.Kind == 10:
		time.Sleep(s.Wait)
	case s.Kind == 11 && s.Which%8 == 0:
		m.b.Reset()
		m.calls, m.run = void(m.calls), 0
	case s.Kind == 11 && s.Which%8 == 1:
		m.b.EndOpenTime()
	}
	return ""
}

// void makes all calls so far strangers to the state to come.
func void(calls []call) []call {
	for i := range calls {
		calls[i].epoch = ^uint64(0)
	}
	return calls
}

// ask checks law 4: open refuses, with the time until the next probe; and law 1: half_open never gives more leave than
// it has places.
func (m *model) ask() string {
	before := m.b.Stats()
	done, err := m.b.Allow()
	switch {
	case before.State == Open && err == nil:
		return "leave while open"
	case before.State == Closed && err != nil:
		return "refused while closed"
	case before.State == HalfOpen && (err == nil) != (m.probes() < m.cfg.HalfOpenMaxCalls):
		return "half_open gave leave wrongly: " + errText(err)
	}
	if err != nil {
		m.rejected++
		if open := err.(*OpenError); open.RetryAfter <= 0 || open.State != before.State || open.State == Open && open.RetryAfter != before.RetryAfter {
			return "refusal is wrong: " + err.Error()
		}
		return ""
	}
	m.calls = append(m.calls, call{done, before.State == HalfOpen, time.Now(), before.Changes()})
	return ""
}

func errText(err error) string {
	if err == nil {
		return "leave given"
	}
	return err.Error()
}

// probes counts the calls that hold a place: let in by the half_open that still stands, and not forgotten.
func (m *model) probes() int {
	n, epoch := 0, m.b.Stats().Changes()
	for _, c := range m.calls {
		if c.probe && c.epoch == epoch && time.Since(c.at) < m.cfg.ProbeTimeout {
			n++
		}
	}
	return n
}

// report checks law 3: what a former state let in moves nothing, and nothing counts twice.
func (m *model) report(i int, o Outcome, twice bool) string {
	c := m.calls[i]
	before := m.b.Stats()
	m.notice(before)
	c.done(o)
	after := m.b.Stats()
	m.counts[o]++
	stale := c.epoch != before.Changes() || c.probe && time.Since(c.at) >= m.cfg.ProbeTimeout
	moved := after.Changes() != before.Changes() || after.ConsecutiveFailures != before.ConsecutiveFailures ||
		after.ConsecutiveSuccesses != before.ConsecutiveSuccesses
	if stale && moved {
		return "a late " + o.String() + " moved the machine"
	}
	if o == Neutral && moved {
		return "neutral moved the machine"
	}
	if !stale {
		m.run = map[Outcome]int{Success: m.run + 1, Neutral: m.run}[o]
	}
	if before.State == HalfOpen && (after.State == Closed) != (!stale && o == Success && m.run >= m.cfg.SuccessThreshold) {
		return "closed too early or too late"
	}
	if before.State == HalfOpen && (after.State == Open) != (!stale && o == Failure) {
		return "a failed probe, and only that, reopens"
	}
	if twice {
		c.done(Failure)
		if again := m.b.Stats(); again.Failures != after.Failures || again.Changes() != after.Changes() {
			return "a second report counted"
		}
	}
	m.calls = append(m.calls[:i:i], m.calls[i+1:]...)
	return ""
}

// notice starts a new run of successes where the state has changed.
func (m *model) notice(s Stats) {
	if s.Changes() != m.seen {
		m.seen, m.run = s.Changes(), 0
	}
}

// check holds laws 1, 5 and 6 against one picture.
func (m *model) check() string {
	s := m.b.Stats()
	m.notice(s)
	switch {
	case s.ConsecutiveSuccesses != m.run:
		return "the run of successes is counted wrongly"
	case s.Probes > m.cfg.HalfOpenMaxCalls || s.Probes != m.probes() && s.State == HalfOpen:
		return "probes on their way are counted wrongly"
	case s.Successes != m.counts[Success] || s.Failures != m.counts[Failure] || s.Neutral != m.counts[Neutral]:
		return "outcomes are counted wrongly"
	case s.Rejected != m.rejected:
		return "refusals are counted wrongly"
	case s.Changes() != uint64(len(m.changes)):
		return "callbacks and transitions disagree"
	case s.State == Open && (s.RetryAfter <= 0 || s.RetryAfter > m.cfg.MaxOpenTimeout*6/5):
		return "open time out of bounds: " + s.RetryAfter.String()
	case s.LastChange.After(time.Now()):
		return "a change in the future"
	}
	state := Closed
	for _, c := range m.changes {
		if c.From != state {
			return "a change from a state that did not stand"
		}
		state = c.To
	}
	if s.State != state {
		return "state and changes disagree"
	}
	return ""
}

// heals checks law 2: however it stands, with every call forgotten and the server healthy, it closes again.
func (m *model) heals() string {
	m.calls = nil
	for range 2 + m.cfg.SuccessThreshold {
		if m.b.State() == Closed {
			return ""
		}
		time.Sleep(m.b.Stats().RetryAfter)
		if done, err := m.b.Allow(); err == nil {
			done(Success)
		} else {
			time.Sleep(m.cfg.ProbeTimeout)
		}
	}
	if m.b.State() != Closed {
		return "locked in " + m.b.State().String()
	}
	return ""
}
