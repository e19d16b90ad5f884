package rag

import (
	"context"
	"strings"
)

// Shadows make a sample of the answers that the cache served again, behind those who ask, so that the cache knows how often it is
// wrong. Its zero value takes none.
type Shadows struct {
	// Spend takes one call out of what may be spent beyond what was asked for; false: nothing is left.
	Spend func() bool

	waiting chan func(context.Context)
}

// shadowQueue is how many answers wait to be made again; more are left out.
const shadowQueue = 16

// NewShadows makes shadows that spend calls by spend.
func NewShadows(spend func() bool) *Shadows {
	return &Shadows{Spend: spend, waiting: make(chan func(context.Context), shadowQueue)}
}

// Run makes answers again, one at a time, until ctx ends.
func (s *Shadows) Run(ctx context.Context) {
	for {
		select {
		case work := <-s.waiting:
			if s.Spend() {
				work(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

// shadow has the model answer a question that the cache answered, as it would have done without.
func (e *Engine) shadow(served Recalled, p Prompt, shown []Hit) {
	if e.Shadows == nil {
		return
	}
	p.Class = ClassIngest                 // nobody waits for it
	p.NoRecall, p.NoRemember = true, true // what the model itself says
	work := func(ctx context.Context) {
		var text strings.Builder
		reason := ""
		for chunk, err := range e.Generator.Generate(ctx, p) {
			if err != nil {
				return
			}
			text.WriteString(chunk.Text)
			reason = chunk.DoneReason
		}
		if strings.TrimSpace(text.String()) == "" || reason != "stop" {
			return
		}
		e.Cache.Compared(served, Answer{Text: text.String(), Hits: shown, Citations: Cite(text.String(), shown)})
	}
	select {
	case e.Shadows.waiting <- work:
	default:
	}
}
