package server

import (
	"net/http"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// preferredSetting names the knowledge base that the page opens with. No request depends on it.
const preferredSetting = "preferred_db"

func (s *Server) dbs(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Catalog.Bases(r.Context())
	if err != nil {
		return err
	}
	names := make([]string, len(list))
	for i, b := range list {
		names[i] = b.Name
	}
	current, err := s.preferred(r, names)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"current": current, "dbs": names, "details": list})
}

func (s *Server) preferred(r *http.Request, names []string) (string, error) {
	name, err := s.Catalog.Setting(r.Context(), preferredSetting)
	if err != nil {
		return "", err
	}
	for _, n := range names {
		if n == name {
			return name, nil
		}
	}
	return s.Defaults.DB, nil
}

type nameBody struct {
	Name string `json:"name"`
}

func (s *Server) createDB(w http.ResponseWriter, r *http.Request) error {
	var b nameBody
	if _, err := s.decode(w, r, &b); err != nil {
		return err
	}
	if err := s.Catalog.CreateBase(r.Context(), b.Name); err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, map[string]any{"status": "ok", "db": b.Name})
}

func (s *Server) useDB(w http.ResponseWriter, r *http.Request) error {
	var b nameBody
	if _, err := s.decode(w, r, &b); err != nil {
		return err
	}
	if _, err := s.Catalog.KnowledgeBase(r.Context(), b.Name); err != nil {
		return err
	}
	if err := s.Catalog.SetSetting(r.Context(), preferredSetting, b.Name); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"status": "ok", "current": b.Name})
}

func (s *Server) deleteDB(w http.ResponseWriter, r *http.Request) error {
	if err := s.Drop(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"status": "ok", "current": s.Defaults.DB})
}

type cacheConfigBody struct {
	Enabled   *bool    `json:"enabled"`
	Threshold *float64 `json:"similarity_threshold"`
	TTL       *float64 `json:"ttl"`
	MaxSize   *int     `json:"max_size"`
	MaxBytes  *int64   `json:"max_bytes"`
}

func (s *Server) setCacheConfig(w http.ResponseWriter, r *http.Request) error {
	var b cacheConfigBody
	unknown, err := s.decode(w, r, &b)
	if err != nil {
		return err
	}
	c := s.Cache.Config()
	var out bounds
	threshold, ttl := orElse(b.Threshold, c.Threshold), orElse(b.TTL, c.TTL.Seconds())
	size, most := orElse(b.MaxSize, c.Size), orElse(b.MaxBytes, c.Bytes)
	out.check(len(unknown) == 0, "%s: unknown; enabled, similarity_threshold, ttl, max_size and max_bytes are allowed", strings.Join(unknown, ", "))
	out.check(threshold > 0 && threshold <= 1, "similarity_threshold: %g, above 0 up to 1 is allowed", threshold)
	out.check(ttl > 0 && ttl <= maxTTLSeconds, "ttl: %g, above 0 up to %d seconds is allowed", ttl, maxTTLSeconds)
	out.check(size >= 1 && size <= maxCacheSize, "max_size: %d, 1 to %d is allowed", size, maxCacheSize)
	out.check(b.MaxBytes == nil || most >= minCacheBytes, "max_bytes: %d, %d and more is allowed", most, minCacheBytes)
	if err := out.err(); err != nil {
		return err
	}
	changed := map[string]any{}
	if b.Enabled != nil {
		changed["enabled"] = *b.Enabled
	}
	if b.Threshold != nil {
		changed["similarity_threshold"] = threshold
	}
	if b.TTL != nil {
		changed["ttl"] = ttl
	}
	if b.MaxSize != nil {
		changed["max_size"] = size
	}
	if b.MaxBytes != nil {
		changed["max_bytes"] = most
	}
	enabled := orElse(b.Enabled, c.Enabled)
	if !enabled && !c.Enabled && len(changed) > 0 && b.Enabled == nil {
		return rag.Errorf(rag.Malformed, "cache_disabled", "the answer cache is off: set enabled to true first")
	}
	c.Enabled, c.Threshold, c.Size, c.Bytes, c.TTL = enabled, threshold, size, most, secondsOf(ttl)
	s.Cache.SetConfig(c)
	return writeJSON(w, http.StatusOK, map[string]any{"enabled": enabled, "changed": changed, "current": s.cacheConfigView()})
}

type clearBody struct {
	DB    string `json:"db"`
	Entry string `json:"entry"`
	All   bool   `json:"all"`
}

func (s *Server) clearCache(w http.ResponseWriter, r *http.Request) error {
	var b clearBody
	if r.ContentLength != 0 {
		unknown, err := s.decode(w, r, &b)
		if err != nil {
			return err
		}
		if len(unknown) > 0 {
			return rag.Errorf(rag.OutOfBounds, "", "%s: unknown; db, entry and all are allowed", strings.Join(unknown, ", "))
		}
	}
	if b.Entry != "" {
		if b.All || b.DB != "" {
			return rag.Errorf(rag.OutOfBounds, "", "entry: names one answer: leave db and all out")
		}
		if !s.Cache.ClearEntry(b.Entry) {
			return rag.Errorf(rag.NotFound, "", "entry: no such answer is kept; cache.entry_id of an answer names it")
		}
		return writeJSON(w, http.StatusOK, map[string]any{"status": "ok", "removed": 1, "size": s.Cache.Stats().Size})
	}
	if b.All {
		b.DB = ""
	}
	if b.DB != "" {
		if _, err := s.Catalog.KnowledgeBase(r.Context(), b.DB); err != nil {
			return err
		}
	}
	removed := s.Cache.Clear(b.DB)
	return writeJSON(w, http.StatusOK, map[string]any{"status": "ok", "removed": removed, "size": s.Cache.Stats().Size})
}

// reindexDB builds a knowledge base's vectors anew with the embedder that is set, as a job.
func (s *Server) reindexDB(w http.ResponseWriter, r *http.Request) error {
	db := r.PathValue("name")
	if _, err := s.Catalog.KnowledgeBase(r.Context(), db); err != nil {
		return err
	}
	return s.submit(w, r, rag.IngestRequest{DB: db, Reindex: true}, true, nil)
}
