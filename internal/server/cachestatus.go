package server

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// cacheControl is what a request asks of the answer cache (RFC 9111, section 5.2.1).
type cacheControl struct {
	noCache, noStore, onlyIfCached bool
	maxAge                         time.Duration // 0: any
}

// maxAgeSeconds is the largest max-age that is told apart from no bound at all.
const maxAgeSeconds = math.MaxInt32

// cacheControlOf reads the directives that there are; others are passed over. An age that cannot be read asks for a fresh answer, and
// so does an age of 0.
func cacheControlOf(h http.Header) cacheControl {
	var c cacheControl
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(directive, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "no-cache":
			c.noCache = true
		case "no-store":
			c.noStore = true
		case "only-if-cached":
			c.onlyIfCached = true
		case "max-age":
			age, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if errors.Is(err, strconv.ErrRange) {
				age, err = maxAgeSeconds, nil
			}
			switch asked := time.Duration(age) * time.Second; {
			case err != nil || age == 0:
				c.noCache = true
			case c.maxAge == 0 || asked < c.maxAge:
				c.maxAge = asked
			}
		}
	}
	return c
}

// apply puts the wishes into a question.
func (c cacheControl) apply(r *rag.Request) {
	r.NoRemember, r.NoRecall = c.noStore, c.noStore || c.noCache
	r.OnlyIfCached, r.MaxAge = c.onlyIfCached, c.maxAge
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
