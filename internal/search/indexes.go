package search

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Indexes holds the index of each knowledge base. It implements rag.Retriever. All methods are safe to call at once.
type Indexes struct {
	corpus Corpus
	dir    string // "" keeps no files

	mu    sync.Mutex
	bases map[string]*base
}

var _ rag.Retriever = (*Indexes)(nil)

// New makes the indexes of a corpus. Their files are kept in the folder dir; "" keeps none. Nothing is read until it is asked for.
func New(corpus Corpus, dir string) *Indexes {
	return &Indexes{corpus: corpus, dir: dir, bases: map[string]*base{}}
}

// base is the index of one knowledge base.
type base struct {
	name string
	file file
	// turn holds one token: whoever takes it out may load, change or save.
	turn chan struct{}
	snap atomic.Pointer[snapshot]
	// needed is the lowest change that a snapshot must stand for to be of use.
	needed atomic.Uint64
}

func (x *Indexes) base(db string) *base {
	x.mu.Lock()
	defer x.mu.Unlock()
	b := x.bases[db]
	if b == nil {
		b = &base{name: db, turn: make(chan struct{}, 1), file: file{path: filePath(x.dir, db)}}
		b.turn <- struct{}{}
		x.bases[db] = b
	}
	return b
}

// all gives the bases in order of their names.
func (x *Indexes) all() []*base {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []*base
	for _, name := range slices.Sorted(maps.Keys(x.bases)) {
		all = append(all, x.bases[name])
	}
	return all
}

// forget takes b off the list, unless another has taken its place.
func (x *Indexes) forget(b *base) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.bases[b.name] == b {
		delete(x.bases, b.name)
	}
}

// take waits for the turn, at most as long as ctx lives.
func (b *base) take(ctx context.Context) error {
	select {
	case <-b.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *base) give() { b.turn <- struct{}{} }

// usable gives the snapshot, nil if there is none or it is behind.
func (b *base) usable() *snapshot {
	if s := b.snap.Load(); s != nil && s.change >= b.needed.Load() {
		return s
	}
	return nil
}

// need says that snapshots before change are of no use.
func (b *base) need(change uint64) {
	for {
		now := b.needed.Load()
		if change <= now || b.needed.CompareAndSwap(now, change) {
			return
		}
	}
}

// snapshot gives the snapshot of a knowledge base, after loading or rebuilding it if need be.
func (x *Indexes) snapshot(ctx context.Context, db string) (*snapshot, error) {
	b := x.base(db)
	if s := b.usable(); s != nil {
		return s, nil
	}
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	defer b.give()
	if s := b.usable(); s != nil {
		return s, nil
	}
	s, err := x.load(ctx, b)
	if rag.KindOf(err) == rag.NotFound {
		x.forget(b)
	}
	return s, err
}

// load brings the snapshot of b from its file, or rebuilds it. The caller has the turn.
func (x *Indexes) load(ctx context.Context, b *base) (*snapshot, error) {
	needed := b.needed.Load()
	change, err := x.corpus.Change(ctx, b.name)
	if err != nil {
		return nil, err
	}
	s := b.file.read(b.name, change)
	if s == nil {
		if s, err = x.rebuild(ctx, b.name, change); err != nil {
			return nil, err
		}
	}
	b.snap.Store(s)
	b.needed.CompareAndSwap(needed, change) // what the corpus says outweighs what was announced before
	return s, nil
}

// rebuild makes the snapshot of a knowledge base from its passages.
func (x *Indexes) rebuild(ctx context.Context, db string, change uint64) (*snapshot, error) {
	var views []*view
	b := newBuilder(0)
	flush := func() {
		if b.rows() == 0 {
			return
		}
		dim := b.seg.matrix.Dim
		views = append(views, newView(b.finish(), nil))
		b = newBuilder(dim)
	}
	for entry, err := range x.corpus.Entries(ctx, db) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if n := b.rows(); n > 0 && entry.Passage.ID <= b.seg.ids[n-1] {
			return nil, rag.Errorf(rag.Internal, "", "passages of a knowledge base came out of order")
		}
		if b.full() {
			flush()
		}
		b.add(&entry)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	flush()
	return newSnapshot(change, views), nil
}

// Apply takes over a change that the store has committed. Questions see it when Apply returns. Updates of a knowledge base must come
// in the order of their changes, each once: where one was missed, or vectors come in another dimension, the index is rebuilt when
// it is next used. So it is when Apply fails, which it only does because ctx ends. An index that is not in memory stays so, unless
// its file stands for the change before. A knowledge base that is deleted and created again must be dropped in between.
func (x *Indexes) Apply(ctx context.Context, db string, u Update) error {
	b := x.base(db)
	if err := b.take(ctx); err != nil {
		b.need(u.Change)
		return err
	}
	defer b.give()
	s := b.before(u.Change)
	if s != nil && s.change >= u.Change {
		return nil
	}
	if len(u.Remove) > 0 || u.Rebuild {
		b.file.remove() // it holds words of passages that are gone
	}
	if s == nil {
		return nil
	}
	next, ok := s, s.change+1 == u.Change && !u.Rebuild
	if ok {
		next, ok = s.updated(u)
	}
	if !ok {
		b.need(u.Change)
		return nil
	}
	b.snap.Store(next)
	b.snap.Store(next.merged())
	return nil
}

// before gives the snapshot that an update to change starts from: the one in memory, else the file's, else the empty one of a
// knowledge base that is new; nil if there is none.
func (b *base) before(change uint64) *snapshot {
	s := b.snap.Load()
	switch {
	case s != nil, change == 0:
		return s
	case change == 1:
		return newSnapshot(0, nil)
	}
	return b.file.read(b.name, change-1)
}

// Drop forgets the index of a knowledge base and deletes its file.
func (x *Indexes) Drop(db string) {
	b := x.base(db)
	x.forget(b)
	b.file.drop()
}

// Values lists the languages, versions and sources that passages of a knowledge base have, each sorted.
func (x *Indexes) Values(ctx context.Context, db string) (languages, versions, sources []string, err error) {
	s, err := x.snapshot(ctx, db)
	if err != nil {
		return nil, nil, nil, err
	}
	languages = s.values(func(s *segment) *column { return &s.language })
	versions = s.values(func(s *segment) *column { return &s.version })
	sources = s.values(func(s *segment) *column { return &s.source })
	return languages, versions, sources, nil
}

// values lists the values but "" that live passages have in a column.
func (s *snapshot) values(of func(*segment) *column) []string {
	seen := map[string]bool{"": true}
	for _, v := range s.views {
		c := of(v.seg)
		used := make([]bool, c.values.len())
		for row, n := range c.rows {
			used[n] = used[n] || v.alive(row)
		}
		for n, used := range used {
			if used {
				seen[string(c.values.at(n))] = true
			}
		}
	}
	delete(seen, "")
	return slices.Sorted(maps.Keys(seen))
}

// Save writes the index of each knowledge base that changed since it was last written. What is written holds nothing of
// passages that were deleted. It goes on after a failure and reports them all.
func (x *Indexes) Save(ctx context.Context) error {
	var errs []error
	for _, b := range x.all() {
		errs = append(errs, b.save(ctx))
	}
	return errors.Join(errs...)
}

func (b *base) save(ctx context.Context) error {
	if err := b.take(ctx); err != nil {
		return err
	}
	defer b.give()
	s := b.usable()
	if s == nil || b.file.path == "" || b.file.holds(s.change) {
		return nil
	}
	s = s.pure()
	b.snap.Store(s)
	return b.file.write(b.name, s)
}

// Close saves what changed. The indexes can still be used.
func (x *Indexes) Close() error { return x.Save(context.Background()) }

// Stats tells what the index of each knowledge base is at this moment.
func (x *Indexes) Stats() map[string]Stats {
	all := map[string]Stats{}
	for _, b := range x.all() {
		s := b.snap.Load()
		if s == nil {
			all[b.name] = Stats{}
			continue
		}
		stats := Stats{Loaded: true, Change: s.change, Passages: s.passages, Vectors: s.vectors, Dimension: s.dim, Segments: len(s.views)}
		for _, v := range s.views {
			stats.Terms += v.seg.terms.len()
			stats.Deleted += v.seg.rows() - v.live
			stats.Bytes += v.seg.bytes()
		}
		all[b.name] = stats
	}
	return all
}
