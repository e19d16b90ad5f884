package upstream

import (
	"sync/atomic"
	"time"
)

// waitBounds are the upper ends of Waits' buckets, in seconds. The last reach past a cold load of a large model.
var waitBounds = [...]float64{.001, .01, .1, 1, 5, 30, 120, 600}

// waits counts how long something was waited for.
type waits struct {
	buckets [len(waitBounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

func (w *waits) add(d time.Duration) {
	i := 0
	for i < len(waitBounds) && d.Seconds() > waitBounds[i] {
		i++
	}
	w.buckets[i].Add(1)
	w.sum.Add(int64(d))
}

// Waits says how long something was waited for.
type Waits struct {
	Count   uint64
	Seconds float64            // all together
	Buckets map[float64]uint64 // by upper bound in seconds: how many waited no longer
}

func (w *waits) stats() Waits {
	s := Waits{Buckets: make(map[float64]uint64, len(waitBounds))}
	for i := range w.buckets {
		s.Count += w.buckets[i].Load()
		if i < len(waitBounds) {
			s.Buckets[waitBounds[i]] = s.Count
		}
	}
	s.Seconds = time.Duration(w.sum.Load()).Seconds()
	return s
}
