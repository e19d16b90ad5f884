package server

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Bounds of a question's fields.
const (
	MaxQueryChars   = 8192
	DefaultK        = 5
	MaxK            = 50
	DefaultWeight   = 0.5
	MaxRRFK         = 10_000
	MaxFilterValues = 100
	MaxTemperature  = 2
	maxWarnings     = 20
)

// queryBody is the body of the question routes. The fields of the original that have no effect yet are taken and named in
// the answer's warnings, where they ask for something.
type queryBody struct {
	Query       string   `json:"query"`
	DB          string   `json:"db"`
	K           *int     `json:"k"`
	Method      *string  `json:"method"`
	BM25Weight  *float64 `json:"bm25_weight"`
	RRFEnable   *bool    `json:"rrf_enable"`
	RRFK        *float64 `json:"rrf_k"`
	Languages   []string `json:"languages"`
	Versions    []string `json:"versions"`
	Sources     []string `json:"sources"`
	Provider    *string  `json:"provider"`
	Model       string   `json:"model"`
	Temperature *float64 `json:"temperature"`
	Seed        *int     `json:"seed"`
	Degrade     *bool    `json:"degrade"`

	CacheThreshold *float64 `json:"cache_threshold"`

	RerankEnable  bool    `json:"rerank_enable"`
	RerankTopN    *int    `json:"rerank_top_n"`
	RewriteEnable bool    `json:"rewrite_enable"`
	RewriteN      *int    `json:"rewrite_n"`
	ChatID        *string `json:"chat_id"`
	SaveChat      *bool   `json:"save_chat"`
	RRProvider    *string `json:"rr_provider"`
	RRMaxK        *int    `json:"rr_max_k"`
	RRBatchSize   *int    `json:"rr_batch_size"`
	RRNumThreads  *int    `json:"rr_num_threads"`
}

// asked is a decoded question: what to ask, and what to tell about the request.
type asked struct {
	request    rag.Request
	body       queryBody
	warnings   []string
	rerankTopN int
}

func (s *Server) decodeQuery(w http.ResponseWriter, r *http.Request) (asked, error) {
	var b queryBody
	unknown, err := s.decode(w, r, &b)
	if err != nil {
		return asked{}, err
	}
	a := asked{body: b, warnings: []string{}, rerankTopN: orElse(b.RerankTopN, 10)}
	for i, name := range unknown {
		if i == maxWarnings {
			a.warnings = append(a.warnings, fmt.Sprintf("%d more fields are unknown and were passed over", len(unknown)-i))
			break
		}
		a.warnings = append(a.warnings, "field "+clip(name)+" is unknown and was passed over")
	}
	if b.RerankEnable {
		a.warnings = append(a.warnings, "rerank_enable has no effect yet")
	}
	if b.RewriteEnable {
		a.warnings = append(a.warnings, "rewrite_enable has no effect yet")
	}
	if b.ChatID != nil && *b.ChatID != "" {
		a.warnings = append(a.warnings, "chat_id has no effect yet: every question stands alone")
	}
	if err := b.check(s.Defaults.Models); err != nil {
		return asked{}, err
	}
	a.request = rag.Request{
		DB: s.dbOf(b.DB), Question: b.Query, Method: rag.Method(orElse(b.Method, string(rag.Hybrid))), K: orElse(b.K, DefaultK),
		BM25Weight: b.BM25Weight, RRF: orElse(b.RRFEnable, s.Defaults.RRF), RRFK: orElse(b.RRFK, s.Defaults.RRFK),
		Filter: rag.Filter{Languages: b.Languages, Versions: b.Versions, Sources: b.Sources}, Provider: orElse(b.Provider, s.Defaults.Provider),
		Model: b.Model, Temperature: orElse(b.Temperature, 0), Seed: b.Seed, NoDegrade: !orElse(b.Degrade, true),
	}
	if a.request.Provider == "" {
		a.request.Provider = s.Defaults.Provider
	}
	if a.request.Model == "" {
		a.request.Model = s.Defaults.Models[a.request.Provider]
	}
	if info := rag.RequestOf(r.Context()); info != nil {
		info.Question = b.Query
	}
	wishes(r.Header, &a.request)
	a.request.MinSimilarity = orElse(b.CacheThreshold, 0)
	if own := s.Cache.Config().Threshold; b.CacheThreshold != nil && *b.CacheThreshold < own {
		a.warnings = append(a.warnings, fmt.Sprintf("cache_threshold: %g has no effect: it can only raise the server's, %g", *b.CacheThreshold, own))
	}
	return a, nil
}

func (s *Server) dbOf(name string) string {
	if name == "" {
		return s.Defaults.DB
	}
	return name
}

func (b *queryBody) check(providers map[string]string) error {
	var out bounds
	n := utf8.RuneCountInString(b.Query)
	out.check(strings.TrimSpace(b.Query) != "", "query: a question is needed, 1 to %d characters", MaxQueryChars)
	out.check(n <= MaxQueryChars, "query: %d characters, at most %d are allowed", n, MaxQueryChars)
	k, method, weight, rrfK := orElse(b.K, DefaultK), rag.Method(orElse(b.Method, string(rag.Hybrid))), orElse(b.BM25Weight, DefaultWeight), orElse(b.RRFK, 60)
	out.check(k >= 1 && k <= MaxK, "k: %d, 1 to %d is allowed", k, MaxK)
	out.check(slices.Contains([]rag.Method{rag.Hybrid, rag.Vector, rag.BM25}, method), "method: %q, one of hybrid, vector, bm25 is allowed", clip(string(method)))
	out.check(weight >= 0 && weight <= 1, "bm25_weight: %g, 0 to 1 is allowed", weight)
	out.check(rrfK > 0 && rrfK <= MaxRRFK, "rrf_k: %g, above 0 up to %d is allowed", rrfK, MaxRRFK)
	out.check(len(b.Languages)+len(b.Versions)+len(b.Sources) <= MaxFilterValues, "languages, versions, sources: at most %d values together", MaxFilterValues)
	temperature := orElse(b.Temperature, 0)
	out.check(temperature >= 0 && temperature <= MaxTemperature, "temperature: %g, 0 to %d is allowed", temperature, MaxTemperature)
	threshold := orElse(b.CacheThreshold, 1)
	out.check(threshold >= 0 && threshold <= 1, "cache_threshold: %g, 0 to 1 is allowed", threshold)
	provider := orElse(b.Provider, "")
	_, known := providers[provider]
	if !known && provider != "" {
		out.check(false, "provider: %q, one of %s is allowed; openai needs OPENAI_API_KEY or OPENAI_BASE_URL", clip(provider), strings.Join(slices.Sorted(maps.Keys(providers)), ", "))
	}
	out.check(len(b.Model) <= 256, "model: at most 256 characters are allowed")
	return out.err()
}

// maxEcho is how much of what a client sent an answer repeats, in characters.
const maxEcho = 64

func clip(s string) string {
	if utf8.RuneCountInString(s) <= maxEcho {
		return s
	}
	return string([]rune(s)[:maxEcho]) + "..."
}

func (s *Server) query(w http.ResponseWriter, r *http.Request) error {
	a, err := s.decodeQuery(w, r)
	if err != nil {
		return err
	}
	for ev, err := range s.Engine.Ask(r.Context(), a.request) {
		if err != nil {
			return err
		}
		if ev.Kind == rag.EventDone {
			s.tellCache(w.Header(), ev.Answer.Cache)
			noteDegraded(r, ev.Answer)
			body, tail, err := answerJSON(a, ev.Answer)
			if err != nil {
				return err
			}
			writeData(w, http.StatusOK, body, tail)
			return nil
		}
	}
	return r.Context().Err()
}

// noteDegraded has the log say why an answer is degraded.
func noteDegraded(r *http.Request, a *rag.Answer) {
	if info := rag.RequestOf(r.Context()); info != nil && a.Degraded {
		info.Degraded, info.Notice = a.DegradedReason, a.Notice
	}
}

// explain says what the answer cache would do with a question. It shows other people's questions: it is for who runs the server.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) error {
	a, err := s.decodeQuery(w, r)
	if err != nil {
		return err
	}
	x, err := s.Engine.Explain(r.Context(), a.request)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, x)
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	a, err := s.decodeQuery(w, r)
	if err != nil {
		return err
	}
	found, err := s.Engine.Search(r.Context(), a.request)
	if err != nil {
		return err
	}
	results := make([]resultView, len(found.Hits))
	for i, h := range found.Hits {
		results[i] = resultView{metadataOf(i+1, h), h.Passage.Text}
	}
	return writeJSON(w, http.StatusOK, searchView{
		DB: a.request.DB, Method: a.request.Method, Retrieval: retrievalView{found.Method}, Results: results,
		Contexts: contextsOf(found.Hits), Metadatas: metadatasOf(found.Hits), Degraded: found.Degraded, Notice: found.Notice,
		Timings: found.Timings, Warnings: a.warnings,
	})
}
