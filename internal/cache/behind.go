package cache

import "sync"

// behind writes what changed to a file, behind those who ask. A nil one writes nothing.
type behind[T any] struct {
	write func(put []*T, remove []string)

	mu      sync.Mutex
	pending map[string]*T // by key; nil: it is gone
	wake    chan struct{} // closed at the end
	closed  bool
	done    chan struct{}
}

// writeBehind begins. What write cannot write is not tried again.
func writeBehind[T any](write func(put []*T, remove []string)) *behind[T] {
	b := &behind[T]{write: write, pending: map[string]*T{}, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go b.run()
	return b
}

// later notes what there is under a key now, nil where nothing is.
func (b *behind[T]) later(key string, v *T) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.pending[key] = v
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *behind[T]) run() {
	defer close(b.done)
	for open := true; open; {
		_, open = <-b.wake
		b.mu.Lock()
		pending := b.pending
		b.pending = map[string]*T{}
		b.mu.Unlock()
		if len(pending) == 0 {
			continue
		}
		var put []*T
		var remove []string
		for key, v := range pending {
			if v == nil {
				remove = append(remove, key)
			} else {
				put = append(put, v)
			}
		}
		b.write(put, remove)
	}
}

// close writes what is not written yet; what is noted afterwards is not.
func (b *behind[T]) close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.wake)
	}
	b.mu.Unlock()
	<-b.done
}
