package server

import (
	"bytes"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

type metadataView struct {
	N          int      `json:"n"`
	Source     string   `json:"source"`
	Chunk      int      `json:"chunk"`
	Version    string   `json:"version"`
	Language   string   `json:"language"`
	Title      string   `json:"title"`
	Heading    string   `json:"heading"`
	Page       int      `json:"page"`
	Start      int      `json:"start"`
	End        int      `json:"end"`
	DocumentID int64    `json:"document_id"`
	PassageID  int64    `json:"passage_id"`
	Score      float64  `json:"score"`
	BM25       *float64 `json:"bm25"`
	Cosine     *float64 `json:"cosine"`
}

func metadataOf(n int, h rag.Hit) metadataView {
	p := h.Passage
	return metadataView{
		N: n, Source: p.Source, Chunk: p.Chunk, Version: p.Version, Language: p.Language, Title: p.Title, Heading: p.Heading, Page: p.Page,
		Start: p.Span.Start, End: p.Span.End, DocumentID: p.Document, PassageID: p.ID, Score: h.Score, BM25: h.BM25, Cosine: h.Cosine,
	}
}

func metadatasOf(hits []rag.Hit) []metadataView {
	out := make([]metadataView, len(hits))
	for i, h := range hits {
		out[i] = metadataOf(i+1, h)
	}
	return out
}

func contextsOf(hits []rag.Hit) []string {
	out := make([]string, len(hits))
	for i, h := range hits {
		out[i] = h.Passage.Text
	}
	return out
}

type retrievalView struct {
	Method rag.Method `json:"method"` // the one that was really used
}

type resultView struct {
	metadataView
	Text string `json:"text"`
}

type searchView struct {
	DB        string         `json:"db"`
	Method    rag.Method     `json:"method"`
	Retrieval retrievalView  `json:"retrieval"`
	Results   []resultView   `json:"results"`
	Contexts  []string       `json:"contexts"`
	Metadatas []metadataView `json:"metadatas"`
	Degraded  bool           `json:"degraded"`
	Notice    string         `json:"notice,omitempty"`
	Timings   rag.Timings    `json:"timings"`
	Warnings  []string       `json:"warnings"`
}

// cacheMetadata is how the original told about a hit.
type cacheMetadata struct {
	CacheType     rag.CacheStatus `json:"cache_type"`
	Similarity    float64         `json:"similarity"`
	OriginalQuery string          `json:"original_query"`
	Age           float64         `json:"age"`
}

// An answer as clients get it is one object of two parts: bodyView, what the answer is made of, which stays the same for as long as it
// is kept, and tailView, what belongs to the one question.
type bodyView struct {
	Answer     string         `json:"answer"`
	Contexts   []string       `json:"contexts"`
	Metadatas  []metadataView `json:"metadatas"`
	Citations  []rag.Citation `json:"citations"`
	Model      string         `json:"model"`
	Provider   string         `json:"provider"`
	Retrieval  retrievalView  `json:"retrieval"`
	DoneReason string         `json:"done_reason"`
	Dropped    []rag.Dropped  `json:"dropped"`
	Usage      rag.Usage      `json:"usage"`
}

type tailView struct {
	DB             string         `json:"db"`
	Method         rag.Method     `json:"method"`
	BM25Weight     float64        `json:"bm25_weight"`
	RRFEnable      bool           `json:"rrf_enable"`
	RerankEnable   bool           `json:"rerank_enable"`
	RerankTopN     int            `json:"rerank_top_n"`
	CacheHit       bool           `json:"cache_hit"`
	CacheMetadata  *cacheMetadata `json:"cache_metadata,omitempty"`
	Cache          rag.CacheInfo  `json:"cache"`
	Degraded       bool           `json:"degraded"`
	DegradedReason rag.Reason     `json:"degraded_reason,omitempty"`
	Notice         string         `json:"notice,omitempty"`
	RetryAfter     float64        `json:"retry_after_seconds,omitempty"`
	Timings        rag.Timings    `json:"timings"`
	Warnings       []string       `json:"warnings"`
}

func bodyOf(ans *rag.Answer) bodyView {
	return bodyView{
		Answer: ans.Text, Contexts: contextsOf(ans.Hits), Metadatas: metadatasOf(ans.Hits), Citations: orEmpty(ans.Citations),
		Model: ans.Model, Provider: ans.Provider, Retrieval: retrievalView{ans.Method},
		DoneReason: ans.DoneReason, Dropped: orEmpty(ans.Dropped), Usage: ans.Usage,
	}
}

func tailOf(a asked, ans *rag.Answer) tailView {
	v := tailView{
		DB: a.request.DB, Method: a.request.Method, BM25Weight: orElse(a.request.BM25Weight, DefaultWeight), RRFEnable: a.request.RRF,
		RerankEnable: a.body.RerankEnable, RerankTopN: a.rerankTopN, Cache: ans.Cache, Timings: ans.Timings, Warnings: a.warnings,
		Degraded: ans.Degraded, DegradedReason: ans.DegradedReason, Notice: ans.Notice, RetryAfter: ans.RetryAfter.Seconds(),
	}
	if ans.Cache.Status == rag.CacheExact || ans.Cache.Status == rag.CacheSemantic {
		v.CacheHit = true
		v.CacheMetadata = &cacheMetadata{ans.Cache.Status, ans.Cache.Similarity, ans.Cache.OriginalQuestion, ans.Cache.Age}
	}
	return v
}

// answerJSON is the queryView of an answer, in two parts. The first one of a kept answer is encoded once and must not be changed: it
// costs far more than all the rest of a hit.
func answerJSON(a asked, ans *rag.Answer) (body, tail []byte, err error) {
	if ans.Form != nil {
		body = ans.Form.Load()
	}
	if body == nil {
		if body, err = encodeJSON(bodyOf(ans)); err != nil {
			return nil, nil, err
		}
		body = bytes.TrimSuffix(body, []byte("}\n"))
		if ans.Form != nil {
			body = bytes.Clone(body) // without the room that the encoder took
			ans.Form.Keep(body)
		}
	}
	if tail, err = encodeJSON(tailOf(a, ans)); err != nil {
		return nil, nil, err
	}
	tail[0] = ','
	return body, tail, nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

type contextsView struct {
	Event     string         `json:"event"`
	Contexts  []string       `json:"contexts"`
	Metadatas []metadataView `json:"metadatas"`
	DB        string         `json:"db"`
	Retrieval retrievalView  `json:"retrieval"`
}

type statusView struct {
	Event  string `json:"event"`
	Status string `json:"status"`
}

type tokenView struct {
	Event string `json:"event"`
	Token string `json:"token"`
}

type citationView struct {
	Event    string        `json:"event"`
	Citation *rag.Citation `json:"citation"`
}

type errorView struct {
	Event string          `json:"event"`
	Error problem.Problem `json:"error"`
}

// jobView leaves out where files lie on this machine.
type jobView struct {
	ID       string           `json:"id"`
	DB       string           `json:"db"`
	State    rag.JobState     `json:"state"`
	Paths    []string         `json:"paths"`
	Report   rag.IngestReport `json:"report"`
	Error    string           `json:"error,omitempty"`
	Created  int64            `json:"created"`
	Finished int64            `json:"finished,omitempty"`
}

func viewJob(j rag.Job) jobView {
	v := jobView{ID: j.ID, DB: j.DB, State: j.State, Report: j.Report, Error: j.Error, Created: j.Created, Finished: j.Finished, Paths: []string{}}
	for _, p := range j.Request.Paths {
		v.Paths = append(v.Paths, p.Name)
	}
	v.Report.Items = orEmpty(v.Report.Items)
	return v
}
