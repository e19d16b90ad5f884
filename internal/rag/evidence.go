package rag

import "context"

// Evidence tells what the committed state of a knowledge base holds of passages: hashes has those that are there. It and the
// change counter are of one state; NotFound where the knowledge base is gone.
type Evidence interface {
	Evidence(ctx context.Context, db string, passages []int64) (change uint64, hashes map[int64]string, err error)
}

// Stale says why the evidence of a remembered answer does not hold; empty where it holds.
type Stale string

// The reasons, in the order in which they are looked for.
const (
	StaleUnknown  Stale = "unknown"       // the committed state could not be read, or moves while it is looked at
	StaleGone     Stale = "passage_gone"  // a passage that the answer shows was changed or deleted
	StaleNewer    Stale = "newer_passage" // documents changed, and a passage that the answer was not made from is now among the best
	StaleUncited  Stale = "not_retrieved" // a passage that the answer cites is not among the best for this question
	StaleRanking  Stale = "ranking"       // the best passages for this question are too different ones
	StaleSentence Stale = "sentence"      // the sentence that fits this question best is none that the answer cites
	StaleContract Stale = "contract"      // the error contract withholds answers to questions as near as this one
)

// StaleReasons lists the reasons.
func StaleReasons() []Stale {
	return []Stale{StaleUnknown, StaleGone, StaleNewer, StaleUncited, StaleRanking, StaleSentence, StaleContract}
}

// verify says whether a remembered answer may be served for a question whose retrieval found and showed these passages. All that
// the answer was made from must still be there, since all of it is replayed and any of it may have shaped the words.
func (e *Engine) verify(ctx context.Context, req Request, r Recalled, status CacheStatus, found Retrieval, shown []Hit) Stale {
	change, why := e.holds(ctx, req.DB, r.Answer.Hits)
	switch {
	case why != "":
		return why
	case change != found.Change:
		return StaleUnknown
	}
	if change != r.Change && !within(shown, r.Answer.Hits) {
		return StaleNewer
	}
	if status == CacheExact {
		// The same question over the same passages: where they are fewer now, others were hidden by what has gone.
		if len(shown) != len(r.Answer.Hits) {
			return StaleRanking
		}
		return ""
	}
	return Agree(req.Question, r.Answer, shown)
}

func idsOf(hits []Hit) []int64 {
	ids := make([]int64, len(hits))
	for i, h := range hits {
		ids[i] = h.Passage.ID
	}
	return ids
}

// holds says whether passages are in the committed state, unchanged, and which state that is.
func (e *Engine) holds(ctx context.Context, db string, hits []Hit) (change uint64, why Stale) {
	change, hashes, err := e.Evidence.Evidence(ctx, db, idsOf(hits))
	if err != nil {
		return 0, StaleUnknown
	}
	for _, h := range hits {
		if hashes[h.Passage.ID] != h.Passage.Hash {
			return change, StaleGone
		}
	}
	return change, ""
}

func within(hits, others []Hit) bool {
	there := make(map[int64]bool, len(others))
	for _, h := range others {
		there[h.Passage.ID] = true
	}
	for _, h := range hits {
		if !there[h.Passage.ID] {
			return false
		}
	}
	return true
}

// Agree says whether the passages shown for a new question bear out an answer that was made for another one.
func Agree(question string, a Answer, shown []Hit) Stale {
	if len(shown) == 0 || len(a.Hits) == 0 {
		return StaleRanking
	}
	at := make(map[int64]bool, len(shown))
	for _, h := range shown {
		at[h.Passage.ID] = true
	}
	for _, c := range a.Citations {
		if !at[c.Passage] {
			return StaleUncited
		}
	}
	if len(a.Citations) == 0 && (len(shown) != len(a.Hits) || !within(shown, a.Hits)) {
		return StaleUncited // it rests on all that it was shown
	}
	if RankOverlap(shown, a.Hits) < leastRankOverlap {
		return StaleRanking
	}
	if !CitesBest(question, a, shown) {
		return StaleSentence
	}
	return ""
}

// leastRankOverlap is how much of two rankings must be the same.
const leastRankOverlap = .6

// RankOverlap is the mean share, over the depths of the longer list, that the heads of two rankings have in common, 0 to 1: the
// best passages count most.
func RankOverlap(a, b []Hit) float64 {
	n := max(len(a), len(b))
	seen := make(map[int64]int, 2*n)
	common, sum := 0, 0.0
	note := func(hits []Hit, depth int) {
		if depth < len(hits) {
			id := hits[depth].Passage.ID
			if seen[id]++; seen[id] == 2 {
				common++
			}
		}
	}
	for depth := range n {
		note(a, depth)
		note(b, depth)
		sum += float64(common) / float64(depth+1)
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// CitesBest says whether the sentence of the passages shown that shares most words with the question is one that the answer
// quotes. Where no sentence shares a word, as across languages, the words say nothing.
func CitesBest(question string, a Answer, shown []Hit) bool {
	want := contentWords(question)
	best := 0.0
	spans := make([]Span, len(shown))
	scores := make([]float64, len(shown))
	for i, h := range shown {
		spans[i], scores[i] = bestSentence(h.Passage.Text, want)
		best = max(best, scores[i])
	}
	if best == 0 || len(a.Citations) == 0 {
		return true
	}
	for i, h := range shown {
		if scores[i] < best {
			continue
		}
		start, end := h.Passage.Span.Start+spans[i].Start, h.Passage.Span.Start+spans[i].End
		for _, c := range a.Citations {
			if c.DocumentID == h.Passage.Document && c.Start < end && start < c.End {
				return true
			}
		}
	}
	return false
}
