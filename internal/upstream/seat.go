package upstream

import (
	"errors"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
)

// seat is a call's place at a host, with the leave of its breakers. A look-up has the host alone.
type seat struct {
	host   *host
	lane   *lane // nil for a look-up
	report func(o breaker.Outcome, ofHost bool, why string)
	since  time.Time
}

// errNowhere says that a call cannot be tried again anywhere: what it got before stands.
var errNowhere = errors.New("upstream: no other host can be asked")

// seat gets the call a place, and leave to use it. A breaker that refuses meanwhile sends it to another host.
func (c *Client) seat(call *call) (seat, error) {
	kept := call.avoid
	defer func() { call.avoid = kept }()
	var refused error
	for {
		l, err := c.place(call)
		switch {
		case err != nil:
			return seat{}, err
		case l == nil && refused != nil:
			return seat{}, openError(c, refused)
		case l == nil && len(call.tried) > 0:
			return seat{}, errNowhere
		case l == nil:
			if err := c.refuse(call.model); err != nil {
				return seat{}, err
			}
			continue
		}
		report, err := l.allow()
		if err == nil {
			return seat{host: l.host, lane: l, report: report, since: time.Now()}, nil
		}
		refused = err
		call.avoid = append(call.avoid[:len(call.avoid):len(call.avoid)], l.host)
		c.leave(l, time.Time{})
	}
}

// refuse makes the error of a call for which every breaker is open. It counts as rejected by the one that can be asked
// soonest; nil if that one gives leave by now.
func (c *Client) refuse(model string) error {
	var best *lane
	digest := c.digest(model)
	for _, h := range c.hosts {
		if h.strange(model, digest) {
			continue
		}
		if l := c.queue.lane(h, model); best == nil || l.wait() < best.wait() {
			best = l
		}
	}
	report, err := best.allow()
	if err == nil {
		report(breaker.Neutral, false, "")
		return nil
	}
	return openError(c, err)
}

// wait is how long the lane stays closed off.
func (l *lane) wait() time.Duration {
	return max(l.host.breaker.Stats().RetryAfter, l.breaker.Stats().RetryAfter)
}

// lookupSeat gives a look-up a host: one that has the model it asks about, if it does, and can be reached. What models there
// are says nothing about whether they answer, so breakers are only looked at: a host that is open is not bothered.
func (c *Client) lookupSeat(call *call) (seat, error) {
	var best *host
	var rank tier
	digest := c.digest(call.model)
	for _, h := range c.hosts {
		if call.avoids(h) || h.open() {
			continue
		}
		r := healthy
		if has, listed := h.know.digest(call.model); call.model != "" && (listed && has == "" || has != digest) {
			r = lacks
		} else if h.cooling() || h.know.away() {
			r = weak
		}
		if best == nil || r < rank {
			best, rank = h, r
		}
	}
	switch {
	case best == nil && len(call.tried) > 0:
		return seat{}, errNowhere
	case best == nil:
		h := c.soonest()
		return seat{}, openError(c, &breaker.OpenError{Name: h.label, State: breaker.Open, RetryAfter: h.breaker.Stats().RetryAfter})
	}
	return seat{host: best, report: func(o breaker.Outcome, _ bool, why string) {
		best.settled(o)
		if o == breaker.Failure {
			best.failure.note(why)
		}
	}}, nil
}
