package metrics

import (
	"maps"
	"slices"
	"sync"
)

// maxNames is how many names of models or knowledge bases become label values; the rest is "other".
const maxNames = 20

const otherName = "other"

// capped keeps the names that come first in order and adds the rest up under "other".
func capped(counts map[string]int) map[string]int {
	out := map[string]int{}
	for i, name := range slices.Sorted(maps.Keys(counts)) {
		label := name
		if i >= maxNames {
			label = otherName
		}
		out[label] += counts[name]
	}
	return out
}

// names hands out label values: the first maxNames names as they are, then "other".
type names[T any] struct {
	make  func(name string) T
	mu    sync.RWMutex
	known map[string]T
}

func newNames[T any](f func(name string) T) *names[T] {
	return &names[T]{make: f, known: map[string]T{otherName: f(otherName)}}
}

func (n *names[T]) get(name string) T {
	n.mu.RLock()
	v, ok := n.known[name]
	n.mu.RUnlock()
	if ok {
		return v
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if v, ok := n.known[name]; ok {
		return v
	}
	if name == "" || len(n.known) > maxNames {
		return n.known[otherName]
	}
	v = n.make(name)
	n.known[name] = v
	return v
}
