package cache

import (
	"container/list"
	"encoding/json"
	"reflect"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// entry is a remembered answer. What is not under Cache.mu is never changed.
type entry struct {
	id     string
	key    rag.CacheKey
	vector []float32  // of unit length, or nil
	answer rag.Answer // nobody else has any of it
	made   time.Time
	cost   float64                // seconds that making the answer took, the loading of its model left out
	body   atomic.Pointer[[]byte] // what a server made of the answer

	// Under Cache.mu.
	change uint64 // the change of its knowledge base for which its passages were last found to hold
	bytes  int64
	turn   *list.Element // in Cache.made or Cache.spare
	worth  float64
	used   uint64 // when it was used last, in uses
	place  int    // in Cache.worth

	shelf *shelf
	row   int // under shelf.mu
}

// newEntry reads an answer from its JSON, which is what makes it nobody else's.
func newEntry(k rag.KeptAnswer, made time.Time) (*entry, error) {
	e := &entry{id: k.ID, key: k.Key, vector: vec.Normalize(k.Vector), made: made}
	if err := json.Unmarshal(k.Answer, &e.answer); err != nil {
		return nil, err
	}
	for i := range e.answer.Citations { // clients do not see hashes, so JSON does not carry them
		if c := &e.answer.Citations[i]; c.N >= 1 && c.N <= len(e.answer.Hits) {
			c.Hash = e.answer.Hits[c.N-1].Passage.Hash
		}
	}
	e.cost = max(e.answer.Timings.Total-e.answer.Usage.LoadSeconds, 0)
	e.bytes = e.footprint()
	return e, nil
}

// copy is the answer for somebody who may change it.
func (e *entry) copy(f form) rag.Answer {
	a := e.answer
	a.Hits, a.Citations, a.Dropped, a.Form = slices.Clone(a.Hits), slices.Clone(a.Citations), slices.Clone(a.Dropped), f
	for i := range a.Hits {
		for _, score := range []**float64{&a.Hits[i].BM25, &a.Hits[i].Cosine} {
			if *score != nil {
				*score = new(**score)
			}
		}
	}
	return a
}

// What the cache itself holds for an entry, in bytes: its places in maps, list, heap and shelf, with the room that these grow by.
const (
	perEntry  = int64(unsafe.Sizeof(entry{})+unsafe.Sizeof(list.Element{})) + 2*int64(unsafe.Sizeof(rag.CacheKey{})+unsafe.Sizeof("")+4*unsafe.Sizeof(uintptr(0)))
	perVector = int64(unsafe.Sizeof(uintptr(0)) + unsafe.Sizeof(float32(0)))
)

// footprint is the memory that the entry takes, in bytes: closely, since nobody tells it exactly.
func (e *entry) footprint() int64 {
	n := perEntry + held(reflect.ValueOf(e.id)) + held(reflect.ValueOf(e.key)) + held(reflect.ValueOf(e.vector)) + held(reflect.ValueOf(e.answer))
	if e.vector != nil {
		n += perVector + int64(vec.Stride(len(e.vector)))
	}
	return n
}

// held is the memory that a value points at, in bytes.
func held(v reflect.Value) (n int64) {
	switch v.Kind() {
	case reflect.String:
		return rounded(int64(v.Len()))
	case reflect.Pointer:
		if !v.IsNil() {
			n = rounded(int64(v.Type().Elem().Size())) + held(v.Elem())
		}
	case reflect.Slice:
		n = rounded(int64(v.Cap()) * int64(v.Type().Elem().Size()))
		if v.Type().Elem().Kind() >= reflect.Array { // numbers point at nothing
			for i := range v.Len() {
				n += held(v.Index(i))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += held(v.Field(i))
		}
	}
	return n
}

// rounded is what the allocator takes for n bytes: an eighth more at most, half of that on average.
func rounded(n int64) int64 { return n + n/16 }

// form lets a server keep what it made of an entry's answer with the entry.
type form struct {
	c *Cache
	e *entry
}

func (f form) Load() []byte {
	if body := f.e.body.Load(); body != nil {
		return *body
	}
	return nil
}

// Keep keeps a body with an entry that is still there and does not become too large by it.
func (f form) Keep(body []byte) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	more := rounded(int64(cap(body))) + int64(unsafe.Sizeof(body))
	if f.c.byID[f.e.id] != f.e || f.e.body.Load() != nil || f.c.outgrows(f.e.bytes+more) {
		return
	}
	f.e.body.Store(&body)
	f.e.bytes += more
	f.c.bytes += more
	f.c.use(f.e)
	f.c.room(0, 0)
}
