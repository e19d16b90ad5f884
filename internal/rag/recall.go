package rag

import "time"

// CacheConfig bounds the answer cache.
type CacheConfig struct {
	Enabled   bool
	Threshold float64       // least cosine of a semantic hit, above 0, at most 1
	Size      int           // most entries
	Bytes     int64         // most memory, in bytes; 0: no bound
	TTL       time.Duration // an entry is served while it is at most this old
	// StaleIfError is how much older an answer may be that is served, marked so, where no model answers; 0: none is (RFC 5861,
	// section 4).
	StaleIfError time.Duration
	ShadowRate   float64 // share of semantic hits that are made again to compare, 0 to 1; 0: the error contract is off
	MaxError     float64 // the promise: largest share of semantic answers that may differ, 0 to 1
}

// CacheTier says what the error contract makes of the semantic tier.
type CacheTier string

// The states of the semantic tier: as in the settings, from a greater similarity on, not at all.
const (
	TierOpen      CacheTier = "open"
	TierTightened CacheTier = "tightened"
	TierClosed    CacheTier = "closed"
)

// CacheContract is how the error contract of the semantic tier stands.
type CacheContract struct {
	MaxError   float64 // the promise
	Compared   int     // answers compared with a fresh one, the newest, at the threshold or above
	Different  int     // of them
	UpperBound float64 // of the share that differs, at 95 %; 1 where none was compared
	Tier       CacheTier
	Least      float64 // least similarity that is served now; no less than the threshold
}

// CacheStats are the figures of the cache.
type CacheStats struct {
	Exact, Semantic, Misses uint64 // look-ups, by how they ended
	Coalesced               uint64 // questions that followed the answer to another one: no look-ups
	StaleServed             uint64 // answers that were served although too old or behind, since no model answered: misses
	Enabled                 bool
	Size, MaxSize           int // entries that can still be served; most entries
	Threshold               float64
	TTL                     time.Duration
	Bytes, MaxBytes         int64             // memory that the entries take; most memory
	Evicted                 uint64            // to make room: there were more entries than Size allows
	Outgrown                uint64            // to make room: they took more memory than Bytes allows
	Expired                 uint64            // too old
	Changed                 uint64            // their knowledge base changed
	Cleared                 uint64            // by hand
	Stale                   map[Stale]uint64  // answers that were not served since their evidence does not hold
	Guarded                 map[string]uint64 // near questions that a guard told apart, by the guard
	Nearest                 Spread            // similarities of the nearest remembered questions, served or not
	Contract                CacheContract
}

// Spread says how values lie.
type Spread struct {
	Count   uint64
	Sum     float64
	Buckets map[float64]uint64 // by upper bound: how many were no larger
}

// HitRate is the share of look-ups that were served, 0 to 1; 0 where there was none.
func (s CacheStats) HitRate() float64 {
	hits := s.Exact + s.Semantic
	if hits+s.Misses == 0 {
		return 0
	}
	return float64(hits) / float64(hits+s.Misses)
}

// FillRatio is size over most size, 0 to 1.
func (s CacheStats) FillRatio() float64 {
	if s.MaxSize == 0 {
		return 0
	}
	return float64(s.Size) / float64(s.MaxSize)
}
