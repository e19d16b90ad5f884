package rag

import "time"

// Request is one question with everything that can change its answer.
type Request struct {
	DB          string
	Question    string
	Method      Method
	K           int
	BM25Weight  *float64 // nil: by languages and the embedder's worth
	RRF         bool
	RRFK        float64
	Filter      Filter
	Provider    string
	Model       string // wanted chat model; empty lets Models choose
	Temperature float64
	Seed        *int
	NoDegrade   bool // an error instead of quoted passages when no model answers
	NoRecall    bool // do not look into the answer cache
	NoRemember  bool // do not keep the answer

	OnlyIfCached  bool          // an error where no answer is kept
	MinSimilarity float64       // least similarity of a kept answer to another question; the cache's own threshold holds as well
	MaxAge        time.Duration // oldest kept answer that will do; 0: any that the cache serves
}

// similaritySlack is how far the similarity of two float32 vectors may be off: the very same one reaches a threshold of 1.
const similaritySlack = 5e-6

// takes says whether a kept answer will do for the request.
func (r Request) takes(kept Recalled) bool {
	return kept.Similarity >= r.MinSimilarity-similaritySlack && (r.MaxAge == 0 || kept.Age <= r.MaxAge)
}

// Reason says why an answer is degraded.
type Reason string

// The reasons for a degraded answer.
const (
	ReasonCircuitOpen Reason = "circuit_open"
	ReasonQueueFull   Reason = "queue_full"
	ReasonTimeout     Reason = "timeout"
	ReasonNoModel     Reason = "no_model"
	// ReasonNoVectors marks an answer by a model whose passages were found by words alone, since the embedder did not answer.
	ReasonNoVectors Reason = "no_vectors"
)

// Verdict says how well a citation holds up against the passage it names.
type Verdict string

// The verdicts.
const (
	Supported   Verdict = "supported"   // the passage has the claim's words and all of its numbers
	Unsupported Verdict = "unsupported" // the passage lacks most of the claim's words, or one of its numbers
	Inferred    Verdict = "inferred"    // the model cited nothing; this passage fits its sentence best
	Quoted      Verdict = "quoted"      // the answer is the passage's own words
)

// Citation ties a place in the answer to a place in a document.
type Citation struct {
	N          int     `json:"n"` // number of the passage in the answer's contexts, from 1
	Passage    int64   `json:"passage_id"`
	DocumentID int64   `json:"document_id"`
	Source     string  `json:"source"`
	Title      string  `json:"title,omitempty"`
	Heading    string  `json:"heading,omitempty"`
	Page       int     `json:"page,omitempty"`
	Start      int     `json:"start"` // bytes of Quote in the document's extracted text
	End        int     `json:"end"`
	Quote      string  `json:"quote"` // the sentence of the passage that fits the claim best, word for word
	Claim      string  `json:"claim"` // the sentence of the answer that is cited for
	Verdict    Verdict `json:"verdict"`
	Hash       string  `json:"-"` // content hash of the passage
}

// Dropped is a passage that was found but did not fit the model's context window.
type Dropped struct {
	N      int    `json:"n"`
	Source string `json:"source"`
	Reason string `json:"reason"` // "context_window": left out; "truncated": shortened
}

// Timings are seconds spent in each stage of a question.
type Timings struct {
	Recall     float64 `json:"recall"`
	Embed      float64 `json:"embed"`
	Retrieve   float64 `json:"retrieve"`
	FirstToken float64 `json:"first_token"` // from the model call to its first piece of text
	Generate   float64 `json:"generate"`
	Total      float64 `json:"total"`
}

// CacheStatus says how the answer cache took part.
type CacheStatus string

// The ways the cache takes part.
const (
	CacheMiss     CacheStatus = "miss"
	CacheExact    CacheStatus = "exact"
	CacheSemantic CacheStatus = "semantic"
	CacheBypass   CacheStatus = "bypass"
	// CacheCoalesced is the answer to the same question of somebody else, who asked first: neither hit nor miss.
	CacheCoalesced CacheStatus = "coalesced"
	// CacheStale is a remembered answer that is too old, or whose documents got company, since no model answered: always degraded.
	CacheStale CacheStatus = "stale"
)

// CacheInfo is what an answer says about the cache.
type CacheInfo struct {
	Status           CacheStatus `json:"status"`
	Similarity       float64     `json:"similarity,omitempty"`
	Age              float64     `json:"age,omitempty"` // seconds since the answer was made
	OriginalQuestion string      `json:"original_question,omitempty"`
	EntryID          string      `json:"entry_id,omitempty"`
	Stored           bool        `json:"stored,omitempty"` // the answer is kept from now on
	// Generation is GenerationCached where the very prompt was answered before and no model was asked; usage is then the original's.
	Generation string `json:"generation,omitempty"`
}

// GenerationCached is a generation that was remembered.
const GenerationCached = "cached"

// Answer is a whole answer.
type Answer struct {
	DB             string
	Text           string
	Hits           []Hit // the passages shown to the model, in order: [1] is Hits[0]
	Citations      []Citation
	Method         Method
	Model          string
	Provider       string
	DoneReason     string
	Usage          Usage
	Dropped        []Dropped
	Degraded       bool
	DegradedReason Reason
	Notice         string // for the reader: why it is degraded and what to do, and whether nothing fits
	RetryAfter     time.Duration
	Cache          CacheInfo
	Timings        Timings
	Form           Form `json:"-"` // of a kept answer; else nil
}

// Form keeps what was made of a kept answer for clients, so that it is made once. It goes with the answer, in whose bounds it is
// counted.
type Form interface {
	Load() []byte     // nil until Keep
	Keep(body []byte) // body is not changed any more
}

// EventKind names what an Event carries.
type EventKind int

// The events of an answer, in the order they come: contexts, any number of tokens, citations, done. Status may come at any
// time before done.
const (
	EventStatus   EventKind = iota // Status: one word about what is going on
	EventContexts                  // Answer.Hits, and the way they were found
	EventToken                     // Token
	EventCitation                  // Citation
	EventDone                      // Answer, whole
)

// Event is one step of an answer in the making.
type Event struct {
	Kind     EventKind
	Status   string
	Token    string
	Citation *Citation
	Answer   *Answer
}

// CacheKey is the scope of an answer and its question. Two requests with the same key must get the same answer while the
// passages behind it stay what they are.
type CacheKey struct {
	DB       string
	Scope    string // hash of everything but the question that can change the answer
	Question string // normalised
}

// Recalled is an answer that the cache found. Whether its evidence still holds is for the Engine to say.
type Recalled struct {
	Change     uint64 // the knowledge base's change counter for which its evidence was last found to hold
	Answer     Answer
	Similarity float64
	Age        time.Duration
	Question   string
	EntryID    string
	Expired    bool   // older than the cache serves: for Spare only
	Spare      bool   // may be served where no model answers although it is too old or its documents got company
	Withheld   bool   // the error contract does not let an answer of this similarity be served
	Guard      string // which guard tells its question from the one that is asked: of Recaller.Nearest alone
}
