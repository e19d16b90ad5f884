package rag

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"
)

// Engine answers questions. It alone knows the order of the stages; each stage is a port or a pure function.
type Engine struct {
	Bases     KnowledgeBases
	Embedders Embedders
	Retriever Retriever
	Models    Models
	Generator Generator
	Cache     Recaller
	Evidence  Evidence
	// CacheEmbedder gives Cache its vectors, for every knowledge base the same; nil or a zero id: the very same question alone is
	// recalled.
	CacheEmbedder Embedders
	Worth         func(context.Context, EmbedderID) Worth // what an embedder is worth in each language; nil, or nil from it, where nobody has measured
	Limits        Limits
	Provider      string
	Server        string // stands for the digest of a model that has none, for the cache key
	// EmbedTimeout is how long a question waits for its vector before it is answered by words alone; 30 s where it is 0.
	EmbedTimeout time.Duration
	Sampled      bool                         // answers that chance decided are remembered too
	Shadows      *Shadows                     // served answers that are made again to compare; nil: none
	Joins        *Joins                       // identical questions in flight; nil: each is answered by itself
	Normalise    func(question string) string // Unicode NFC and folded spaces, for the cache key
	// Asked is told how each question ended: with its whole answer, with an error, or with neither, where the reader left. nil: nobody is.
	Asked func(ctx context.Context, req Request, a *Answer, err error)
}

// Ask answers a question as a stream of events. After an error nothing follows; a reader that stops early stops the model,
// and nothing is remembered. The last event of a whole answer is EventDone.
//
// The same question in flight is answered once, where Joins is set.
func (e *Engine) Ask(ctx context.Context, req Request) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var whole *Answer
		err := errPanicked
		if e.Asked != nil {
			defer func() { e.Asked(ctx, req, whole, err) }()
		}
		err = e.answer(ctx, req, func(ev Event) error {
			if ev.Kind == EventDone {
				whole = ev.Answer
			}
			if !yield(ev, nil) {
				return errReaderLeft
			}
			return nil
		})
		switch {
		case errors.Is(err, errReaderLeft):
			err = nil
		case err != nil:
			yield(Event{}, err)
		}
	}
}

func (e *Engine) answer(ctx context.Context, req Request, emit func(Event) error) error {
	q, err := e.look(ctx, req)
	switch {
	case err != nil:
		return err
	case e.joins(req):
		return e.join(ctx, q, emit)
	}
	return e.ask(ctx, q, emit)
}

// events is the stream of what work emits, and of the error that it ends with.
func events(work func(emit func(Event) error) error) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		emit := func(ev Event) error {
			if !yield(ev, nil) {
				return errReaderLeft
			}
			return nil
		}
		if err := work(emit); err != nil && !errors.Is(err, errReaderLeft) {
			yield(Event{}, err)
		}
	}
}

var (
	errReaderLeft = errors.New("the reader left")
	errPanicked   = errors.New("the answer was not finished")
)

// asked is a question with what its answer depends on.
type asked struct {
	Request
	start   time.Time
	kb      KnowledgeBase
	model   Model
	noModel error // why none can be asked
	key     CacheKey
}

// look finds the knowledge base and the model of a question.
func (e *Engine) look(ctx context.Context, req Request) (q asked, err error) {
	q = asked{Request: req, start: time.Now()}
	if q.kb, err = e.Bases.KnowledgeBase(ctx, req.DB); err != nil {
		return q, stage("look up knowledge base", err)
	}
	q.model, q.noModel = e.chatModel(ctx, req)
	if CodeOf(q.noModel) == CodeModelNotFound {
		return q, stage("find model", q.noModel)
	}
	q.key = e.cacheKey(req, q.kb, q.model)
	return q, nil
}

// ask is the way of a question, top to bottom.
func (e *Engine) ask(ctx context.Context, q asked, emit func(Event) error) error {
	req, kb, model, modelErr, key, start := q.Request, q.kb, q.model, q.noModel, q.key, q.start
	var t Timings
	recall := e.Cache.On() && !req.NoRecall
	var old candidate
	var spare, doubted *Recalled // served where no model answers; withheld, and compared with what the model says
	if recall {
		var atOnce bool
		old.Recalled, old.there, atOnce = e.recallExact(q)
		if old.there && old.Expired {
			expired := old.Recalled
			spare, old.there = &expired, false
		}
		if atOnce {
			return replay(emit, old.Recalled, CacheExact, t, start)
		}
		old.status = CacheExact
	}
	t.Recall = since(start)

	embedding := time.Now()
	vector, _, embedErr := e.embed(ctx, req)
	if err := ctx.Err(); err != nil {
		return stage("embed question", err)
	}
	near := e.cacheVector(ctx, req, kb, vector)
	t.Embed = since(embedding)
	if recall && !old.there {
		near, there := e.Cache.RecallNear(key, near)
		old = candidate{near, there && req.takes(near), CacheSemantic}
	}
	if recall && !old.there {
		e.Cache.Missed(nil, "")
	}

	began := time.Now()
	found, err := e.retrieve(ctx, req, kb, vector)
	if err != nil {
		return stage("retrieve", err)
	}
	t.Retrieve = since(began)

	limits := e.Limits.Fit(model)
	messages, shown, dropped, err := Compose(req.Question, found.Hits, limits)
	if err != nil {
		return stage("compose", err)
	}
	prompt := Prompt{Provider: e.Provider, Model: model.Name, Messages: messages, NumCtx: limits.NumCtx, MaxTokens: limits.MaxTokens, Temperature: req.Temperature, Seed: req.Seed,
		Digest: model.Digest, DB: req.DB, Change: found.Change, Passages: idsOf(shown), NoRecall: req.NoRecall, NoRemember: req.NoRemember, MaxAge: req.MaxAge}
	if old.there {
		why := e.verify(ctx, req, old.Recalled, old.status, found, shown)
		if why == "" && old.Withheld {
			why, doubted = StaleContract, &old.Recalled
		}
		if why == "" {
			if e.Cache.Served(old.Recalled, old.status, found.Change) && modelErr == nil && repeatable(req) { // what chance decides differs by chance
				e.shadow(old.Recalled, prompt, shown)
			}
			return replay(emit, old.Recalled, old.status, t, start)
		}
		e.Cache.Missed(&old.Recalled, why)
		if spare == nil && old.Spare && old.serves(why, req, shown) {
			spare = &old.Recalled
		}
	}
	a := Answer{
		DB: req.DB, Hits: shown, Dropped: dropped, Method: found.Method, Model: model.Name, Provider: e.Provider,
		Cache: CacheInfo{Status: CacheMiss}, Timings: t,
	}
	if len(shown) == 0 || modelErr != nil {
		a.Model = "" // none is asked
	}
	if !recall {
		a.Cache.Status = CacheBypass
	}
	if req.OnlyIfCached {
		return Errorf(Timeout, CodeNotCached, "no answer to this question is kept that may be served: ask without Cache-Control: only-if-cached")
	}
	contexts := func() Event {
		now := a // what comes later must not change an event that was sent
		return Event{Kind: EventContexts, Answer: &now}
	}
	if req.NoDegrade || spare != nil {
		// Whoever wants an error instead of quoted passages wants it before the first event; and an old answer has other passages.
		emit = after(emit, contexts)
	} else if err := emit(contexts()); err != nil {
		return err
	}

	switch {
	case len(shown) == 0:
		a.Notice, a.DoneReason = nothingShown(kb, dropped), "no_passages"
		a.Text = a.Notice
		err = emit(Event{Kind: EventToken, Token: a.Text})
	case modelErr != nil:
		err = e.without(ctx, req, &a, spare, modelErr, emit)
	default:
		err = e.generate(ctx, req, prompt, &a, spare, emit)
	}
	if err != nil {
		return err
	}
	if embedErr != nil && !a.Degraded {
		a.Degraded, a.DegradedReason = true, ReasonNoVectors
		a.Notice = noVectors + detail(embedErr)
	}
	a.Timings.Total = since(start)
	for i := range a.Citations {
		if err := emit(Event{Kind: EventCitation, Citation: &a.Citations[i]}); err != nil {
			return err
		}
	}
	// An index that is behind or ahead of the key's change showed other documents than the key says.
	if e.Cache.On() && !req.NoRemember && found.Change == kb.Change && worthKeeping(a) && (e.Sampled || repeatable(req)) {
		a.Cache.Stored = e.Cache.Remember(key, near, kb.Change, a)
	}
	err = emit(Event{Kind: EventDone, Answer: &a})
	if doubted != nil && worthKeeping(a) && repeatable(req) { // the reader has the answer: it need not wait for this
		e.Cache.Compared(*doubted, a)
	}
	return err
}

// recallExact looks the very same question up. Where its evidence was found to hold for the documents as they are now it is served at
// once, and counted.
func (e *Engine) recallExact(q asked) (r Recalled, there, served bool) {
	r, there = e.Cache.RecallExact(q.key)
	there = there && q.takes(r)
	served = there && !r.Expired && r.Change == q.kb.Change
	if served {
		e.Cache.Served(r, CacheExact, q.kb.Change)
	}
	return r, there, served
}

// candidate is a remembered answer whose evidence is still to be looked at.
type candidate struct {
	Recalled
	there  bool
	status CacheStatus
}

// serves says whether an answer that was refused may be served where no model answers: only documents have overtaken it. The answer
// to another question must be borne out by what is found now, newer passages or not.
func (c candidate) serves(why Stale, req Request, shown []Hit) bool {
	if c.status == CacheExact {
		return why == StaleNewer || why == StaleRanking
	}
	return why == StaleNewer && !c.Withheld && Agree(req.Question, c.Answer, shown) == ""
}

// after puts an event before the first one that tells of an answer.
func after(emit func(Event) error, first func() Event) func(Event) error {
	sent := false
	return func(ev Event) error {
		if ev.Kind == EventStatus && !sent {
			return nil
		}
		if !sent {
			sent = true
			if err := emit(first()); err != nil {
				return err
			}
		}
		return emit(ev)
	}
}

// chatModel finds the model that will answer. A named model whose server cannot be asked is tried all the same: the call
// itself then decides, and counts.
func (e *Engine) chatModel(ctx context.Context, req Request) (Model, error) {
	m, err := e.Models.ChatModel(ctx, req.Model)
	if err != nil && req.Model != "" && CodeOf(err) != CodeModelNotFound {
		if m.Name == "" {
			m.Name = req.Model
		}
		return m, nil
	}
	return m, err
}

// generate streams the model's answer into a. Where the model fails before its first word, the answer does without it.
func (e *Engine) generate(ctx context.Context, req Request, p Prompt, a *Answer, spare *Recalled, emit func(Event) error) error {
	if err := emit(Event{Kind: EventStatus, Status: "generating"}); err != nil {
		return err
	}
	start := time.Now()
	var text strings.Builder
	done := false
	for chunk, err := range e.Generator.Generate(ctx, p) {
		if err != nil {
			if text.Len() == 0 && ctx.Err() == nil {
				return e.without(ctx, req, a, spare, err, emit)
			}
			return stage("generate", err)
		}
		if chunk.Text != "" {
			if text.Len() == 0 {
				a.Timings.FirstToken = since(start)
			}
			text.WriteString(chunk.Text)
			if err := emit(Event{Kind: EventToken, Token: chunk.Text}); err != nil {
				return err
			}
		}
		if chunk.Done {
			done, a.DoneReason, a.Usage = true, chunk.DoneReason, chunk.Usage
			if chunk.Cached {
				a.Cache.Generation = GenerationCached
			}
		}
	}
	a.Timings.Generate = since(start)
	if strings.TrimSpace(text.String()) == "" {
		return e.without(ctx, req, a, spare, Errorf(BadUpstream, "", "the model %s wrote nothing", p.Model), emit)
	}
	if !done {
		return stage("generate", Errorf(BadUpstream, "", "the model %s stopped in the middle of its answer", p.Model))
	}
	a.Text = text.String()
	a.Citations = Cite(a.Text, a.Hits)
	return nil
}

// worthKeeping says whether an answer may be served again: whole, from a model, and not cut at the token limit.
func worthKeeping(a Answer) bool { return !a.Degraded && a.DoneReason == "stop" }

// repeatable says whether the same question would get the same answer again.
func repeatable(req Request) bool { return Repeatable(req.Temperature, req.Seed) }

// Repeatable says whether a model that is asked so says the same again. A negative seed is none to Ollama, which then draws one.
func Repeatable(temperature float64, seed *int) bool {
	return temperature == 0 || seed != nil && *seed >= 0
}

// replay serves a remembered answer as the same events that made it.
func replay(emit func(Event) error, r Recalled, status CacheStatus, t Timings, start time.Time) error {
	a := r.Answer
	a.Cache = r.info(status)
	a.Timings = t
	a.Timings.Total = since(start)
	if a.Timings.Recall == 0 {
		a.Timings.Recall = a.Timings.Total
	}
	if err := emit(Event{Kind: EventContexts, Answer: &a}); err != nil {
		return err
	}
	if err := emit(Event{Kind: EventToken, Token: a.Text}); err != nil {
		return err
	}
	for i := range a.Citations {
		if err := emit(Event{Kind: EventCitation, Citation: &a.Citations[i]}); err != nil {
			return err
		}
	}
	return emit(Event{Kind: EventDone, Answer: &a})
}

// info is what an answer says that was remembered.
func (r Recalled) info(status CacheStatus) CacheInfo {
	return CacheInfo{Status: status, Similarity: r.Similarity, Age: r.Age.Seconds(), OriginalQuestion: r.Question, EntryID: r.EntryID}
}

func (e *Engine) query(ctx context.Context, r Request, kb KnowledgeBase, vector []float32) Query {
	q := Query{
		DB: r.DB, Text: r.Question, Vector: vector, Method: r.Method, K: r.K,
		BM25Weight: r.BM25Weight, RRF: r.RRF, RRFK: r.RRFK, Filter: r.Filter,
	}
	if vector != nil && e.Worth != nil {
		q.Worth = e.Worth(ctx, kb.Embedder)
	}
	return q
}

// stage names the stage an error came from, once.
func stage(name string, err error) error { return &stageError{name, err} }

type stageError struct {
	stage string
	err   error
}

func (e *stageError) Error() string { return e.stage + ": " + e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// StageOf names the stage of a question that an error came from, such as "retrieve"; "" where it came from none.
func StageOf(err error) string {
	if e, ok := errors.AsType[*stageError](err); ok {
		return e.stage
	}
	return ""
}

// detail is the sentence of err that a client may see.
func detail(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Detail
	}
	return "the model server failed; the log says more."
}

func since(start time.Time) float64 { return time.Since(start).Seconds() }
