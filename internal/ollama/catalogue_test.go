package ollama

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// loads is a server that answers look-ups: it counts them, takes a second, and may be away.
type loads struct {
	mu     sync.Mutex
	count  int
	err    error
	models []Model
}

func (l *loads) load(ctx context.Context) ([]Model, error) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	return l.models, l.err
}

func (l *loads) set(models []Model, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.models, l.err = models, err
}

func (l *loads) seen() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

var away = rag.Errorf(rag.Unavailable, rag.CodeUnreachable, "away")

func TestManyAskersShareOneLookUpAndItIsKeptTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loads{models: []Model{{Name: "m:latest"}}}
		c := &catalogue{load: l.load}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if models, err := c.get(t.Context()); err != nil || len(models) != 1 {
					t.Errorf("%v, %v", models, err)
				}
			})
		}
		wg.Wait()
		time.Sleep(listFor - 1)
		_, _ = c.get(t.Context())
		if l.seen() != 1 {
			t.Errorf("%d look-ups", l.seen())
		}
		time.Sleep(1)
		_, _ = c.get(t.Context())
		if l.seen() != 2 {
			t.Errorf("%d look-ups after ten seconds", l.seen())
		}
	})
}

func TestAbsentServerCostsNothingWhileTheFailureIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loads{err: away}
		c := &catalogue{load: l.load}
		for range 10 {
			if _, err := c.get(t.Context()); err != away {
				t.Fatalf("got %v", err)
			}
		}
		if l.seen() != 1 {
			t.Errorf("%d look-ups", l.seen())
		}
		time.Sleep(failedFor)
		l.set([]Model{{Name: "m:latest"}}, nil)
		if models, err := c.get(t.Context()); err != nil || len(models) != 1 {
			t.Errorf("%v, %v", models, err)
		}
	})
}

func TestServerThatWentAwayLeavesItsListForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loads{models: []Model{{Name: "m:latest"}}}
		c := &catalogue{load: l.load}
		_, _ = c.get(t.Context())
		l.set(nil, away)
		for ; ; time.Sleep(time.Minute) {
			c.mu.Lock()
			old := time.Since(c.listed) + time.Second // a look-up takes one
			c.mu.Unlock()
			models, err := c.get(t.Context())
			if old < staleFor && (err != nil || len(models) != 1) {
				t.Fatalf("after %v: %v", old, err)
			}
			if old > staleFor {
				if err != away {
					t.Errorf("after %v: %v, %v", old, models, err)
				}
				return
			}
		}
	})
}

func TestAskerThatLeavesDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loads{models: []Model{{Name: "m:latest"}}}
		c := &catalogue{load: l.load}
		hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		first := make(chan error)
		go func() {
			_, err := c.get(hurried)
			first <- err
		}()
		synctest.Wait()
		models, err := c.get(t.Context())
		if err != nil || len(models) != 1 {
			t.Errorf("%v, %v", models, err)
		}
		if err := <-first; rag.CodeOf(err) != rag.CodeTimeout {
			t.Errorf("got %v", err)
		}
	})
}

func TestLookUpThatNobodyWaitsForStopsAndSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loads{models: []Model{{Name: "m:latest"}}}
		c := &catalogue{load: l.load}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := c.get(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if models, err := c.get(t.Context()); err != nil || len(models) != 1 || l.seen() != 1 {
			t.Errorf("%v, %v, %d look-ups", models, err, l.seen())
		}
	})
}
