package embed

import (
	"context"
	"sync"
)

// lanes bounds how many texts are worked on at once, each with working memory of its own that is kept for the next. A question
// goes before all passages that wait, so it waits for one passage at most.
type lanes struct {
	mu      sync.Mutex
	idle    []*scratch
	left    int // lanes that have never been used
	make    func() *scratch
	waiting [2][]chan *scratch // passages, questions: first come, first served
}

func newLanes(n int, make func() *scratch) *lanes { return &lanes{left: n, make: make} }

// take waits for a lane.
func (l *lanes) take(ctx context.Context, question bool) (*scratch, error) {
	l.mu.Lock()
	if n := len(l.idle); n > 0 {
		s := l.idle[n-1]
		l.idle = l.idle[:n-1]
		l.mu.Unlock()
		return s, nil
	}
	if l.left > 0 {
		l.left--
		l.mu.Unlock()
		return l.make(), nil
	}
	class := 0
	if question {
		class = 1
	}
	turn := make(chan *scratch, 1)
	l.waiting[class] = append(l.waiting[class], turn)
	l.mu.Unlock()
	select {
	case s := <-turn:
		return s, nil
	case <-ctx.Done():
		l.leave(class, turn)
		return nil, ctx.Err()
	}
}

// leave gives a place in the queue up, or the lane that has just come.
func (l *lanes) leave(class int, turn chan *scratch) {
	l.mu.Lock()
	for i, c := range l.waiting[class] {
		if c == turn {
			l.waiting[class] = append(l.waiting[class][:i], l.waiting[class][i+1:]...)
			l.mu.Unlock()
			return
		}
	}
	l.mu.Unlock()
	l.give(<-turn)
}

// give hands a lane to who waits, questions first.
func (l *lanes) give(s *scratch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for class := 1; class >= 0; class-- {
		if q := l.waiting[class]; len(q) > 0 {
			l.waiting[class] = q[1:]
			q[0] <- s
			return
		}
	}
	l.idle = append(l.idle, s)
}
