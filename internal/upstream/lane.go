package upstream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
)

const (
	maxLanes   = 64               // models of a host with a breaker and a queue of their own; idle ones make room
	laneRest   = time.Second      // a lane is not idle before: a call may be about to use it
	missingFor = 30 * time.Second // a host that said it lacks a model is asked last for this long
)

// lane is one model on one host: its places and its breaker. Its own figures are behind the queue's lock.
type lane struct {
	host    *host
	model   string
	born    int // lanes of the host before it
	breaker *breaker.Breaker
	failure lastFailure

	limiter   limiter
	inUse     int          // places
	notBefore time.Time    // no place is given before: the host said it has no room
	used      time.Time    // last
	bytes     atomic.Int64 // of answers, since the limiter was told
	flowed    atomic.Int64 // when that was, in nanoseconds since epoch

	// Behind lanes.mu:
	missing  time.Time // the host has said it lacks the model; good for missingFor
	worked   bool      // it has answered with it, or failed at it: the model is there
	failing  bool      // its last call failed
	goodThen uint64    // lanes.good when that began
}

// lanes are the models of one host, and what their outcomes mean for the host as a whole.
//
// The host's breaker counts what every call of the host says about it: five failures in a row open it. Two rules keep
// models that are broken from closing off the others. A failure of a model counts for its own breaker only, once another
// model has answered since this one began to fail. And where failures of models have opened the host's breaker, a call
// for a model that did not fail ends the open time and is its probe. What happens on the way to the host, before any model
// is concerned, counts for the host only.
type lanes struct {
	mu     sync.Mutex
	all    map[string]*lane
	born   int
	good   uint64 // successes
	ofHost bool   // there was a failure on the way to the host since the last of them
}

func (h *host) newLane(model string) *lane {
	l := &lane{host: h, model: model, limiter: newLimiter(h.mostPlaces)}
	l.breaker = h.makeBreaker(h.label+"#"+model, &l.failure)
	return l
}

// lane finds or makes the lane of a model. Where too many are in use, models without one share the lane of no model.
func (q *queue) lane(h *host, model string) *lane {
	h.lanes.mu.Lock()
	l := h.lanes.all[model]
	full := l == nil && len(h.lanes.all) >= maxLanes
	if l == nil && !full {
		l = h.newLane(model)
		l.used = time.Now() // nobody else has it yet
		h.lanes.born++
		l.born = h.lanes.born
		h.lanes.all[model] = l
	}
	h.lanes.mu.Unlock()
	if !full {
		return l
	}
	if !q.evict(h) {
		model = "" // there from the start, and never evicted
	}
	return q.lane(h, model)
}

// evict makes room for a lane, if one is idle.
func (q *queue) evict(h *host) bool {
	h.lanes.mu.Lock()
	defer h.lanes.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	var least *lane
	for _, l := range h.lanes.all {
		if l.model != "" && l.inUse == 0 && time.Since(l.used) > laneRest && q.lines[l.model] == nil && (least == nil || l.matters() < least.matters() || l.matters() == least.matters() && l.used.Before(least.used)) {
			least = l
		}
	}
	if least == nil {
		return false
	}
	delete(h.lanes.all, least.model)
	return true
}

// matters says how much would be lost with the lane: names that only a client knows must not push out models that are there, nor
// these a breaker that has something to remember.
func (l *lane) matters() int {
	switch {
	case l.failing:
		return 2
	case l.worked:
		return 1
	}
	return 0
}

// share says what an outcome of the lane means for the host's breaker, and keeps the two rules.
func (l *lane) share(o breaker.Outcome, ofHost bool) breaker.Outcome {
	s := &l.host.lanes
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case o == breaker.Success:
		s.good++
		s.ofHost, l.failing, l.worked, l.missing = false, false, true, time.Time{}
	case o == breaker.Failure && ofHost:
		s.ofHost = true
	case o == breaker.Failure:
		l.worked = true
		if !l.failing {
			l.failing, l.goodThen = true, s.good
		}
		if l.goodThen != s.good {
			return breaker.Neutral
		}
	}
	return o
}

// innocent says whether the host's failures are all of models, and none of this one.
func (l *lane) innocent() bool {
	s := &l.host.lanes
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ofHost && !l.failing
}

// lack remembers that the host lacks the model.
func (l *lane) lack() {
	l.host.lanes.mu.Lock()
	defer l.host.lanes.mu.Unlock()
	l.missing = time.Now()
}

func (l *lane) lacked() bool {
	l.host.lanes.mu.Lock()
	defer l.host.lanes.mu.Unlock()
	return !l.missing.IsZero() && time.Since(l.missing) < missingFor
}

// open says whether asking for leave would be in vain.
func (l *lane) open() bool {
	h := l.host
	if !h.guarded {
		return false
	}
	return l.breaker.State() == breaker.Open || h.breaker.State() == breaker.Open && !l.innocent()
}

// allow asks the host's and the model's breaker for leave. report tells both what became of the call; why of a failure is noted
// where it counts, before its breaker may change and tell of it.
func (l *lane) allow() (report func(o breaker.Outcome, ofHost bool, why string), err error) {
	h := l.host
	if !h.guarded {
		return func(o breaker.Outcome, ofHost bool, why string) { h.settled(o); l.shares(o, ofHost, why) }, nil
	}
	if h.breaker.State() == breaker.Open && l.innocent() {
		h.breaker.EndOpenTime()
	}
	ofHost, err := h.breaker.Allow()
	if err != nil {
		return nil, err
	}
	ofModel, err := l.breaker.Allow()
	if err != nil {
		ofHost(breaker.Neutral)
		return nil, err
	}
	return func(o breaker.Outcome, hosts bool, why string) {
		h.settled(o)
		forHost, forModel := l.shares(o, hosts, why)
		ofHost(forHost)
		ofModel(forModel)
	}, nil
}

// shares are what an outcome means for the host and for the model; a failure is noted where it is one.
func (l *lane) shares(o breaker.Outcome, ofHost bool, why string) (forHost, forModel breaker.Outcome) {
	forHost, forModel = l.share(o, ofHost), o
	if ofHost && o == breaker.Failure {
		forModel = breaker.Neutral
	}
	if forHost == breaker.Failure {
		l.host.failure.note(why)
	}
	if forModel == breaker.Failure {
		l.failure.note(why)
	}
	return forHost, forModel
}
