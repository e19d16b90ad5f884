package eval

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	cut   = 10  // nDCG and recall look at this many
	depth = 100 // documents that are asked for, and that MAP looks at
)

// Search finds the k best documents for a question and gives their ids, best first. An id that comes twice counts once.
type Search func(ctx context.Context, question string, k int) ([]string, error)

// Report is how well a Search did. The figures are means over the questions.
type Report struct {
	Set       string        `json:"set"`
	Questions int           `json:"questions"`
	NDCG10    float64       `json:"ndcg_10"`
	Recall10  float64       `json:"recall_10"`
	MAP       float64       `json:"map"`    // mean average precision of the first 100
	P50       time.Duration `json:"p50_ns"` // of the time a question takes
	P95       time.Duration `json:"p95_ns"`
	Mean      time.Duration `json:"mean_ns"`
	Each      []Result      `json:"-"`
}

// Result is how well a Search did on one question.
type Result struct {
	Question string // its id
	NDCG10   float64
	Recall10 float64
	AP       float64 // average precision
	Time     time.Duration
}

// Run asks every question of a set, one after the other. It stops at the first error, and names the question.
func Run(ctx context.Context, set Set, search Search) (Report, error) {
	report := Report{Set: set.Name}
	for _, q := range set.Questions {
		start := time.Now()
		found, err := search(ctx, q.Text, depth)
		took := time.Since(start)
		if err != nil {
			return Report{}, fmt.Errorf("question %s: %w", q.ID, err)
		}
		result := judge(found, set.Relevant[q.ID])
		result.Question, result.Time = q.ID, took
		report.Each = append(report.Each, result)
	}
	report.sum()
	return report, nil
}

// sum fills in the means.
func (r *Report) sum() {
	r.Questions = len(r.Each)
	if r.Questions == 0 {
		return
	}
	times := make([]time.Duration, 0, r.Questions)
	var total time.Duration
	for _, each := range r.Each {
		r.NDCG10 += each.NDCG10
		r.Recall10 += each.Recall10
		r.MAP += each.AP
		total += each.Time
		times = append(times, each.Time)
	}
	n := float64(r.Questions)
	r.NDCG10, r.Recall10, r.MAP = r.NDCG10/n, r.Recall10/n, r.MAP/n
	slices.Sort(times)
	r.P50, r.P95, r.Mean = quantile(times, 0.5), quantile(times, 0.95), total/time.Duration(r.Questions)
}

// quantile is the smallest of the sorted times that a share of them does not pass.
func quantile(times []time.Duration, share float64) time.Duration {
	return times[max(int(math.Ceil(share*float64(len(times))))-1, 0)]
}

// judge measures one list of documents against those that are relevant, of which there is at least one.
func judge(found []string, relevant map[string]bool) Result {
	var result Result
	var gain, ideal float64
	seen := map[string]bool{}
	rank, right := 0, 0
	for _, id := range found {
		if seen[id] {
			continue
		}
		seen[id] = true
		rank++
		if !relevant[id] {
			continue
		}
		right++
		result.AP += float64(right) / float64(rank)
		if rank <= cut {
			gain += discount(rank)
			result.Recall10++
		}
	}
	for rank := 1; rank <= min(cut, len(relevant)); rank++ {
		ideal += discount(rank)
	}
	n := float64(len(relevant))
	result.NDCG10, result.Recall10, result.AP = gain/ideal, result.Recall10/n, result.AP/n
	return result
}

// discount is what a relevant document is worth at a rank, from 1.
func discount(rank int) float64 { return 1 / math.Log2(float64(rank+1)) }

// Difference is how much better one report is than another in nDCG@10, with its 95 % interval.
type Difference struct {
	Mean, Low, High float64
}

// resamples is how often the bootstrap draws.
const resamples = 2000

// Compare says how much better r is than other, question by question: the interval is that of a paired bootstrap (B. Efron, "Bootstrap
// Methods: Another Look at the Jackknife", Annals of Statistics 7(1), 1979) with a fixed seed. Both must be of the same questions.
func (r Report) Compare(other Report) (Difference, error) {
	if len(r.Each) != len(other.Each) || len(r.Each) == 0 {
		return Difference{}, fmt.Errorf("compare %d questions with %d: they must be the same", len(r.Each), len(other.Each))
	}
	n := len(r.Each)
	gains := make([]float64, n)
	for i, each := range r.Each {
		if each.Question != other.Each[i].Question {
			return Difference{}, fmt.Errorf("compare question %s with %s: they must be the same", each.Question, other.Each[i].Question)
		}
		gains[i] = each.NDCG10 - other.Each[i].NDCG10
	}
	rng := rand.New(rand.NewPCG(1, 0))
	means := make([]float64, resamples)
	for i := range means {
		for range n {
			means[i] += gains[rng.IntN(n)] / float64(n)
		}
	}
	slices.Sort(means)
	low, high := means[resamples*25/1000], means[resamples*975/1000-1]
	return Difference{Mean: r.NDCG10 - other.NDCG10, Low: low, High: high}, nil
}
