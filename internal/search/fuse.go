package search

import "slices"

// fused is a passage with what each method said of it.
type fused struct {
	scored
	words, cosine *float64
}

// fuse joins the lists of two methods, each best first; share gives a passage's part of the score: that of the word side by its
// place in words, that of the vector side by its place in vectors.
func fuse(words, vectors []scored, wordShare, vectorShare func(place int) float64) []fused {
	all := make([]fused, 0, len(words)+len(vectors))
	places := make(map[int64]int, len(words))
	for i, x := range words {
		places[x.id] = len(all)
		all = append(all, fused{scored: scored{x.id, wordShare(i)}, words: &words[i].score})
	}
	for i, x := range vectors {
		at, ok := places[x.id]
		if !ok {
			at = len(all)
			all = append(all, fused{scored: scored{id: x.id}})
		}
		all[at].score += vectorShare(i)
		all[at].cosine = &vectors[i].score
	}
	slices.SortFunc(all, func(a, b fused) int { return better(a.scored, b.scored) })
	return all
}

// scaled is the share of a weighted sum: the score, brought to 0..1 by the lowest and the highest of its list, times the
// passage's weight.
func scaled(list []scored, weight func(id int64) float64) func(int) float64 {
	return func(place int) float64 {
		low, high := list[len(list)-1].score, list[0].score
		w := weight(list[place].id)
		if low == high {
			return w
		}
		return w * (list[place].score - low) / (high - low)
	}
}

// reciprocal is the share of reciprocal rank fusion: G. V. Cormack, C. L. A. Clarke, S. Büttcher, "Reciprocal Rank Fusion
// outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.
func reciprocal(k float64) func(int) float64 {
	return func(place int) float64 { return 1 / (k + float64(place+1)) }
}
