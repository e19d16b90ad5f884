package upstream

import (
	"context"
	"time"
)

// hedged is attempt; where that is slow and hedging is on, another host that holds the model and has room is asked too. The
// first answer counts, the other attempt is stopped and says nothing about its host. A hedge spends from the retry budget.
func (c *Client) hedged(call *call, s seat) *result {
	if c.cfg.HedgeAfter == 0 || len(c.hosts) == 1 || !call.infer || call.once || len(call.tried) > 0 {
		return c.attempt(call, s)
	}
	first, stopFirst := c.start(call, s)
	timer := time.NewTimer(c.cfg.HedgeAfter)
	defer timer.Stop()
	select {
	case r := <-first:
		return r
	case <-timer.C:
	}
	other, ok := c.spare(call, s.host)
	if !ok {
		return <-first
	}
	second, stopSecond := c.start(call, other)
	other.host.counts.hedges.Add(1)
	select {
	case r := <-first:
		return c.race(call, r, second, stopSecond)
	case r := <-second:
		won := c.race(call, r, first, stopFirst)
		if won == r && r.again == never {
			other.host.counts.hedgesWon.Add(1)
		}
		return won
	}
}

// start runs an attempt that can be stopped.
func (c *Client) start(of *call, s seat) (<-chan *result, context.CancelFunc) {
	ctx, cancel := context.WithCancel(of.req.Context())
	one := *of
	one.req, one.over = of.req.WithContext(ctx), cancel
	results := make(chan *result, 1)
	go func() { results <- c.attempt(&one, s) }()
	return results, cancel
}

// race takes the first result, unless it is one that would be tried again anyway: then the other's is waited for.
func (c *Client) race(call *call, r *result, other <-chan *result, stop context.CancelFunc) *result {
	if r.again == never {
		stop()
		go func() { (<-other).discard() }()
		return r
	}
	better := <-other
	call.tried = append(call.tried, r.host)
	r.discard()
	return better
}

// spare finds a place, without waiting, on another host that holds the model.
func (c *Client) spare(call *call, not *host) (seat, bool) {
	now := time.Now()
	var l *lane
	options := c.options(call.model)
	c.queue.mu.Lock()
	if c.queue.lines[call.model] == nil { // those who wait for a first attempt come before any second one
		for _, o := range options {
			if o.tier == holds && o.lane.host != not && o.lane.free(now) {
				l = o.lane
				l.take(now)
				break
			}
		}
	}
	c.queue.mu.Unlock()
	if l == nil {
		return seat{}, false
	}
	if c.budget.spend() {
		if report, err := l.allow(); err == nil {
			return seat{host: l.host, lane: l, report: report, since: now}, true
		}
	}
	c.leave(l, time.Time{})
	return seat{}, false
}
