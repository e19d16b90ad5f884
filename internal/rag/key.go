package rag

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
)

// cacheKey covers everything but the documents that can change the answer: these are looked at when it is recalled. Filters are sets: their order does not matter.
func (e *Engine) cacheKey(req Request, kb KnowledgeBase, m Model) CacheKey {
	limits := e.Limits.Fit(m)
	s := make(scope, 0, 512)
	s.number(uint64(kb.ID), kb.Since, uint64(kb.Embedder.Dimension), uint64(limits.NumCtx), uint64(limits.MaxTokens), uint64(req.K), math.Float64bits(req.RRFK), math.Float64bits(req.Temperature))
	s.text(kb.Embedder.Name, kb.Embedder.Digest, kb.Embedder.Prefix, e.Provider, m.Name, cmp.Or(m.Digest, e.Server), PromptVersion, string(req.Method), strconv.FormatBool(req.RRF))
	for _, list := range [][]string{req.Filter.Languages, req.Filter.Versions, req.Filter.Sources} {
		list = sorted(list)
		s.number(uint64(len(list)))
		s.text(list...)
	}
	if req.BM25Weight != nil {
		s.text("weight")
		s.number(math.Float64bits(*req.BM25Weight))
	}
	if req.Seed != nil {
		s.text("seed")
		s.number(uint64(*req.Seed))
	}
	sum := sha256.Sum256(s)
	return CacheKey{DB: req.DB, Scope: hex.EncodeToString(sum[:]), Question: e.Normalise(req.Question)}
}

// scope is what a key is hashed from: each part has its length before it or is of a fixed one, so that none runs into the next.
type scope []byte

func (s *scope) number(list ...uint64) {
	for _, n := range list {
		*s = binary.LittleEndian.AppendUint64(*s, n)
	}
}

func (s *scope) text(list ...string) {
	for _, text := range list {
		s.number(uint64(len(text)))
		*s = append(*s, text...)
	}
}

func sorted(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
