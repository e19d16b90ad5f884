package upstream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
)

// TestLawsOfTheTwoBreakersHoldOverRandomHistories draws calls for four models, one of which always works, some on their way
// while others come, and checks: what works is never refused for what others did; nothing is refused but by an open
// breaker or for want of a probe's place; no history locks anything for good.
func TestLawsOfTheTwoBreakersHoldOverRandomHistories(t *testing.T) {
	type step struct {
		Model, Outcome, Late int
		Wait                 time.Duration
	}
	draw := rapid.Custom(func(t *rapid.T) step {
		return step{
			Model: rapid.IntRange(0, 3).Draw(t, "model"), Outcome: rapid.IntRange(0, 2).Draw(t, "outcome"),
			Late: rapid.IntRange(0, 3).Draw(t, "late"), Wait: time.Duration(rapid.IntRange(0, 20_000).Draw(t, "wait")) * time.Millisecond,
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(draw, 20, 200).Draw(rt, "history")
		connections := rapid.Bool().Draw(rt, "connections fail too")
		var fault string
		synctest.Test(t, func(t *testing.T) {
			c := clientOf(t, DefaultConfig(), ok)
			h := c.hosts[0]
			var late []func()
			for i, s := range steps {
				time.Sleep(s.Wait)
				l := c.queue.lane(h, fmt.Sprint(s.Model))
				was, own := h.breaker.State(), l.breaker.State()
				report, err := l.allow()
				outcome := breaker.Outcome(s.Outcome)
				ofHost := connections && i%3 == 0
				if s.Model == 0 { // always works
					outcome, ofHost = breaker.Success, false
				}
				switch {
				case err != nil && s.Model == 0 && !connections && len(late) == 0:
					fault = fmt.Sprintf("step %d: a model that works was refused: %v", i, err)
				case err != nil && was == breaker.Closed && own == breaker.Closed:
					fault = fmt.Sprintf("step %d: refused while both are closed: %v", i, err)
				case err == nil && was == breaker.Open && (l.failing || h.lanes.ofHost):
					fault = fmt.Sprintf("step %d: leave for a model that fails, on a host that is open", i)
				case err != nil:
				case s.Late == 0:
					late = append(late, func() { report(outcome, ofHost, "broken") })
				default:
					report(outcome, ofHost, "broken")
				}
				if s.Late == 1 && len(late) > 0 {
					late[0]()
					late = late[1:]
				}
				if fault != "" {
					return
				}
			}
			// Everything forgotten, and all is well again: everything is served again.
			for range 6 {
				time.Sleep(h.breaker.Stats().Config.MaxOpenTimeout * 2)
				for m := range 4 {
					if report, err := c.queue.lane(h, fmt.Sprint(m)).allow(); err == nil {
						report(breaker.Success, false, "")
					} else {
						time.Sleep(h.breaker.Stats().Config.ProbeTimeout)
					}
				}
			}
			for m := range 4 {
				if l := c.queue.lane(h, fmt.Sprint(m)); l.breaker.State() != breaker.Closed || h.breaker.State() != breaker.Closed {
					fault = fmt.Sprintf("locked: host %v, model %d %v", h.breaker.State(), m, l.breaker.State())
				}
			}
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}
