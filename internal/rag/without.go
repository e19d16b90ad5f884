package rag

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// without answers without a model, marked as degraded: with a remembered answer that is too old, if the operator allows it and what
// it was made from is still there, else with the passages alone. Or it fails, where the request asked for that.
func (e *Engine) without(ctx context.Context, req Request, a *Answer, spare *Recalled, cause error, emit func(Event) error) error {
	if req.NoDegrade {
		if CodeOf(cause) == CodeNoModel {
			cause = Errorf(Unavailable, CodeNoModel, "%s", detail(cause)).Because(cause)
		}
		return stage("generate", cause)
	}
	why := StaleUnknown
	if spare != nil {
		_, why = e.holds(ctx, req.DB, spare.Answer.Hits)
	}
	if why == "" {
		a.Hits, a.Dropped, a.Method, a.Model, a.Provider = spare.Answer.Hits, spare.Answer.Dropped, spare.Answer.Method, spare.Answer.Model, spare.Answer.Provider
		a.Text, a.Citations, a.DoneReason = spare.Answer.Text, spare.Answer.Citations, spare.Answer.DoneReason
		a.Cache = spare.info(CacheStale)
		a.Notice = fmt.Sprintf("No language model answered, so this is an answer of %s ago, and documents or time may have overtaken it: %s", spare.Age.Round(time.Second), detail(cause))
		e.Cache.Served(*spare, CacheStale, 0)
	} else {
		a.Text, a.Citations = Extract(req.Question, a.Hits, e.nearest(ctx, req))
		a.DoneReason = "extractive"
		a.Notice = "No language model answered, so these are the passages themselves: " + detail(cause)
		if strangers(req.Question, a.Hits) {
			a.Notice = "Perhaps nothing here fits: no passage has a word of the question. " + a.Notice
		}
	}
	a.Degraded, a.DegradedReason = true, reasonFor(cause)
	if err, ok := errors.AsType[*Error](cause); ok {
		a.RetryAfter = err.RetryAfter
	}
	return emit(Event{Kind: EventToken, Token: a.Text})
}

func reasonFor(err error) Reason {
	switch CodeOf(err) {
	case CodeCircuitOpen:
		return ReasonCircuitOpen
	case CodeQueueFull:
		return ReasonQueueFull
	}
	switch KindOf(err) {
	case Overloaded:
		return ReasonQueueFull
	case Timeout:
		return ReasonTimeout
	}
	return ReasonNoModel
}

func nothingShown(kb KnowledgeBase, dropped []Dropped) string {
	if len(dropped) > 0 {
		return "Passages were found, but none of them fits the context window: raise OLLAMA_NUM_CTX."
	}
	if kb.Empty {
		return fmt.Sprintf("The knowledge base %q holds nothing yet: ingest documents, or wait for those that are being read.", kb.Name)
	}
	return fmt.Sprintf("Nothing in the knowledge base %q matches this question.", kb.Name)
}
