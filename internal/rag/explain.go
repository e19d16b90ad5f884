package rag

import (
	"context"
	"time"
)

// Explanation says what the answer cache would do with a question, and why. Nothing is served, counted or kept for it.
type Explanation struct {
	On         bool        `json:"on"`       // whether the cache takes part at all
	Question   string      `json:"question"` // as it is compared
	Threshold  float64     `json:"threshold"`
	Outcome    CacheStatus `json:"outcome"` // exact, semantic, miss or bypass
	Candidates []Candidate `json:"candidates"`
}

// Candidate is a kept answer in the question's scope, nearest first.
type Candidate struct {
	EntryID    string  `json:"entry_id"`
	Question   string  `json:"question"`
	Similarity float64 `json:"similarity"`
	Age        float64 `json:"age"` // seconds
	Exact      bool    `json:"exact"`
	Refused    string  `json:"refused,omitempty"` // why it may not be served: a Refused... constant, a guard or a Stale reason; empty: it may
}

// Why a candidate is refused before its evidence is looked at.
const (
	RefusedThreshold = "threshold" // not as near as the cache or the request wants
	RefusedAge       = "max_age"   // older than the request wants
)

// explained is how many candidates an explanation has at most.
const explained = 5

// Explain looks what the answer cache has for a question, as Ask would.
func (e *Engine) Explain(ctx context.Context, req Request) (Explanation, error) {
	kb, err := e.Bases.KnowledgeBase(ctx, req.DB)
	if err != nil {
		return Explanation{}, stage("look up knowledge base", err)
	}
	model, err := e.chatModel(ctx, req)
	if CodeOf(err) == CodeModelNotFound {
		return Explanation{}, stage("find model", err)
	}
	key := e.cacheKey(req, kb, model)
	x := Explanation{On: e.Cache.On(), Question: key.Question, Outcome: CacheBypass, Candidates: []Candidate{}}
	if !x.On {
		return x, nil
	}
	vector, _, _ := e.embed(ctx, req) // without one the words find the passages, as they would for Ask
	kept, threshold := e.Cache.Nearest(key, e.cacheVector(ctx, req, kb, vector), explained)
	x.Threshold, x.Outcome = max(threshold, req.MinSimilarity), CacheMiss
	if len(kept) == 0 {
		return x, nil
	}
	found, err := e.Retriever.Retrieve(ctx, e.query(ctx, req, kb, vector))
	if err != nil {
		return Explanation{}, stage("retrieve", err)
	}
	_, shown, _, err := Compose(req.Question, found.Hits, e.Limits.Fit(model))
	if err != nil {
		return Explanation{}, stage("compose", err)
	}
	for i, r := range kept {
		c := Candidate{EntryID: r.EntryID, Question: r.Question, Similarity: r.Similarity, Age: r.Age.Round(time.Millisecond).Seconds(), Exact: r.Question == key.Question}
		status := CacheSemantic
		if c.Exact {
			status = CacheExact
		}
		c.Refused = e.refusal(ctx, req, r, status, threshold, found, shown)
		if i == 0 && c.Refused == "" { // Ask tries the nearest alone
			x.Outcome = status
		}
		x.Candidates = append(x.Candidates, c)
	}
	return x, nil
}

// refusal says why a kept answer may not be served, in the order in which Ask finds out.
func (e *Engine) refusal(ctx context.Context, req Request, r Recalled, status CacheStatus, threshold float64, found Retrieval, shown []Hit) string {
	ageless := req
	ageless.MinSimilarity, ageless.MaxAge = max(threshold, req.MinSimilarity), 0
	switch {
	case !ageless.takes(r):
		return RefusedThreshold
	case r.Guard != "":
		return r.Guard
	case !req.takes(r):
		return RefusedAge
	}
	why := e.verify(ctx, req, r, status, found, shown)
	if why == "" && r.Withheld {
		why = StaleContract
	}
	return string(why)
}
