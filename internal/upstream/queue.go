package upstream

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

const (
	classes    = 3  // of calls: rag.ClassChat and so on
	everyNth   = 10 // place goes to whoever waits longest, whatever its class: ingest must not starve
	spillAfter = 5 * time.Second
	leastRetry = time.Second
	mostRetry  = time.Minute
	flowEvery  = time.Second // a stream tells how much has passed
)

// The reasons for which a call gets no place: label values.
const (
	rejectFull    = "full"    // the queue is as long as it may be
	rejectTimeout = "timeout" // it waited for its limit
	rejectCooling = "cooling" // the host asked to be left alone for longer than calls wait
)

var rejections = [...]string{rejectFull, rejectTimeout, rejectCooling}

// tier is how good a host is for a call; lower is better.
type tier int

const (
	holds   tier = iota // has the model in memory
	healthy             // would have to load it
	weak                // failed or could not be reached a moment ago
	lacks               // said that it has no such model
)

// option is a place that a call could take.
type option struct {
	lane *lane
	tier tier
}

// queue gives out the places of all hosts. For each model there is one line of callers, by class and within a class by
// arrival, whoever serves them: so a host that becomes free takes the next caller, and none waits behind a host that hangs.
// How many places a host has for a model its limiter finds out.
type queue struct {
	size    int // callers a line, for each host that can serve it
	timeout time.Duration

	mu    sync.Mutex
	lines map[string]*line // those with callers

	waited   [classes]waits
	rejected [len(rejections)]atomic.Uint64
}

// line is who waits for one model.
type line struct {
	waiting [classes][]*waiter
	given   int // places
}

type waiter struct {
	call  *call
	since time.Time
	spill bool          // has waited long enough to have the model loaded elsewhere
	lane  *lane         // the place it was given; nil after ready means that there is none to wait for
	full  bool          // pushed out by a call of a better class
	ready chan struct{} // closed when the waiting is over
}

func newQueue(size int, timeout time.Duration) *queue {
	return &queue{size: size, timeout: timeout, lines: map[string]*line{}}
}

func (l *line) len() int { return len(l.waiting[0]) + len(l.waiting[1]) + len(l.waiting[2]) }

// options are the hosts that may be asked for the model now.
func (c *Client) options(model string) []option {
	if len(c.hosts) == 1 {
		if l := c.queue.lane(c.hosts[0], model); !l.open() {
			return []option{{l, healthy}}
		}
		return nil
	}
	digest := c.digest(model)
	list := make([]option, 0, len(c.hosts))
	for _, h := range c.hosts {
		if h.strange(model, digest) {
			continue
		}
		if l := c.queue.lane(h, model); !l.open() {
			list = append(list, option{l, l.tier(digest)})
		}
	}
	return list
}

func (l *lane) tier(digest string) tier {
	known := &l.host.know
	has, listed := known.digest(l.model)
	switch {
	case l.lacked() || listed && has == "" && digest != "":
		return lacks
	case l.host.cooling() || known.away():
		return weak
	case known.resident(l.model):
		return holds
	}
	return healthy
}

// place waits for room for the call and gives the lane whose place it has; leave gives it back. Without error and lane no
// host can be asked.
func (c *Client) place(call *call) (*lane, error) {
	w := &waiter{call: call, since: time.Now()}
	options := c.options(call.model)
	if !slices.ContainsFunc(options, func(o option) bool { return !call.avoids(o.lane.host) }) {
		return nil, nil
	}
	l, rejected := c.join(w, options)
	switch {
	case rejected != "":
		return nil, c.overloaded(call.model, rejected, options)
	case l != nil:
		return l, nil
	}
	ctx := call.req.Context()
	limit := time.NewTimer(max(0, c.queue.timeout-time.Since(call.start)))
	defer limit.Stop()
	spill := time.NewTicker(spillAfter) // again and again: hosts come back
	defer spill.Stop()
	for {
		select {
		case <-w.ready:
			if w.full {
				return nil, c.overloaded(call.model, rejectFull, options)
			}
			return w.lane, nil
		case <-spill.C:
			c.queue.mu.Lock()
			w.spill = true
			c.queue.mu.Unlock()
			c.again(call.model)
		case <-limit.C:
			if c.quit(w) {
				return nil, c.overloaded(call.model, rejectTimeout, options)
			}
		case <-ctx.Done():
			if !c.quit(w) && w.lane != nil {
				c.leave(w.lane, time.Time{})
			}
			return nil, callError(ctx, nil, nil, ctx.Err())
		}
	}
}

// join gives the caller a place at once, or puts it into its line, or gives the reason for which it is refused.
func (c *Client) join(w *waiter, options []option) (l *lane, rejected string) {
	q, model, class := c.queue, w.call.model, w.call.class
	q.mu.Lock()
	defer q.mu.Unlock()
	patience := w.since.Add(c.cfg.MaxRetryAfter)
	if deadline, ok := w.call.req.Context().Deadline(); ok && deadline.Before(patience) {
		patience = deadline
	}
	if w.coolingTill(options).After(patience) {
		return nil, rejectCooling
	}
	ln := q.lines[model]
	if ln == nil { // nobody is before it
		if l, _ := w.choose(options, w.since); l != nil {
			q.give(w, l, w.since)
			return l, ""
		}
		ln = &line{}
		q.lines[model] = ln
	}
	// A call that is tried again was let in before.
	crowded := len(w.call.tried) == 0 && ln.len() >= q.size*len(options)
	w.ready = make(chan struct{})
	ln.waiting[class] = append(ln.waiting[class], w)
	c.serve(model, options)
	if crowded && w.lane == nil && !ln.pushOut(class) {
		q.remove(w)
		return nil, rejectFull
	}
	return w.lane, ""
}

// remove takes a caller out of its line; false if its waiting was over.
func (q *queue) remove(w *waiter) bool {
	ln := q.lines[w.call.model]
	if ln == nil {
		return false
	}
	waiting := ln.waiting[w.call.class]
	i := slices.Index(waiting, w)
	if i < 0 {
		return false
	}
	ln.waiting[w.call.class] = slices.Delete(waiting, i, i+1)
	if ln.len() == 0 {
		delete(q.lines, w.call.model)
	}
	return true
}

// pushOut makes room for a call of the given class: the newest caller of the lowest class below it has to go.
func (l *line) pushOut(class rag.Class) bool {
	for below := classes - 1; below > int(class); below-- {
		if n := len(l.waiting[below]); n > 0 {
			last := l.waiting[below][n-1]
			l.waiting[below] = l.waiting[below][:n-1]
			last.full = true
			close(last.ready)
			return true
		}
	}
	return false
}

// coolingTill is until when every host that the call could use wants to be left alone.
func (w *waiter) coolingTill(options []option) time.Time {
	var till time.Time
	none := true
	for _, o := range options {
		if !w.call.avoids(o.lane.host) && (none || o.lane.notBefore.Before(till)) {
			till, none = o.lane.notBefore, false
		}
	}
	return till
}

// serve gives the places that are free to those who wait for the model, in their order. The queue's lock is held.
func (c *Client) serve(model string, options []option) {
	q := c.queue
	ln := q.lines[model]
	if ln == nil {
		return
	}
	now := time.Now()
	for ln.serveOne(q, options, now) {
	}
	if ln.len() == 0 {
		delete(q.lines, model)
	}
}

// serveOne gives one place to the first who can have one, or ends the waiting of one for whom there is nothing to wait.
func (l *line) serveOne(q *queue, options []option, now time.Time) bool {
	for _, class := range l.order() {
		for i, w := range l.waiting[class] {
			got, hope := w.choose(options, now)
			if got == nil && hope {
				continue
			}
			l.waiting[class] = slices.Delete(l.waiting[class], i, i+1)
			if got != nil {
				l.given++
				q.give(w, got, now)
			}
			close(w.ready)
			return true
		}
	}
	return false
}

// give gives a caller its place.
func (q *queue) give(w *waiter, l *lane, now time.Time) {
	l.take(now)
	w.lane = l
	q.waited[w.call.class].add(now.Sub(w.since))
}

// order is the order of the classes for the next place.
func (l *line) order() [classes]int {
	order := [classes]int{int(rag.ClassChat), int(rag.ClassEmbedding), int(rag.ClassIngest)}
	if l.given%everyNth == everyNth-1 {
		slices.SortStableFunc(order[:], func(a, b int) int { return l.oldest(a).Compare(l.oldest(b)) })
	}
	return order
}

// oldest is since when the first of a class waits.
func (l *line) oldest(class int) time.Time {
	if len(l.waiting[class]) == 0 {
		return time.Now().Add(time.Hour)
	}
	return l.waiting[class][0].since
}

// choose picks the place that the caller takes now, if there is one; hope says whether there may be one later. Hosts that hold
// the model come first, and are waited for a while before it is loaded elsewhere. Among equals it is the one with the
// fewest calls in flight. A host that is weak is asked only where there is no other, never because it is free.
func (w *waiter) choose(options []option, now time.Time) (got *lane, hope bool) {
	best := lacks + 1
	for _, o := range options {
		if !w.call.avoids(o.lane.host) {
			best = min(best, o.tier)
		}
	}
	if best > lacks {
		return nil, false
	}
	most := best
	if best == holds && w.spill {
		most = healthy
	}
	var at tier
	for _, o := range options {
		l := o.lane
		if o.tier > most || w.call.avoids(l.host) || !l.free(now) {
			continue
		}
		if got == nil || o.tier < at || o.tier == at && l.host.inFlight.Load() < got.host.inFlight.Load() {
			got, at = l, o.tier
		}
	}
	return got, true
}

func (l *lane) free(now time.Time) bool {
	return l.inUse < l.limiter.limit && !now.Before(l.notBefore)
}

// take occupies a place. Its host counts the call from here on, so that two callers served together do not meet.
func (l *lane) take(now time.Time) {
	l.inUse++
	l.used = now
	l.host.inFlight.Add(1)
}

// quit is remove for a caller that goes away.
func (c *Client) quit(w *waiter) bool {
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	return c.queue.remove(w)
}

// leave gives a place back, and to the next. since is when it was first used; zero if it was not.
func (c *Client) leave(l *lane, since time.Time) {
	now := time.Now()
	l.host.inFlight.Add(-1)
	q := c.queue
	q.mu.Lock()
	l.inUse--
	waiting := q.flow(l, now)
	if !since.IsZero() {
		l.limiter.ended(now.Sub(since), now)
	}
	models := []string{l.model}
	if l.model == "" { // the lane of many
		models = slices.Collect(maps.Keys(q.lines))
	}
	q.mu.Unlock()
	if waiting {
		for _, model := range models {
			c.again(model)
		}
	}
}

// flow tells the limiter what has passed, and that it says little where nobody waits.
func (q *queue) flow(l *lane, now time.Time) (waiting bool) {
	l.limiter.passed(l.bytes.Swap(0), now)
	waiting = q.lines[l.model] != nil || l.model == "" && len(q.lines) > 0
	if !waiting {
		l.limiter.slack(now)
	}
	return waiting
}

// passed notes bytes of an answer as they go by.
func (c *Client) passed(l *lane, n int) {
	l.bytes.Add(int64(n))
	now := time.Since(epoch)
	if last := l.flowed.Load(); (last == 0 || int64(now)-last > int64(flowEvery)) && l.flowed.CompareAndSwap(last, int64(now)) {
		c.queue.mu.Lock()
		before := l.limiter.limit
		grown := c.queue.flow(l, time.Now()) && l.limiter.limit > before
		c.queue.mu.Unlock()
		if grown {
			c.again(l.model)
		}
	}
}

// again serves a model's line, with the hosts as they are now.
func (c *Client) again(model string) {
	options := c.options(model)
	c.queue.mu.Lock()
	c.serve(model, options)
	c.queue.mu.Unlock()
}

// saturated keeps calls off a lane whose host said it has no room, for the time that the host wants.
func (c *Client) saturated(l *lane, wait time.Duration) {
	now := time.Now()
	c.queue.mu.Lock()
	l.limiter.saturated(now)
	if till := now.Add(wait); till.After(l.notBefore) {
		l.notBefore = till
	}
	c.queue.mu.Unlock()
	time.AfterFunc(wait, func() { c.again(l.model) })
}

// retryAfter estimates when a new caller would have a place.
func (q *queue) retryAfter(model string, options []option) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	var rate float64 // places that become free a second
	cool := mostRetry
	for _, o := range options {
		if o.lane.limiter.hold > 0 {
			rate += float64(o.lane.limiter.limit) / o.lane.limiter.hold
		}
		cool = min(cool, o.lane.notBefore.Sub(now))
	}
	wait := cool
	if ln := q.lines[model]; ln != nil && rate > 0 {
		wait = max(wait, time.Duration(float64(ln.len()+1)/rate*float64(time.Second)))
	}
	return min(max(wait, leastRetry), mostRetry).Round(time.Second)
}

// overloaded says that a call got no place.
func (c *Client) overloaded(model, reason string, options []option) error {
	q := c.queue
	q.rejected[slices.Index(rejections[:], reason)].Add(1)
	e := &rag.Error{Kind: rag.Overloaded, Code: rag.CodeQueueFull, RetryAfter: q.retryAfter(model, options)}
	switch reason {
	case rejectTimeout:
		e.Detail = fmt.Sprintf("%s was busy for %v: try again in %v, or raise OLLAMA_QUEUE_TIMEOUT", c.cfg.Server, q.timeout, e.RetryAfter)
	case rejectCooling:
		e.Detail = fmt.Sprintf("%s has no room and wants to be left alone: try again in %v", c.cfg.Server, e.RetryAfter)
	default:
		e.Detail = fmt.Sprintf("%s is busy and its queue is full: try again in %v", c.cfg.Server, e.RetryAfter)
	}
	return e
}
