package upstream

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLimitStaysWithinItsBoundsAndNeverJumps draws whatever may happen to a limiter.
func TestLimitStaysWithinItsBoundsAndNeverJumps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 100).Draw(t, "most")
		l := newLimiter(most)
		now := time.Now()
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			before, trial := l.limit, l.from
			now = now.Add(time.Duration(rapid.IntRange(0, 30_000).Draw(t, "wait")) * time.Millisecond)
			event := rapid.IntRange(0, 9).Draw(t, "event")
			switch event {
			case 0:
				l.saturated(now)
			case 1:
				l.slack(now)
			case 2, 3, 4:
				l.ended(time.Duration(rapid.IntRange(0, 60_000).Draw(t, "held"))*time.Millisecond, now)
			default:
				l.passed(int64(rapid.IntRange(0, 1<<20).Draw(t, "bytes")), now)
			}
			switch {
			case l.limit < 1 || l.limit > most:
				t.Fatalf("limit %d of at most %d", l.limit, most)
			case event == 0 && l.limit > max(1, before/2):
				t.Fatalf("%d after a host had no room for %d", l.limit, before)
			case l.limit > before+max(1, before/2) && l.limit != trial:
				t.Fatalf("from %d to %d", before, l.limit)
			}
		}
	})
}
