package server

import (
	"net/http"
	"strconv"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// wishes puts what a request asks of caches into a question.
func wishes(h http.Header, r *rag.Request) {
	c := rag.ParseCacheControl(h.Values("Cache-Control"))
	r.NoRemember, r.NoRecall = c.NoStore, c.NoStore || c.NoCache
	r.OnlyIfCached, r.MaxAge = c.OnlyIfCached, c.MaxAge
}

// tellCache says in an answer's header how the cache took part: Cache-Status (RFC 9211) with the entry as key, and Age.
func (s *Server) tellCache(h http.Header, c rag.CacheInfo) {
	status := append(make([]byte, 0, 128), "ollama-rag"...)
	switch {
	case c.EntryID != "": // a follower of an answer that was kept got a kept one
		h.Set("Age", strconv.FormatInt(int64(c.Age), 10))
		status = strconv.AppendInt(append(status, "; hit; ttl="...), int64(s.Cache.Config().TTL.Seconds()-c.Age), 10)
		status = strconv.AppendQuote(append(status, "; key="...), c.EntryID)
		status = append(append(status, "; detail="...), c.Status...)
		status = strconv.AppendFloat(append(status, "; similarity="...), c.Similarity, 'f', 3, 64)
	case c.Status == rag.CacheMiss:
		status = append(status, "; fwd=miss"...)
	case c.Status == rag.CacheBypass:
		status = append(status, "; fwd=bypass"...)
	case c.Status == rag.CacheCoalesced:
		status = append(status, "; fwd=miss; collapsed"...)
	}
	if c.Stored {
		status = append(status, "; stored"...)
	}
	h.Set("Cache-Status", string(status))
}
