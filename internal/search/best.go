package search

import (
	"math"
	"slices"
)

// best keeps the best of many scored passages: a heap with the worst of them at the top.
type best struct {
	most int
	heap []scored
}

func newBest(most int) *best { return &best{most: most} }

// threshold is the score below which a passage need not be offered; it is above 0.
func (h *best) threshold() float32 {
	if len(h.heap) < h.most {
		return math.SmallestNonzeroFloat32
	}
	return float32(h.heap[0].score)
}

func (h *best) add(x scored) {
	if len(h.heap) < h.most {
		h.heap = append(h.heap, x)
		h.rise(len(h.heap) - 1)
		return
	}
	if better(x, h.heap[0]) < 0 {
		h.heap[0] = x
		h.sink()
	}
}

func (h *best) rise(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if better(h.heap[parent], h.heap[i]) > 0 {
			return
		}
		h.heap[parent], h.heap[i] = h.heap[i], h.heap[parent]
		i = parent
	}
}

func (h *best) sink() {
	for i := 0; ; {
		worst := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(h.heap) && better(h.heap[child], h.heap[worst]) > 0 {
				worst = child
			}
		}
		if worst == i {
			return
		}
		h.heap[i], h.heap[worst] = h.heap[worst], h.heap[i]
		i = worst
	}
}

// sorted gives what was kept, best first.
func (h *best) sorted() []scored {
	slices.SortFunc(h.heap, better)
	return h.heap
}
