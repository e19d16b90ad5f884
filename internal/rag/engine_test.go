package rag

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is every port of an Engine at once, and writes down who was asked. The fields of the first block are what it answers.
type world struct {
	baseErr, modelErr, embedderErr, embedErr, retrieveErr, generateErr, evidenceErr error

	failAfter int // tokens before generateErr
	base      KnowledgeBase
	model     Model
	hits      []Hit
	tokens    []string
	done      *Chunk
	change    uint64
	exact     *Recalled
	near      *Recalled
	nearest   []Recalled
	hashes    map[int64]string // of the committed state
	committed uint64
	refused   Stale
	off       bool
	onEmbed   func()
	again     bool // what is served is to be made again
	compared  []Answer
	shadows   *Shadows

	calls      []string
	remembered []Answer
	keys       []CacheKey
	stopped    bool // the generator was told to stop before its end
	prompt     Prompt
	query      Query
}

func newWorld() *world {
	return &world{
		base:  KnowledgeBase{Name: "docs", ID: 7, Change: 3, Embedder: EmbedderID{Name: "e", Dimension: 2}},
		model: Model{Name: "llama", Digest: "sha"}, change: 3, committed: 3,
		hits:   []Hit{hit(1, "The breaker opens after five failures."), hit(2, "It waits for thirty seconds.")},
		tokens: []string{"The breaker opens", " after five failures [1]."}, done: &Chunk{Done: true, DoneReason: "stop", Usage: Usage{OutputTokens: 9}},
	}
}

func (w *world) engine() *Engine {
	return &Engine{
		Bases: w, Embedders: w, Retriever: w, Models: w, Generator: w, Cache: w, Evidence: w, Limits: Limits{4096, 768}, Provider: "ollama", Shadows: w.shadows,
		Normalise: func(q string) string { return strings.Join(strings.Fields(q), " ") },
	}
}

func (w *world) called(name string) { w.calls = append(w.calls, name) }

func (w *world) KnowledgeBase(context.Context, string) (KnowledgeBase, error) {
	w.called("base")
	return w.base, w.baseErr
}

func (w *world) ChatModel(_ context.Context, wanted string) (Model, error) {
	w.called("model")
	if w.modelErr != nil {
		return Model{}, w.modelErr
	}
	return w.model, nil
}

func (w *world) EmbedderFor(context.Context, string) (Embedder, EmbedderID, error) {
	return w, w.base.Embedder, w.embedderErr
}

func (w *world) Embed(_ context.Context, _ Purpose, texts []string) ([][]float32, error) {
	w.called("embed")
	if w.onEmbed != nil {
		w.onEmbed()
	}
	return make([][]float32, len(texts), len(texts)+1), w.embedErr
}

func (w *world) Retrieve(_ context.Context, q Query) (Retrieval, error) {
	w.called("retrieve")
	w.query = q
	return Retrieval{Hits: w.hits, Method: q.Method, Change: w.change}, w.retrieveErr
}

func (w *world) Generate(_ context.Context, p Prompt) iter.Seq2[Chunk, error] {
	w.called("generate")
	w.prompt = p
	return func(yield func(Chunk, error) bool) {
		for i, token := range w.tokens {
			if w.generateErr != nil && i == w.failAfter {
				yield(Chunk{}, w.generateErr)
				return
			}
			if !yield(Chunk{Text: token}, nil) {
				w.stopped = true
				return
			}
		}
		if w.done != nil {
			yield(*w.done, nil)
		}
	}
}

func (w *world) On() bool { return !w.off }

func (w *world) RecallExact(CacheKey) (Recalled, bool) {
	w.called("exact")
	if w.exact == nil {
		return Recalled{}, false
	}
	return *w.exact, true
}

func (w *world) RecallNear(CacheKey, []float32) (Recalled, bool) {
	w.called("near")
	if w.near == nil {
		return Recalled{}, false
	}
	return *w.near, true
}

func (w *world) Served(_ Recalled, status CacheStatus, _ uint64) bool {
	w.called("served " + string(status))
	return w.again
}

func (w *world) Compared(served Recalled, fresh Answer) {
	w.called("compared")
	w.compared = append(w.compared, fresh)
}

func (w *world) Missed(r *Recalled, why Stale) {
	w.refused = why
	if r == nil {
		w.called("missed")
	} else {
		w.called("refused " + string(why))
	}
}

func (w *world) Evidence(_ context.Context, _ string, ids []int64) (uint64, map[int64]string, error) {
	w.called("evidence")
	hashes := map[int64]string{}
	for _, id := range ids {
		if hash, ok := w.hashes[id]; ok {
			hashes[id] = hash
		}
	}
	return w.committed, hashes, w.evidenceErr
}

func (w *world) Remember(key CacheKey, _ []float32, _ uint64, a Answer) bool {
	w.called("remember")
	w.keys, w.remembered = append(w.keys, key), append(w.remembered, a)
	return true
}

var request = Request{DB: "docs", Question: "When does the breaker open?", Method: Hybrid, K: 4}

// run asks and gives the events' kinds, the last answer and the error.
func (w *world) run(ctx context.Context, req Request) (kinds []EventKind, a Answer, text string, err error) {
	for ev, e := range w.engine().Ask(ctx, req) {
		if e != nil {
			return kinds, a, text, e
		}
		kinds = append(kinds, ev.Kind)
		text += ev.Token
		if ev.Kind == EventDone {
			a = *ev.Answer
		}
	}
	return kinds, a, text, nil
}

func TestAQuestionGoesThroughEveryStageInOrder(t *testing.T) {
	w := newWorld()
	kinds, a, text, err := w.run(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"base", "model", "exact", "embed", "near", "missed", "retrieve", "generate", "remember"}; !slices.Equal(w.calls, want) {
		t.Errorf("stages %v, want %v", w.calls, want)
	}
	if want := []EventKind{EventContexts, EventStatus, EventToken, EventToken, EventCitation, EventDone}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
	if a.Text != text || a.Text != strings.Join(w.tokens, "") || a.Degraded || a.Cache.Status != CacheMiss || a.Usage.OutputTokens != 9 || len(a.Citations) != 1 {
		t.Errorf("answer %+v", a)
	}
	if w.prompt.Model != "llama" || w.prompt.NumCtx != 4096 || w.prompt.MaxTokens != 768 || w.query.K != 4 {
		t.Errorf("prompt %+v, query %+v", w.prompt, w.query)
	}
	if len(w.remembered) != 1 || w.remembered[0].Text != a.Text {
		t.Errorf("remembered %+v", w.remembered)
	}
}

func TestAnExactHitAsksNeitherEmbedderNorIndexNorModel(t *testing.T) {
	w := newWorld()
	w.exact = &Recalled{Change: 3, Answer: Answer{Text: "kept", Citations: []Citation{{N: 1}}}, Similarity: 1, Age: 2 * time.Second, Question: "q", EntryID: "id"}
	kinds, a, text, err := w.run(t.Context(), request)
	if err != nil || !slices.Equal(w.calls, []string{"base", "model", "exact", "served exact"}) {
		t.Error(w.calls, err)
	}
	if !slices.Equal(kinds, []EventKind{EventContexts, EventToken, EventCitation, EventDone}) || text != "kept" {
		t.Error(kinds, text)
	}
	if want := (CacheInfo{Status: CacheExact, Similarity: 1, Age: 2, OriginalQuestion: "q", EntryID: "id"}); a.Cache != want {
		t.Errorf("cache %+v, want %+v", a.Cache, want)
	}
}

// kept is an answer that was made from the world's passages, citing the first.
func (w *world) kept() *Recalled {
	hits := slices.Clone(w.hits)
	w.hashes = map[int64]string{1: "h", 2: "h"}
	return &Recalled{Change: 3, Similarity: .97, Answer: Answer{Text: "kept [1]", Hits: hits, Citations: Cite("The breaker opens after five failures [1].", hits)}}
}

func TestLaw5ASemanticHitIsServedWhereRetrievalForTheNewQuestionAgrees(t *testing.T) {
	w := newWorld()
	w.near = w.kept()
	_, a, _, err := w.run(t.Context(), request)
	if err != nil || !slices.Equal(w.calls, []string{"base", "model", "exact", "embed", "near", "retrieve", "evidence", "served semantic"}) || a.Cache.Status != CacheSemantic || a.Cache.Similarity != .97 {
		t.Error(w.calls, a.Cache, err)
	}
}

func TestLaw5And6AnAnswerIsRefusedWhereItsEvidenceDoesNotHold(t *testing.T) {
	three, four := hit(3, "It was new here."), hit(4, "Another one.")
	for name, c := range map[string]struct {
		change          func(*world)
		exact, semantic Stale // "": served
	}{
		"all as it was":                        {func(w *world) { w.committed, w.change = 4, 4 }, "", ""},
		"the store cannot be read":             {func(w *world) { w.evidenceErr = errors.New("broken") }, StaleUnknown, StaleUnknown},
		"the index is behind the store":        {func(w *world) { w.change = 4 }, StaleUnknown, StaleUnknown},
		"the cited passage is gone":            {func(w *world) { delete(w.hashes, 1) }, StaleGone, StaleGone},
		"the cited passage changed":            {func(w *world) { w.hashes[1] = "other" }, StaleGone, StaleGone},
		"a shown passage is gone":              {func(w *world) { delete(w.hashes, 2) }, StaleGone, StaleGone},
		"a newer passage after a change":       {func(w *world) { w.committed, w.change, w.hits = 4, 4, append(w.hits, three) }, StaleNewer, StaleNewer},
		"a newer passage, the last one out":    {func(w *world) { w.committed, w.change, w.hits = 4, 4, []Hit{w.hits[0], three} }, StaleNewer, StaleNewer},
		"a passage fewer":                      {func(w *world) { w.hits = w.hits[:1] }, StaleRanking, ""},
		"the cited passage is not found":       {func(w *world) { w.hits = []Hit{w.hits[1]} }, StaleRanking, StaleUncited},
		"other passages for the new question":  {func(w *world) { w.hits = []Hit{three, four, w.hits[0]} }, "", StaleRanking},
		"nothing found":                        {func(w *world) { w.hits = nil }, StaleRanking, StaleRanking},
		"another sentence fits the question":   {func(w *world) { w.hits = []Hit{w.hits[0], hit(2, "When does the breaker open?")} }, "", StaleSentence},
		"an answer that cites nothing, others": {func(w *world) { w.near.Answer.Citations = nil; w.hits = []Hit{w.hits[0], three} }, "", StaleUncited},
		"an answer that cites nothing":         {func(w *world) { w.near.Answer.Citations = nil }, "", ""},
	} {
		for status, want := range map[CacheStatus]Stale{CacheExact: c.exact, CacheSemantic: c.semantic} {
			w := newWorld()
			w.near = w.kept()
			c.change(w)
			if status == CacheExact {
				if strings.Contains(name, "cites nothing") || strings.Contains(name, "new question") || strings.Contains(name, "another sentence") {
					continue // what only another question can bring about
				}
				w.exact, w.near = w.near, nil
				w.exact.Change = 2 // an unchanged knowledge base asks no questions
			}
			_, a, _, err := w.run(t.Context(), request)
			if err != nil {
				t.Fatal(name, err)
			}
			if want == "" && (a.Cache.Status != status || w.refused != "") || want != "" && (a.Cache.Status != CacheMiss || w.refused != want) {
				t.Errorf("%s, %s: %s, refused %q, want %q", name, status, a.Cache.Status, w.refused, want)
			}
		}
	}
}

func TestRankOverlapCountsTheBestMost(t *testing.T) {
	list := func(ids ...int64) (hits []Hit) {
		for _, id := range ids {
			hits = append(hits, hit(id, ""))
		}
		return hits
	}
	for _, c := range []struct {
		a, b []Hit
		want float64
	}{
		{list(1, 2), list(1, 2), 1}, {list(1, 2), list(2, 1), .5}, {list(1, 2), list(1, 3), .75}, {list(1, 2), list(3, 2), .25}, {list(1), list(1, 2), .75}, {list(1), nil, 0}, {nil, nil, 0},
	} {
		if got := RankOverlap(c.a, c.b); got != c.want || RankOverlap(c.b, c.a) != c.want {
			t.Errorf("%v, %v: %g, want %g", c.a, c.b, got, c.want)
		}
	}
}

func TestTheCacheStaysOutWhereItIsOffOrNotWanted(t *testing.T) {
	w := newWorld()
	req := request
	req.NoRecall, req.NoRemember = true, true
	_, a, _, err := w.run(t.Context(), req)
	if err != nil || !slices.Equal(w.calls, []string{"base", "model", "embed", "retrieve", "generate"}) || a.Cache.Status != CacheBypass {
		t.Error(w.calls, a.Cache, err)
	}
	w = newWorld()
	w.off = true
	req = request
	req.Method = BM25 // then nobody needs the vector
	if _, a, _, err = w.run(t.Context(), req); err != nil || !slices.Equal(w.calls, []string{"base", "model", "retrieve", "generate"}) || a.Cache.Status != CacheBypass {
		t.Error(w.calls, a.Cache, err)
	}
}

// Each stage fails in turn: the error names it, or the answer is degraded and says why, and nothing is remembered.
func TestWhateverStageFailsIsNamedAndNothingIsRemembered(t *testing.T) {
	fault := Errorf(Unavailable, CodeUnreachable, "the host is gone")
	for _, c := range []struct {
		name   string
		fail   func(*world)
		stage  string // in the error
		reason Reason // else of the degraded answer
	}{
		{"knowledge base", func(w *world) { w.baseErr = fault }, "look up knowledge base: ", ""},
		{"model unknown", func(w *world) { w.modelErr = Errorf(NotFound, CodeModelNotFound, "no such model") }, "find model: ", ""},
		{"no model", func(w *world) { w.modelErr = Errorf(NotFound, CodeNoModel, "none") }, "", ReasonNoModel},
		{"model list", func(w *world) { w.modelErr = fault }, "", ReasonNoModel},
		{"embedder", func(w *world) { w.embedderErr = fault }, "", ReasonNoVectors},
		{"embed", func(w *world) { w.embedErr = fault }, "", ReasonNoVectors},
		{"retrieve", func(w *world) { w.retrieveErr = fault }, "retrieve: ", ""},
		{"before the first token", func(w *world) { w.generateErr = fault }, "", ReasonNoModel},
		{"circuit open", func(w *world) { w.generateErr = Errorf(Unavailable, CodeCircuitOpen, "open") }, "", ReasonCircuitOpen},
		{"queue full", func(w *world) { w.generateErr = Errorf(Overloaded, CodeQueueFull, "full") }, "", ReasonQueueFull},
		{"overloaded", func(w *world) { w.generateErr = Errorf(Overloaded, "", "full") }, "", ReasonQueueFull},
		{"time-out", func(w *world) { w.generateErr = Errorf(Timeout, CodeTimeout, "slow") }, "", ReasonTimeout},
		{"plain error", func(w *world) { w.generateErr = errors.New("secret") }, "", ReasonNoModel},
		{"after the first token", func(w *world) { w.generateErr, w.failAfter = fault, 1 }, "generate: ", ""},
		{"cut without an error", func(w *world) { w.done = nil }, "generate: ", ""},
		{"silent model", func(w *world) { w.tokens = []string{" "} }, "", ReasonNoModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			c.fail(w)
			kinds, a, _, err := w.run(t.Context(), request)
			if c.stage != "" && (err == nil || !strings.HasPrefix(err.Error(), c.stage) || slices.Contains(kinds, EventDone)) {
				t.Errorf("error %v does not name its stage %q; events %v", err, c.stage, kinds)
			}
			if c.stage == "" && (err != nil || !a.Degraded || a.DegradedReason != c.reason || a.Notice == "" || a.Text == "") {
				t.Errorf("%v, answer %+v, want degraded: %s", err, a, c.reason)
			}
			if strings.Contains(a.Notice, "secret") {
				t.Errorf("notice %q gives a cause away", a.Notice)
			}
			if len(w.remembered) > 0 {
				t.Errorf("remembered %+v", w.remembered)
			}
		})
	}
}

func TestQuotedPassagesCarryTheirCitationsAndTheRetryTime(t *testing.T) {
	w := newWorld()
	fault := Errorf(Unavailable, CodeCircuitOpen, "open")
	fault.RetryAfter = 9 * time.Second
	w.generateErr = fault
	_, a, text, err := w.run(t.Context(), request)
	if err != nil || a.Text != text || len(a.Citations) != 2 || a.Citations[0].Verdict != Quoted || a.RetryAfter != 9*time.Second || a.DoneReason != "extractive" {
		t.Error(a, err)
	}
}

func TestNoDegradeGivesTheKindOfTheFault(t *testing.T) {
	req := request
	req.NoDegrade = true
	for _, c := range []struct {
		fault *Error
		want  Kind
	}{
		{Errorf(Unavailable, CodeCircuitOpen, "open"), Unavailable}, {Errorf(Overloaded, CodeQueueFull, "full"), Overloaded},
		{Errorf(Timeout, CodeTimeout, "slow"), Timeout}, {Errorf(BadUpstream, "", "nonsense"), BadUpstream},
		{Errorf(NotFound, CodeNoModel, "none"), Unavailable},
	} {
		for _, set := range []func(*world){func(w *world) { w.generateErr = c.fault }, func(w *world) { w.modelErr = c.fault }} {
			w := newWorld()
			set(w)
			_, _, text, err := w.run(t.Context(), req)
			if KindOf(err) != c.want || CodeOf(err) != c.fault.ProblemCode() || text != "" || len(w.remembered) > 0 {
				t.Errorf("%v: got %v (%s, %s), text %q", c.fault, err, KindOf(err), CodeOf(err), text)
			}
		}
	}
}

func TestANamedModelIsTriedEvenWhereTheListCannotBeRead(t *testing.T) {
	w := newWorld()
	w.modelErr = Errorf(Unavailable, CodeUnreachable, "gone")
	req := request
	req.Model = "named"
	if _, a, _, err := w.run(t.Context(), req); err != nil || a.Degraded || w.prompt.Model != "named" {
		t.Error(a, err)
	}
}

func TestOnlyWholeRepeatableAnswersAreRemembered(t *testing.T) {
	seed, none := 1, -1
	for _, c := range []struct {
		name string
		set  func(*world, *Request)
		want bool
	}{
		{"whole", func(*world, *Request) {}, true},
		{"cut at the token limit", func(w *world, _ *Request) { w.done.DoneReason = "length" }, false},
		{"no reason given", func(w *world, _ *Request) { w.done.DoneReason = "" }, false},
		{"sampled", func(_ *world, r *Request) { r.Temperature = .7 }, false},
		{"sampled with a seed", func(_ *world, r *Request) { r.Temperature, r.Seed = .7, &seed }, true},
		{"sampled with a seed that is none", func(_ *world, r *Request) { r.Temperature, r.Seed = .7, &none }, false},
		{"unwanted", func(_ *world, r *Request) { r.NoRemember = true }, false},
		{"asked afresh", func(_ *world, r *Request) { r.NoRecall = true }, true},
		{"cache off", func(w *world, _ *Request) { w.off = true }, false},
		{"nothing found", func(w *world, _ *Request) { w.hits = nil }, false},
		{"index behind the documents", func(w *world, _ *Request) { w.change = 2 }, false},
		{"index ahead of the key", func(w *world, _ *Request) { w.change = 4 }, false},
		{"words alone, by the method", func(_ *world, r *Request) { r.Method = BM25 }, true},
	} {
		w, req := newWorld(), request
		c.set(w, &req)
		if _, _, _, err := w.run(t.Context(), req); err != nil || (len(w.remembered) == 1) != c.want {
			t.Errorf("%s: remembered %d, want %t (%v)", c.name, len(w.remembered), c.want, err)
		}
	}
}

func TestAReaderThatLeavesStopsTheModelAndNothingIsRemembered(t *testing.T) {
	whole, _, _, _ := newWorld().run(t.Context(), request)
	for leave := range len(whole) - 1 {
		w := newWorld()
		seen := 0
		for range w.engine().Ask(t.Context(), request) {
			if seen++; seen > leave {
				break
			}
		}
		if len(w.remembered) > 0 {
			t.Errorf("left after event %d: remembered", leave)
		}
		if whole[leave] == EventToken && !w.stopped && leave < 3 {
			t.Errorf("left after event %d: the model went on", leave)
		}
	}
}

func TestAQuestionWhoseClientLeftGoesNoFurther(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld()
	w.onEmbed = cancel
	if _, _, _, err := w.run(ctx, request); !errors.Is(err, context.Canceled) || slices.Contains(w.calls, "retrieve") {
		t.Error(w.calls, err)
	}
}

func TestWithoutPassagesTheModelIsNotAsked(t *testing.T) {
	for _, empty := range []bool{true, false} {
		w := newWorld()
		w.hits, w.base.Empty = nil, empty
		_, a, text, err := w.run(t.Context(), request)
		if err != nil || a.Text == "" || a.Text != text || a.DoneReason != "no_passages" || a.Model != "" || slices.Contains(w.calls, "generate") {
			t.Error(w.calls, a, err)
		}
	}
	w := newWorld()
	w.hits = []Hit{hit(1, strings.Repeat("x", 50_000))}
	if _, a, _, err := w.run(t.Context(), request); err != nil || len(a.Dropped) != 1 || a.Model != "" || !strings.Contains(a.Text, "fits") {
		t.Error(a, err)
	}
}

func TestTheContextsEventDoesNotChangeLater(t *testing.T) {
	w := newWorld()
	var contexts *Answer
	for ev := range w.engine().Ask(t.Context(), request) {
		if ev.Kind == EventContexts {
			contexts = ev.Answer
		}
	}
	if contexts.Text != "" || contexts.Citations != nil {
		t.Errorf("it became %+v", contexts)
	}
}

func TestSearchSaysWhereTheVectorsFailed(t *testing.T) {
	w := newWorld()
	w.embedErr = Errorf(Unavailable, "", "gone")
	f, err := w.engine().Search(t.Context(), request)
	if err != nil || !f.Degraded || !strings.Contains(f.Notice, "gone") || len(f.Hits) != 2 {
		t.Error(f, err)
	}
	req := request
	req.Method = BM25
	if f, err = w.engine().Search(t.Context(), req); err != nil || f.Degraded {
		t.Error(f, err)
	}
	w.retrieveErr = errors.New("broken")
	if _, err = w.engine().Search(t.Context(), req); err == nil || !strings.HasPrefix(err.Error(), "retrieve: ") {
		t.Error(err)
	}
	w.baseErr = Errorf(NotFound, "", "none")
	if _, err = w.engine().Search(t.Context(), req); KindOf(err) != NotFound {
		t.Error(err)
	}
}

// notInKey are the fields of Request that cannot change an answer, each with the reason.
var notInKey = map[string]string{
	"Provider":   "the engine answers with its own provider, which is in the key",
	"Model":      "the model that Models chose for it is in the key, with its digest",
	"NoDegrade":  "degraded answers are never kept",
	"NoRecall":   "says who looks, not what is answered",
	"NoRemember": "says who looks, not what is answered",

	"OnlyIfCached":  "says what to do without an answer",
	"MinSimilarity": "a kept answer is held against it",
	"MaxAge":        "a kept answer is held against it",
}

func TestEveryFieldThatCanChangeAnAnswerChangesItsKey(t *testing.T) {
	e := newWorld().engine()
	kb, m := newWorld().base, newWorld().model
	base := e.cacheKey(request, kb, m)
	if again := e.cacheKey(request, kb, m); again != base {
		t.Fatal("the same request has two keys")
	}
	for _, path := range fieldsOf(reflect.TypeFor[Request](), nil) {
		req := request
		name := reflect.TypeFor[Request]().FieldByIndex(path).Name
		alter(t, reflect.ValueOf(&req).Elem().FieldByIndex(path))
		_, free := notInKey[name]
		if same := e.cacheKey(req, kb, m) == base; same != free {
			t.Errorf("another %s: same key is %t, want %t", name, same, free)
		}
	}
	for _, path := range fieldsOf(reflect.TypeFor[KnowledgeBase](), nil) {
		other := kb
		name := reflect.TypeFor[KnowledgeBase]().FieldByIndex(path).Name
		alter(t, reflect.ValueOf(&other).Elem().FieldByIndex(path))
		free := name == "Empty" || name == "Change" || name == "Name" && path[0] == 0 // evidence is looked at for each change; the name is the request's
		if same := e.cacheKey(request, other, m) == base; same != free {
			t.Errorf("another %s of the knowledge base: same key is %t", name, same)
		}
	}
	for _, other := range []Model{{"other", "sha", 0}, {"llama", "other", 0}, {"llama", "sha", 2048}} {
		if e.cacheKey(request, kb, other) == base {
			t.Errorf("the model %v has the same key", other)
		}
	}
	for name, change := range map[string]func(*Engine){"provider": func(e *Engine) { e.Provider = "other" }, "limits": func(e *Engine) { e.Limits.MaxTokens-- }} {
		other := newWorld().engine()
		change(other)
		if other.cacheKey(request, kb, m) == base {
			t.Errorf("another %s has the same key", name)
		}
	}
	other, nameless := newWorld().engine(), Model{Name: "llama"}
	other.Server = "https://other/v1"
	if other.cacheKey(request, kb, nameless) == e.cacheKey(request, kb, nameless) || other.cacheKey(request, kb, m) != base {
		t.Error("the server tells models without a digest apart, and no others")
	}
}

func fieldsOf(t reflect.Type, at []int) (paths [][]int) {
	for i := range t.NumField() {
		path := append(slices.Clone(at), i)
		if f := t.Field(i); f.Type.Kind() == reflect.Struct {
			paths = append(paths, fieldsOf(f.Type, path)...)
		} else {
			paths = append(paths, path)
		}
	}
	return paths
}

// alter sets a field to another value. A kind that it does not know is a new one: add it here.
func alter(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + .5)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	default:
		t.Fatalf("no other value known for a %s", v.Type())
	}
}

func TestFiltersAreSetsAndQuestionsAreFolded(t *testing.T) {
	e := newWorld().engine()
	a, b := request, request
	a.Filter = Filter{Languages: []string{"en", "vi"}, Sources: []string{"x", "y", "x"}}
	b.Filter = Filter{Languages: []string{"vi", "en", "vi"}, Sources: []string{"y", "x"}}
	b.Question = "  " + strings.ReplaceAll(request.Question, " ", "\n ")
	order := slices.Clone(b.Filter.Languages)
	if e.cacheKey(a, KnowledgeBase{}, Model{}) != e.cacheKey(b, KnowledgeBase{}, Model{}) {
		t.Error("the order of a filter or the spaces of a question changed the key")
	}
	if !slices.Equal(order, b.Filter.Languages) {
		t.Error("the request's own filter was sorted")
	}
	b.Filter.Languages, b.Filter.Sources = b.Filter.Sources, b.Filter.Languages
	if e.cacheKey(a, KnowledgeBase{}, Model{}) == e.cacheKey(b, KnowledgeBase{}, Model{}) {
		t.Error("languages and sources are told apart by nothing")
	}
}

func TestTheEndOfEachQuestionIsToldOnce(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		stay   EventKind // the reader leaves with this event; -1: it stays
		whole  bool
		failed string
	}{
		"whole":                        {func(*world) {}, -1, true, ""},
		"the reader leaves at the end": {func(*world) {}, EventDone, true, ""},
		"the reader leaves early":      {func(*world) {}, EventToken, false, ""},
		"no such knowledge base":       {func(w *world) { w.baseErr = errors.New("gone") }, -1, false, "gone"},
		"retrieval fails":              {func(w *world) { w.retrieveErr = errors.New("broken") }, -1, false, "broken"},
		"a part panics":                {func(w *world) { w.onEmbed = func() { panic("boom") } }, -1, false, "not finished"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			c.change(w)
			e := w.engine()
			told := 0
			e.Asked = func(_ context.Context, req Request, a *Answer, err error) {
				told++
				if req.Question != "q" || (a != nil) != c.whole || (err != nil) != (c.failed != "") || err != nil && !strings.Contains(err.Error(), c.failed) {
					t.Errorf("told %+v, %v", a, err)
				}
			}
			func() {
				defer func() { _ = recover() }()
				for ev := range e.Ask(t.Context(), Request{Question: "q", K: 1}) {
					if ev.Kind == c.stay {
						break
					}
				}
			}()
			if told != 1 {
				t.Errorf("told %d times", told)
			}
		})
	}
}
