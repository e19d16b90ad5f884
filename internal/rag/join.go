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

// Joins lets identical questions in flight share one answer in the making; engines of several providers may share one.
type Joins = Flights[flightKey, Event]

// Flights lets whoever asks for the same thing at the same time share what comes, piece by piece. Its zero value is ready.
type Flights[K comparable, T any] struct{ all flights }

// flights holds keys and pieces of any type: one copy of this in the program is enough.
type flights struct {
	mu     sync.Mutex
	byKey  map[any]*flight
	joined atomic.Uint64
}

// Coalesced is how many followed somebody else's flight.
func (j *Flights[K, T]) Coalesced() uint64 { return j.all.joined.Load() }

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

// join follows the answer to the same question that is in flight, or sets one off. What is remembered and holds is served at once:
// there is nothing to share. Whoever sets off looks once more, since another flight may have ended meanwhile.
func (e *Engine) join(ctx context.Context, q asked, emit func(Event) error) error {
	if r, _, served := e.recallExact(q); served {
		return replay(emit, r, CacheExact, Timings{}, q.start)
	}
	work := func(ctx context.Context) iter.Seq2[Event, error] {
		return events(func(emit func(Event) error) error { return e.ask(ctx, q, emit) })
	}
	var left error
	err := e.Joins.Follow(ctx, flightKey{q.key, q.kb.Change, q.NoDegrade, q.OnlyIfCached, q.MinSimilarity, q.MaxAge}, work, func(ev Event, follower bool) bool {
		if follower && ev.Answer != nil {
			ev.Answer = coalesced(*ev.Answer, q.start)
		}
		left = emit(ev)
		return left == nil
	})
	if err == nil {
		err = left
	}
	return err
}

// coalesced is an answer as a follower sees it.
func coalesced(a Answer, start time.Time) *Answer {
	a.Cache.Status = CacheCoalesced
	a.Timings.Total = since(start)
	return &a
}

// Follow gives all that the work under a key says, from its start, until it ends or each wants no more. The first to come sets it
// off. The work belongs to nobody: it goes on while one reader is left, and is stopped when the last has gone.
func (j *Flights[K, T]) Follow(ctx context.Context, key K, work func(context.Context) iter.Seq2[T, error], each func(v T, follower bool) bool) error {
	loose := func(ctx context.Context) iter.Seq2[any, error] {
		return func(yield func(any, error) bool) { work(ctx)(func(v T, err error) bool { return yield(v, err) }) }
	}
	return j.all.follow(ctx, key, loose, func(v any, follower bool) bool { return each(v.(T), follower) })
}

func (j *flights) follow(ctx context.Context, key any, work func(context.Context) iter.Seq2[any, error], each func(v any, follower bool) bool) error {
	f, follower := j.enter(ctx, key, work)
	defer j.leave(key, f)
	for i := 0; ; i++ {
		v, more, err := f.at(ctx, i)
		if err != nil || !more || !each(v, follower) {
			return err
		}
	}
}

// enter finds the flight of a key, or begins one with work.
func (j *flights) enter(ctx context.Context, key any, work func(context.Context) iter.Seq2[any, error]) (f *flight, follower bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if f = j.byKey[key]; f != nil {
		f.readers++
		j.joined.Add(1)
		return f, true
	}
	// The values of the first reader's context stay, for the log; that it leaves stops nothing.
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	f = &flight{stop: stop, ended: make(chan struct{}), readers: 1}
	if j.byKey == nil {
		j.byKey = map[any]*flight{}
	}
	j.byKey[key] = f
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
func (j *flights) leave(key any, f *flight) {
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

func (j *flights) forget(key any, f *flight) {
	if j.byKey[key] == f {
		delete(j.byKey, key)
	}
}

// flight is an answer in the making with all that it has said. Each reader reads at its own pace: what is held is the answer
// itself, whose length the model's token limit bounds.
type flight struct {
	stop    context.CancelFunc
	ended   chan struct{}
	readers int // guarded by flights.mu

	mu       sync.Mutex
	events   []any
	over     bool
	err      error
	panicked any
	more     chan struct{} // closed with the next event; nil while nobody waits
}

// run writes down what the work says.
func (f *flight) run(events iter.Seq2[any, error]) {
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
func (f *flight) at(ctx context.Context, i int) (v any, more bool, err error) {
	for {
		f.mu.Lock()
		if i < len(f.events) {
			v = f.events[i]
			f.mu.Unlock()
			return v, true, nil
		}
		if f.over {
			f.mu.Unlock()
			if f.panicked != nil {
				panic(f.panicked)
			}
			return v, false, f.err
		}
		if f.more == nil {
			f.more = make(chan struct{})
		}
		wait := f.more
		f.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return v, false, stage("wait for the answer", context.Cause(ctx))
		}
	}
}
