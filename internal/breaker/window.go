package breaker

// window remembers how the last calls went.
type window struct {
	failed   []bool // ring
	next     int    // where the next outcome goes
	calls    int    // how many it holds
	failures int    // how many of these failed
}

func (w *window) add(failed bool) {
	if w.calls == len(w.failed) {
		if w.failed[w.next] {
			w.failures--
		}
	} else {
		w.calls++
	}
	w.failed[w.next] = failed
	if failed {
		w.failures++
	}
	w.next = (w.next + 1) % len(w.failed)
}

// bad says whether enough calls are known and the share of failures among them has reached ratio.
func (w *window) bad(minCalls int, ratio float64) bool {
	return w.calls >= minCalls && float64(w.failures) >= ratio*float64(w.calls)
}

func (w *window) clear() { w.next, w.calls, w.failures = 0, 0, 0 }
