package metrics

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// How many names become label values; the rest is "other".
const (
	maxNames    = 20 // models, knowledge bases
	maxBreakers = 10 // models on hosts with the series of a breaker, about a dozen each
	maxTimed    = 4  // models with histograms of their own: those used first
)

const otherName = "other"

// capped keeps the names that come first in order and adds the rest up under "other".
func capped(counts map[string]int) map[string]int {
	out := map[string]int{}
	for i, name := range slices.Sorted(maps.Keys(counts)) {
		label := strings.ToValidUTF8(name, "?")
		if i >= maxNames {
			label = otherName
		}
		out[label] += counts[name]
	}
	return out
}

// names hands out label values: the first most names as they are, then "other".
type names[T any] struct {
	most  int
	make  func(name string) T
	mu    sync.RWMutex
	known map[string]T
}

func newNames[T any](most int, f func(name string) T) *names[T] {
	return &names[T]{most: most, make: f, known: map[string]T{otherName: f(otherName)}}
}

func (n *names[T]) get(name string) T {
	n.mu.RLock()
	v, ok := n.known[name]
	if !ok && n.full(name) {
		v, ok = n.known[otherName], true
	}
	n.mu.RUnlock()
	if ok {
		return v
	}
	name = strings.ToValidUTF8(name, "?") // a label of anything else is refused, with a panic
	n.mu.Lock()
	defer n.mu.Unlock()
	if v, ok := n.known[name]; ok {
		return v
	}
	if n.full(name) {
		return n.known[otherName]
	}
	v = n.make(name)
	n.known[name] = v
	return v
}

func (n *names[T]) full(name string) bool {
	return name == "" || len(n.known) > n.most // "other" is one of them
}
