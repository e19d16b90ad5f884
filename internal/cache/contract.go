package cache

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"sync"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/stat"
)

// The error contract: of the answers that the semantic tier serves, at most a share of MaxError is other than what the model
// would have said. A sample of them is made again and compared. The newest comparisons are kept; from the first minSamples of them on,
// the exact upper bound (Clopper-Pearson, one-sided, 95 %) of the share that differs is held against the promise, once any of
// them differs: a wide bound over none that does says only that little was seen. Where it passes the promise, the threshold rises to the least similarity from which on the comparisons keep the promise; where there is none the
// tier closes. What the tier then withholds is compared with the answer that the model gives anyway, so that it opens again by
// itself once enough of that agrees.
const (
	minSamples   = 50
	sampleWindow = 1000 // comparisons, the newest
	closed       = 2    // no similarity reaches it
)

type contract struct {
	mu       sync.Mutex
	maxError float64
	samples  []sample // oldest first
	least    float64  // similarity of an answer that may be served, above the threshold of the settings; 0: that one decides
	log      *slog.Logger
	keep     func(state []byte) // nil: comparisons end with the process
}

// sample is one comparison.
type sample struct {
	Similarity float64 `json:"s"`
	Same       bool    `json:"ok"`
}

// add notes a comparison, and says it where the tier changes.
func (c *contract) add(s sample, threshold float64) {
	c.mu.Lock()
	c.samples = append(c.samples, s)
	if over := len(c.samples) - sampleWindow; over > 0 {
		c.samples = slices.Delete(c.samples, 0, over)
	}
	before := tierAt(c.least)
	c.judge(threshold)
	after, samples := tierAt(c.least), slices.Clone(c.samples)
	c.mu.Unlock()
	if before != after && c.log != nil {
		report := c.report(threshold)
		c.log.Warn("semantic answer cache", "from", before, "to", after, "compared", report.Compared, "different", report.Different,
			"upper_bound", report.UpperBound, "promise", report.MaxError, "threshold", report.Least)
	}
	if c.keep != nil {
		state, _ := json.Marshal(samples) // plain values: cannot fail
		c.keep(state)
	}
}

// judge sets the least similarity. The caller holds mu.
func (c *contract) judge(threshold float64) {
	c.least = 0
	for _, from := range c.steps(threshold) {
		n, different := c.count(from)
		switch {
		case n < minSamples && from > threshold:
			c.least = closed // too few that near to promise anything
			return
		case n < minSamples || different == 0 || stat.Bounded(different, n, c.maxError):
			if from > threshold {
				c.least = from
			}
			return
		}
	}
	c.least = closed
}

// steps are the similarities to try: the threshold of the settings, then just above each answer that differed.
func (c *contract) steps(threshold float64) []float64 {
	out := []float64{threshold}
	for _, s := range c.samples {
		if !s.Same && s.Similarity >= threshold {
			out = append(out, s.Similarity+rounding)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// count is how many comparisons there are from a similarity on, and how many of them differ.
func (c *contract) count(from float64) (n, different int) {
	for _, s := range c.samples {
		if s.Similarity < from {
			continue
		}
		n++
		if !s.Same {
			different++
		}
	}
	return n, different
}

func tierAt(least float64) rag.CacheTier {
	switch least {
	case 0:
		return rag.TierOpen
	case closed:
		return rag.TierClosed
	}
	return rag.TierTightened
}

// allows says whether the contract lets an answer of this similarity be served.
func (c *contract) allows(similarity float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return similarity >= c.least
}

// report says how things stand.
func (c *contract) report(threshold float64) rag.CacheContract {
	c.mu.Lock()
	r := rag.CacheContract{MaxError: c.maxError, Tier: tierAt(c.least), Least: min(max(c.least, threshold), 1)}
	r.Compared, r.Different = c.count(threshold)
	c.mu.Unlock()
	r.UpperBound = stat.UpperBound(r.Different, r.Compared) // takes a while: outside the lock that each near question waits for
	return r
}

// promise changes what is promised, and for which threshold.
func (c *contract) promise(maxError, threshold float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.maxError = maxError
	c.judge(threshold)
}

// Contract lets comparisons outlive the process: state is what keep was given last, nil where there is none. It is called once,
// before the cache is used.
func (c *Cache) Contract(state []byte, keep func(state []byte), log *slog.Logger) {
	c.contract.keep, c.contract.log = keep, log
	if len(state) > 0 && json.Unmarshal(state, &c.contract.samples) != nil {
		c.contract.samples = nil
	}
	c.contract.promise(c.config.MaxError, c.config.Threshold)
}

var passageNumber = regexp.MustCompile(`\[\d[\d,; ]*\]`)

// sameAnswer says whether two answers agree: they cite the same passages, and have the same numbers and names, and deny alike.
func sameAnswer(a, b rag.Answer) bool {
	x, y := read(passageNumber.ReplaceAllString(a.Text, " ")), read(passageNumber.ReplaceAllString(b.Text, " "))
	return slices.Equal(cited(a), cited(b)) && slices.Equal(slices.Compact(quantities(x.text)), slices.Compact(quantities(y.text))) &&
		sameNames(x, y) && sameNegation(x, y)
}

func cited(a rag.Answer) []int64 {
	out := make([]int64, len(a.Citations))
	for i, c := range a.Citations {
		out[i] = c.Passage
	}
	slices.Sort(out)
	return slices.Compact(out)
}
