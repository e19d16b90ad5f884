package rag

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Joins lets identical questions in flight share one answer in the making. Its zero value is ready; engines of several providers
// may share one.
type Joins struct {
	mu      sync.Mutex
	flights map[flightKey]*flight
	joined  atomic.Uint64
}

// Coalesced is how many questions followed the answer to another one.
func (j *Joins) Coalesced() uint64 { return j.joined.Load() }

// flightKey tells questions apart that must not share an answer in the making: beside what the cache goes by, the state of the
// documents, and what a request asks of the cache and of failures.
type flightKey struct {
	CacheKey
	Change        uint64
	NoDegrade     bool
	OnlyIfCached  bool
	MinSimilarity float64
	MaxAge        time.Duration
}

// joins says whether a question may share an answer: one that wants its own, or whose answer chance decides, may not.
func (e *Engine) joins(req Request) bool {
	return e.Joins != nil && e.Cache.On() && !req.NoRecall && !req.NoRemember && repeatable(req)
}

// joined follows the answer to the same question that is in flight, or sets one off. The work belongs to nobody: it goes on
// while one reader is left, and is stopped when the last has gone.
func (e *Engine) joined(ctx context.Context, req Request) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		start := time.Now()
		kb, err := e.Bases.KnowledgeBase(ctx, req.DB)
		if err != nil {
			yield(Event{}, stage("look up knowledge base", err))
			return
		}
		model, err := e.chatModel(ctx, req)
		if CodeOf(err) == CodeModelNotFound {
			yield(Event{}, stage("find model", err))
			return
		}
		question := e.cacheKey(req, kb, model)
		if r, _, served := e.recallExact(req, question, kb); served { // there is nothing to share
			emit := func(ev Event) error {
				if !yield(ev, nil) {
					return errReaderLeft
				}
				return nil
			}
			_ = replay(emit, r, CacheExact, Timings{}, start) // it fails where the reader leaves
			return
		}
		key := flightKey{question, kb.Change, req.NoDegrade, req.OnlyIfCached, req.MinSimilarity, req.MaxAge}
		f, follower := e.Joins.enter(ctx, key, func(ctx context.Context) iter.Seq2[Event, error] { return e.alone(ctx, req) })
		defer e.Joins.leave(key, f)
		for i := 0; ; i++ {
			ev, more, err := f.at(ctx, i)
			if err != nil {
				yield(Event{}, err)
				return
			}
			if !more {
				return
			}
			if follower && ev.Answer != nil {
				ev.Answer = coalesced(*ev.Answer, start)
			}
			if !yield(ev, nil) {
				return
			}
		}
	}
}

// coalesced is an answer as a follower sees it.
func coalesced(a Answer, start time.Time) *Answer {
	a.Cache.Status = CacheCoalesced
	a.Timings.Total = since(start)
	return &a
}

// enter finds the flight of a key, or begins one with work.
func (j *Joins) enter(ctx context.Context, key flightKey, work func(context.Context) iter.Seq2[Event, error]) (f *flight, follower bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if f = j.flights[key]; f != nil {
		f.readers++
		j.joined.Add(1)
		return f, true
	}
	// The values of the first reader's context stay, for the log; that it leaves stops nothing.
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	f = &flight{stop: stop, ended: make(chan struct{}), readers: 1}
	if j.flights == nil {
		j.flights = map[flightKey]*flight{}
	}
	j.flights[key] = f
	go func() {
		defer close(f.ended)
		defer stop()
		f.run(work(ctx))
		j.mu.Lock()
		defer j.mu.Unlock()
		j.forget(key, f)
	}()
	return f, false
}

// leave takes one reader off a flight. The last one stops it and waits until it has ended: nothing outlives its readers.
func (j *Joins) leave(key flightKey, f *flight) {
	j.mu.Lock()
	f.readers--
	last := f.readers == 0
	if last {
		j.forget(key, f) // under the same lock: nobody can join what is being stopped
	}
	j.mu.Unlock()
	if last {
		f.stop()
		<-f.ended
	}
}

func (j *Joins) forget(key flightKey, f *flight) {
	if j.flights[key] == f {
		delete(j.flights, key)
	}
}

// flight is an answer in the making with all that it has said. Each reader reads at its own pace: what is held is the answer
// itself, whose length the model's token limit bounds.
type flight struct {
	stop    context.CancelFunc
	ended   chan struct{}
	readers int // guarded by Joins.mu

	mu       sync.Mutex
	events   []Event
	over     bool
	err      error
	panicked any
	more     chan struct{} // closed with the next event; nil while nobody waits
}

// run writes down what the work says.
func (f *flight) run(events iter.Seq2[Event, error]) {
	var fault error
	defer func() {
		// A panic here would end the process: the readers take it, who are guarded.
		cause := recover()
		f.tell(func() {
			f.over, f.err = true, fault
			if cause != nil {
				f.panicked = fmt.Sprintf("%v\n%s", cause, debug.Stack())
			}
		})
	}()
	for ev, err := range events {
		if err != nil {
			fault = err
			return
		}
		f.tell(func() { f.events = append(f.events, ev) })
	}
}

func (f *flight) tell(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
}

// at gives event i and waits for it where it has not happened yet; more is false behind the last.
func (f *flight) at(ctx context.Context, i int) (ev Event, more bool, err error) {
	for {
		f.mu.Lock()
		if i < len(f.events) {
			ev = f.events[i]
			f.mu.Unlock()
			return ev, true, nil
		}
		if f.over {
			f.mu.Unlock()
			if f.panicked != nil {
				panic(f.panicked)
			}
			return Event{}, false, f.err
		}
		if f.more == nil {
			f.more = make(chan struct{})
		}
		wait := f.more
		f.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return Event{}, false, stage("wait for the answer", context.Cause(ctx))
		}
	}
}
