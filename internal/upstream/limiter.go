package upstream

import "time"

// How a limiter learns.
const (
	startLimit = 4   // calls at once, before anything is known of a host
	holdWeight = 0.2 // of the newest call in the average
	minWindow  = 200 * time.Millisecond
	maxWindow  = 15 * time.Second // a window is as long as some calls, or this: answers may take minutes
	callsLong  = 8                // how many calls, one after the other
	moreFlow   = 1.2              // what more calls at once must bring to be worth it
	sameFlow   = 0.9              // what fewer calls at once may cost
	firstPause = 10 * time.Second // between trials, once neither more nor fewer was better; doubles
	lastPause  = 5 * time.Minute
)

// limiter finds how many calls a host does at once for a model: the fewest that give its full flow, in bytes of answers a
// second. Ollama never says no to a call for a loaded model; what it cannot do at once waits inside it, where nobody has
// an order any more. Bytes, because they come while an answer is written, and follow the work: tokens and vectors alike.
//
// While callers wait, it measures one window after the other. At times it tries fewer calls at once, which must cost
// nothing, or more, which must bring something; what was no gain is taken back. A host that says it has no room
// halves the limit. Its owner holds a lock.
type limiter struct {
	limit, most int

	since    time.Time // of the window
	bytes    int64
	hold     float64 // seconds that a call takes, a moving average; 0 while unknown
	settling bool    // the window after a change is a mixture: not measured

	flow    float64 // bytes a second at the limit that stands
	from    int     // that limit while another is tried, else 0
	up      bool    // direction of the next trial, or of this one
	refused int     // trials in a row that were no gain
	pause   time.Duration
	next    time.Time // trial, not before
}

func newLimiter(most int) limiter {
	return limiter{limit: min(startLimit, most), most: most, pause: firstPause, settling: true}
}

// passed notes bytes of an answer.
func (l *limiter) passed(n int64, now time.Time) {
	l.bytes += n
	l.consider(now)
}

// ended notes the end of a call that took some time.
func (l *limiter) ended(held time.Duration, now time.Time) {
	if l.hold == 0 {
		l.hold = held.Seconds()
	}
	l.hold += holdWeight * (held.Seconds() - l.hold)
	l.consider(now)
}

// slack notes that nobody waits: what flows now says nothing about what could.
func (l *limiter) slack(now time.Time) {
	if l.from != 0 {
		l.limit, l.from = l.from, 0
	}
	l.begin(now)
	l.settling = true
}

func (l *limiter) begin(now time.Time) { l.since, l.bytes = now, 0 }

// saturated is a host's own word that this was too much.
func (l *limiter) saturated(now time.Time) {
	l.limit, l.from = max(1, l.limit/2), 0
	l.up, l.refused, l.next = true, 0, now.Add(l.pause)
	l.begin(now)
	l.settling = true
}

// consider ends the window when it is long enough.
func (l *limiter) consider(now time.Time) {
	if l.since.IsZero() {
		l.begin(now)
	}
	d := now.Sub(l.since)
	long := time.Duration(callsLong * l.hold * float64(time.Second))
	if d < min(max(long, minWindow), maxWindow) || l.bytes == 0 {
		return
	}
	flow := float64(l.bytes) / d.Seconds()
	l.begin(now)
	switch {
	case l.settling:
		l.settling = false
	case l.from != 0:
		l.judge(flow, now)
	default:
		l.flow = flow
		if !now.Before(l.next) {
			l.try()
		}
	}
}

// try changes the limit for a trial.
func (l *limiter) try() {
	to := l.limit - max(1, l.limit/3)
	if l.up || to < 1 {
		l.up = true
		to = min(l.limit+max(1, l.limit/2), l.most)
	}
	if to != l.limit {
		l.from, l.limit, l.settling = l.limit, to, true
	}
}

// judge ends a trial: what was worth it stays and is followed by the next step the same way.
func (l *limiter) judge(flow float64, now time.Time) {
	if l.up && flow >= moreFlow*l.flow || !l.up && flow >= sameFlow*l.flow {
		l.flow, l.from, l.refused, l.pause = flow, 0, 0, firstPause
		l.try()
		return
	}
	l.limit, l.from, l.settling = l.from, 0, true
	l.up = !l.up
	if l.refused++; l.refused >= 2 || l.limit == 1 {
		l.next = now.Add(l.pause)
		l.pause = min(2*l.pause, lastPause)
	}
}
