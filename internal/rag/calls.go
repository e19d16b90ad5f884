package rag

import (
	"context"
	"time"
)

// KeptCall is a whole answer of a model as it is kept: what it is kept under covers everything that can change it.
type KeptCall struct {
	Key      string
	DB       string  // knowledge base whose passages the model was shown; empty: none
	Passages []int64 // these
	Change   uint64  `json:"-"` // of the knowledge base, for which they were there
	Made     int64   // Unix nanoseconds
	Data     []byte  // JSON of whoever keeps it
}

// CallKeeper keeps whole answers of models in a file. KeepCalls is all or nothing.
type CallKeeper interface {
	KeptCalls(ctx context.Context) ([]KeptCall, error)
	KeepCalls(ctx context.Context, put []KeptCall, remove []string) error
}

// CallStats are the figures of kept calls.
type CallStats struct {
	Enabled          bool
	Hits, Misses     uint64
	Coalesced        uint64 // calls that followed the same one in flight: no look-ups
	Evicted, Expired uint64 // to make room; too old
	Size, MaxSize    int    // entries
	Bytes, MaxBytes  int64
	TTL              time.Duration // 0: no end
}

// HitRate is the share of look-ups that were served, 0 to 1; 0 where there was none.
func (s CallStats) HitRate() float64 { return CacheStats{Exact: s.Hits, Misses: s.Misses}.HitRate() }
