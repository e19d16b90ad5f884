package ingest

import (
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// pace tells how fast a job goes and how long it will take, by the share of its bytes that is done.
type pace struct {
	job       *job
	start     time.Time
	all, done float64 // of what the share is taken of
	end       float64 // done when the part at hand is
	each      float64 // what a passage of that part counts
	passages  int     // with their vectors
}

func newPace(j *job, all float64) *pace { return &pace{job: j, start: time.Now(), all: all} }

// begin takes up a part of the work.
func (p *pace) begin(size float64, passages int) {
	p.end = p.done + size
	p.each = size / float64(max(1, passages))
}

// embedded tells of passages of the part at hand.
func (p *pace) embedded(n int) {
	p.passages += n
	p.done = min(p.done+p.each*float64(n), p.end)
	p.tell()
}

// finish ends the part at hand.
func (p *pace) finish() {
	p.done = p.end
	p.tell()
}

// soonest is when a rate says something.
const soonest = time.Second

func (p *pace) tell() {
	elapsed := time.Since(p.start)
	if elapsed < soonest || p.done <= 0 {
		return
	}
	p.job.update(func(j *rag.Job) {
		j.Report.Rate = float64(p.passages) / elapsed.Seconds()
		j.Report.SecondsLeft = elapsed.Seconds() * max(0, p.all-p.done) / p.done
	})
}
