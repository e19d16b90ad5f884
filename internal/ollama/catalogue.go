package ollama

import (
	"context"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

const (
	listFor   = 10 * time.Second // a list is good for this long
	failedFor = 2 * time.Second  // so is a failure
	staleFor  = 24 * time.Hour   // a server that is away leaves its last list in use for this long: answers are remembered by model
)

// catalogue remembers what models there are. One look-up runs at a time; whoever comes meanwhile waits for it.
type catalogue struct {
	load func(context.Context) ([]Model, error)

	mu      sync.Mutex
	shown   map[string]shown // by digest
	flight  *flight          // running now, else nil
	models  []Model          // of the last good look-up; never changed, only replaced
	listed  time.Time
	err     error // of the last look-up
	checked time.Time
}

// flight is one look-up and what came of it.
type flight struct {
	done    chan struct{}
	waiting int // callers; a look-up that nobody waits for is stopped
	cancel  context.CancelFunc
	models  []Model
	err     error
}

// get gives the models that are there. An error means that none are known.
func (c *catalogue) get(ctx context.Context) ([]Model, error) {
	c.mu.Lock()
	if models, err, ok := c.remembered(); ok {
		c.mu.Unlock()
		return models, err
	}
	f := c.join(ctx)
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.models, f.err
	case <-ctx.Done():
		c.leave(f)
		return nil, transportError(ctx, ctx.Err())
	}
}

// remembered is the answer that needs no look-up, if there is one.
func (c *catalogue) remembered() (models []Model, err error, ok bool) {
	switch {
	case c.checked.IsZero():
		return nil, nil, false
	case c.err == nil && time.Since(c.listed) < listFor:
		return c.models, nil, true
	case c.err != nil && time.Since(c.checked) < failedFor:
		models, err = c.lastKnown(c.err)
		return models, err, true
	}
	return nil, nil, false
}

// lastKnown is what a failed look-up leaves: the last list while it is not too old and the server merely away.
func (c *catalogue) lastKnown(err error) ([]Model, error) {
	kind := rag.KindOf(err)
	away := kind == rag.Unavailable || kind == rag.Timeout || kind == rag.Overloaded || kind == rag.BadUpstream
	if away && !c.listed.IsZero() && time.Since(c.listed) < staleFor {
		return c.models, nil
	}
	return nil, err
}

// join takes part in the running look-up, or starts one. It outlives the caller that started it as long as another
// waits for it.
func (c *catalogue) join(ctx context.Context) *flight {
	if c.flight == nil {
		flying, cancel := context.WithCancel(context.WithoutCancel(ctx))
		c.flight = &flight{done: make(chan struct{}), cancel: cancel}
		go c.fly(flying, c.flight)
	}
	c.flight.waiting++
	return c.flight
}

func (c *catalogue) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiting--; f.waiting > 0 {
		return
	}
	f.cancel()
	if c.flight == f {
		c.flight = nil
	}
}

func (c *catalogue) fly(ctx context.Context, f *flight) {
	models, err := c.load(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight == f {
		c.flight = nil
	}
	switch {
	case err == nil:
		c.models, c.err, c.listed, c.checked = models, nil, time.Now(), time.Now()
		f.models = models
	case ctx.Err() != nil: // nobody waited for it any more: it says nothing about the server
		f.err = err
	default:
		c.err, c.checked = err, time.Now()
		f.models, f.err = c.lastKnown(err)
	}
	f.cancel()
	close(f.done)
}

func (c *catalogue) known(digest string) (shown, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.shown[digest]
	return s, ok
}

func (c *catalogue) learn(digest string, s shown) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown[digest] = s
}
