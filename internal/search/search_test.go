package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"golang.org/x/text/unicode/norm"
)

func words(t *testing.T, x *Indexes, question string) []int64 {
	t.Helper()
	return found(retrieve(t, x, rag.Query{Text: question, Method: rag.BM25}))
}

func TestVietnameseIsFoundWithAndWithoutDiacritics(t *testing.T) {
	x := New(newMemory(
		passage(1, "vi", "Đà Nẵng là thành phố biển"),
		passage(2, "vi", "Da Nang viet khong dau"),
		passage(3, "vi", "Hà Nội là thủ đô"),
	), "")
	for question, want := range map[string][]int64{
		"Đà Nẵng":                  {1},    // means what it says
		"da nang":                  {1, 2}, // either
		"DA NANG":                  {1, 2},
		"khổng":                    {2}, // nobody writes it so: without accents
		norm.NFD.String("Đà Nẵng"): {1},
		"thu do ha noi":            {3},
	} {
		got := words(t, x, question)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", question, got, want)
		}
	}
}

func TestNFDPassagesAreFoundLikeNFCOnes(t *testing.T) {
	x := New(newMemory(passage(1, "vi", norm.NFD.String("Đà Nẵng")), passage(2, "vi", norm.NFC.String("Đà Nẵng"))), "")
	hits := retrieve(t, x, rag.Query{Text: "nẵng", Method: rag.BM25}).Hits
	if len(hits) != 2 || hits[0].Score != hits[1].Score {
		t.Errorf("%+v", hits)
	}
}

func TestChineseAndJapaneseAreFoundByPartsOfASentence(t *testing.T) {
	x := New(newMemory(passage(1, "zh", "北京是中国的首都"), passage(2, "ja", "東京は日本の首都です"), passage(3, "zh", "猫")), "")
	if got := words(t, x, "中国首都"); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("%v", got)
	}
	if got := words(t, x, "猫"); !slices.Equal(got, []int64{3}) {
		t.Errorf("%v", got)
	}
}

func TestIdentifiersAreFoundWholeAndByTheirParts(t *testing.T) {
	x := New(newMemory(
		passage(1, "en", "Set CIRCUIT_BREAKER_TIMEOUT to 30 seconds"),
		passage(2, "en", "A circuit has a timeout and a breaker"),
		passage(3, "unknown", "OTHER_TIMEOUT"),
	), "")
	if got := words(t, x, "CIRCUIT_BREAKER_TIMEOUT"); len(got) != 3 || got[0] != 1 {
		t.Errorf("whole: %v", got)
	}
	if got := words(t, x, "breakers"); !slices.Equal(got, []int64{2, 1}) && !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("part: %v", got)
	}
}

func TestACommonWordIsNotPreciousInARareLanguage(t *testing.T) {
	var entries []Entry
	for id := range int64(200) {
		entries = append(entries, passage(id, "en", "the boiler of the house is cold"))
	}
	entries = append(entries, passage(500, "fr", "the boiler"), passage(501, "en", "the boiler valve"))
	if got := words(t, New(newMemory(entries...), ""), "where is the boiler valve"); got[0] != 501 {
		t.Errorf("first is %d", got[0])
	}
}

func TestATitleThatIsTheFirstLineIsNotCountedTwice(t *testing.T) {
	once := passage(1, "en", "# Boiler\nwater")
	twice := passage(2, "en", "# Boiler\nwater")
	twice.Passage.Title, twice.Passage.Heading = "Boiler", "Boiler > Boiler"
	heading := passage(3, "en", "water")
	heading.Passage.Title, heading.Passage.Heading = "Boiler", "Boiler"
	hits := retrieve(t, New(newMemory(once, twice, heading), ""), rag.Query{Text: "boiler", Method: rag.BM25}).Hits
	if len(hits) != 3 || hits[0].Score != hits[1].Score || hits[0].Score != hits[2].Score {
		t.Errorf("%+v", hits)
	}
}

func TestResultsDoNotDependOnHowPassagesCameIn(t *testing.T) {
	corpus := newMemory()
	grown := New(corpus, "")
	words(t, grown, "x")
	for i := range 300 {
		id := int64((i * 7919) % 300)
		e := passage(id, "en", fmt.Sprintf("alpha word%d beta %s", id%7, strings.Repeat("gamma ", int(id%5))))
		if err := grown.Apply(t.Context(), "kb", corpus.commit(nil, e)); err != nil {
			t.Fatal(err)
		}
	}
	q := rag.Query{Text: "alpha gamma word3", Method: rag.BM25}
	if a, b := retrieve(t, grown, q), retrieve(t, New(corpus, ""), q); !slices.Equal(found(a), found(b)) || a.Hits[0].Score != b.Hits[0].Score {
		t.Error("an index that grew finds otherwise than one built at once")
	}
	if stats := grown.Stats()["kb"]; stats.Segments > 12 || stats.Passages != 300 || corpus.reads != 2 {
		t.Errorf("%+v, rebuilt %d times", stats, corpus.reads)
	}
}

func TestWithoutVectorsTheMethodFallsBackAndSaysSo(t *testing.T) {
	bare, full := passage(1, "en", "cat"), passage(2, "en", "cat")
	full.Vector = []float32{1, 0}
	for _, c := range []struct {
		name  string
		entry Entry
		query []float32
		want  rag.Method
	}{
		{"knowledge base", bare, []float32{1, 0}, rag.BM25},
		{"question", full, nil, rag.BM25},
		{"direction", full, []float32{0, 0}, rag.BM25},
		{"nothing missing", full, []float32{1, 1}, rag.Hybrid},
	} {
		got := retrieve(t, New(newMemory(c.entry), ""), rag.Query{Text: "cat", Vector: c.query, Method: rag.Hybrid})
		if got.Method != c.want || len(got.Hits) != 1 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestBadQueriesAreToldWhatIsWrong(t *testing.T) {
	e := passage(1, "en", "cat")
	e.Vector = []float32{1, 0}
	x := New(newMemory(e), "")
	for kind, q := range map[rag.Kind]rag.Query{
		rag.Conflict:    {DB: "kb", K: 1, Vector: []float32{1, 0, 0}},
		rag.OutOfBounds: {DB: "kb", K: 0},
		rag.NotFound:    {DB: "other", K: 1},
	} {
		if _, err := x.Retrieve(t.Context(), q); rag.KindOf(err) != kind {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := x.Retrieve(t.Context(), rag.Query{DB: "kb", K: 1, Method: "magic"}); rag.KindOf(err) != rag.OutOfBounds {
		t.Error(err)
	}
	if _, known := x.Stats()["other"]; known {
		t.Error("a knowledge base that does not exist is remembered")
	}
}

func TestPassagesThatAreGoneAreLeftOutOfHits(t *testing.T) {
	corpus := newMemory(passage(1, "en", "cat"), passage(2, "en", "cat"), passage(3, "en", "cat"))
	x := New(corpus, "")
	words(t, x, "cat")
	corpus.commit([]int64{2}) // the index has not heard of it
	if got := words(t, x, "cat"); !slices.Equal(got, []int64{1, 3}) {
		t.Errorf("%v", got)
	}
}

func TestAMissedChangeRebuildsOnNextUse(t *testing.T) {
	corpus := newMemory(passage(1, "en", "cat"))
	x := New(corpus, "")
	words(t, x, "cat")
	corpus.commit(nil, passage(2, "en", "cat"))
	if err := x.Apply(t.Context(), "kb", corpus.commit(nil, passage(3, "en", "cat"))); err != nil {
		t.Fatal(err)
	}
	if got := words(t, x, "cat"); len(got) != 3 || corpus.reads != 2 {
		t.Errorf("%v, %d reads", got, corpus.reads)
	}
}

func TestANewKnowledgeBaseGrowsWithoutARebuild(t *testing.T) {
	corpus := newMemory()
	corpus.change = 0
	x := New(corpus, "")
	for id := range int64(3) {
		if err := x.Apply(t.Context(), "kb", corpus.commit(nil, passage(id, "en", "cat"))); err != nil {
			t.Fatal(err)
		}
	}
	if got := words(t, x, "cat"); len(got) != 3 || corpus.reads != 0 {
		t.Errorf("%v, %d reads", got, corpus.reads)
	}
}

func TestVectorsOfAnotherDimensionRebuildTheIndex(t *testing.T) {
	old, next := passage(1, "en", "cat"), passage(1, "en", "cat")
	old.Vector, next.Vector = []float32{1, 0}, []float32{1, 0, 0}
	other := passage(2, "en", "dog")
	other.Vector = []float32{0, 1}
	corpus := newMemory(old, other)
	x := New(corpus, "")
	words(t, x, "cat")
	if err := x.Apply(t.Context(), "kb", corpus.commit(nil, next)); err != nil {
		t.Fatal(err)
	}
	if got := words(t, x, "cat dog"); len(got) != 2 || corpus.reads != 2 || x.Stats()["kb"].Vectors != 1 {
		t.Errorf("%v, %d reads, %+v", got, corpus.reads, x.Stats())
	}
}

func TestValuesAreThoseOfLivePassages(t *testing.T) {
	corpus := newMemory(passage(1, "en", "cat"), passage(2, "vi", "mèo"))
	x := New(corpus, "")
	words(t, x, "cat")
	if err := x.Apply(t.Context(), "kb", corpus.commit([]int64{2})); err != nil {
		t.Fatal(err)
	}
	languages, versions, sources, err := x.Values(t.Context(), "kb")
	if err != nil || !slices.Equal(languages, []string{"en"}) || !slices.Equal(versions, []string{"v"}) || !slices.Equal(sources, []string{"s"}) {
		t.Errorf("%v %v %v %v", languages, versions, sources, err)
	}
}

// gated is a corpus whose reader waits at a gate.
type gated struct {
	*memory
	arrived, open chan struct{}
}

func (g gated) Change(ctx context.Context, db string) (uint64, error) {
	g.arrived <- struct{}{}
	select {
	case <-g.open:
		return g.memory.Change(ctx, db)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func TestOneLoadsWhileOthersWaitAsLongAsTheyCare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		corpus := gated{newMemory(passage(1, "en", "cat")), make(chan struct{}, 10), make(chan struct{})}
		x := New(corpus, "")
		q := rag.Query{DB: "kb", Text: "cat", K: 1, Method: rag.BM25}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if r, err := x.Retrieve(t.Context(), q); err != nil || len(r.Hits) != 1 {
					t.Error(r, err)
				}
			})
		}
		<-corpus.arrived
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := x.Retrieve(ctx, q); !errors.Is(err, context.Canceled) {
			t.Errorf("a waiter that left: %v", err)
		}
		if err := x.Apply(ctx, "kb", Update{Change: 1}); !errors.Is(err, context.Canceled) {
			t.Errorf("an update that left: %v", err)
		}
		close(corpus.open)
		wg.Wait()
		if corpus.reads != 1 {
			t.Errorf("%d loaders", corpus.reads)
		}
	})
}

func TestACancelledContextStopsARebuild(t *testing.T) {
	var entries []Entry
	for id := range int64(100) {
		entries = append(entries, passage(id, "en", "cat"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x := New(newMemory(entries...), "")
	if _, err := x.Retrieve(ctx, rag.Query{DB: "kb", Text: "cat", K: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if x.Stats()["kb"].Loaded {
		t.Error("half an index is in use")
	}
}

func TestQuestionsSeeWholeChangesWhileUpdatesRun(t *testing.T) {
	corpus := newMemory()
	x := New(corpus, t.TempDir())
	words(t, x, "x")
	const rounds = 60
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			last := uint64(0)
			for {
				select {
				case <-done:
					return
				default:
				}
				r, err := x.Retrieve(t.Context(), rag.Query{DB: "kb", Text: "cat", K: 500, Method: rag.BM25})
				// Each change adds three passages and removes one.
				if err != nil || r.Change < last || len(r.Hits) > 2*rounds {
					t.Errorf("change %d after %d, %d hits, %v", r.Change, last, len(r.Hits), err)
					return
				}
				last = r.Change
			}
		})
	}
	for i := range int64(rounds) {
		u := corpus.commit([]int64{i*3 - 3}, passage(i*3, "en", "cat"), passage(i*3+1, "en", "cat"), passage(i*3+2, "en", "cat"))
		if err := x.Apply(t.Context(), "kb", u); err != nil {
			t.Error(err)
		}
		if i%20 == 0 {
			if err := x.Save(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	close(done)
	wg.Wait()
	if got := words(t, x, "cat"); len(got) != 2*rounds+1 {
		t.Errorf("%d passages", len(got))
	}
}
