package server

import (
	"fmt"
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
	hit := fmt.Sprintf("; hit; ttl=%d; key=%q; detail=%s; similarity=%.3f", int64(s.Cache.Config().TTL.Seconds()-c.Age), c.EntryID, c.Status, c.Similarity)
	status := map[rag.CacheStatus]string{
		rag.CacheExact: hit, rag.CacheSemantic: hit, rag.CacheStale: hit, rag.CacheMiss: "; fwd=miss", rag.CacheBypass: "; fwd=bypass", rag.CacheCoalesced: "; fwd=miss; collapsed",
	}[c.Status]
	if c.EntryID != "" {
		status = hit // a follower of an answer that was kept got a kept one
		h.Set("Age", strconv.FormatInt(int64(c.Age), 10))
	}
	if c.Stored {
		status += "; stored"
	}
	h.Set("Cache-Status", "ollama-rag"+status)
}
