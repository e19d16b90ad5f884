package store

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

var embedder = rag.EmbedderID{Name: "e", Digest: "sha", Dimension: 2, Prefix: "q|p"}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a second Close does no harm
	return s
}

func withBase(t *testing.T, names ...string) *Store {
	t.Helper()
	s := open(t, t.TempDir())
	for _, name := range names {
		must(t, s.CreateBase(t.Context(), name))
	}
	return s
}

func must(t interface {
	Helper()
	Fatal(...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// doc makes a document of one passage a text.
func doc(source string, texts ...string) rag.NewDocument {
	n := rag.NewDocument{
		Document: rag.Document{Source: source, Title: "T " + source, MediaType: "text/plain", Encoding: "utf-8", Version: "v1", Language: "en", Digest: "d" + strings.Join(texts, ""), Text: strings.Join(texts, "")},
		Recipe:   "r1", Origin: "/origin/" + source, Bytes: 42,
	}
	at := 0
	for i, text := range texts {
		n.Passages = append(n.Passages, rag.Passage{Chunk: i, Heading: "H", Page: 2, Span: rag.Span{Start: at, End: at + len(text)}, Language: "en", Hash: "h" + text, Text: text})
		at += len(text)
	}
	return n
}

func withVectors(n rag.NewDocument) rag.NewDocument {
	n.Embedder = embedder
	for i := range n.Passages {
		n.Vectors = append(n.Vectors, []float32{float32(i), -1.5})
	}
	return n
}

func put(t *testing.T, s *Store, base string, n rag.NewDocument) rag.Update {
	t.Helper()
	u, err := s.Put(t.Context(), base, n)
	must(t, err)
	return u
}

func entries(t *testing.T, s *Store, base string) []rag.Entry {
	t.Helper()
	var out []rag.Entry
	for e, err := range s.Entries(t.Context(), base) {
		must(t, err)
		out = append(out, e)
	}
	return out
}

func TestWhatWasWrittenIsThereAfterReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd name ?#%41&")
	s := open(t, dir)
	must(t, s.CreateBase(t.Context(), "docs"))
	u := put(t, s, "docs", withVectors(doc("a.txt", "One. ", "Two é.")))
	must(t, s.SetSetting(t.Context(), "x", "1"))
	must(t, s.SetSetting(t.Context(), "x", "2"))
	before, err := s.Document(t.Context(), "docs", u.Add[0].Passage.Document)
	must(t, err)
	must(t, s.Close())
	s = open(t, dir)
	after, err := s.Document(t.Context(), "docs", before.ID)
	must(t, err)
	if fmt.Sprint(before) != fmt.Sprint(after) || after.Text != "One. Two é." {
		t.Errorf("document became %+v", after)
	}
	if got := entries(t, s, "docs"); fmt.Sprint(got) != fmt.Sprint(u.Add) {
		t.Errorf("entries became\n%+v, were told as\n%+v", got, u.Add)
	}
	if v, err := s.Setting(t.Context(), "x"); v != "2" || err != nil {
		t.Error(v, err)
	}
	if v, err := s.Setting(t.Context(), "never"); v != "" || err != nil {
		t.Error(v, err)
	}
	kb, err := s.KnowledgeBase(t.Context(), "docs")
	if err != nil || kb.Change != 1 || kb.Embedder != embedder || kb.Empty {
		t.Error(kb, err)
	}
	must(t, s.Ping(t.Context()))
}

func TestAnUpdateTellsExactlyWhatChanged(t *testing.T) {
	s := withBase(t, "docs", "other")
	a := put(t, s, "docs", doc("a.txt", "1", "2"))
	b := put(t, s, "docs", doc("b.txt", "3"))
	c := put(t, s, "docs", withVectors(doc("a.txt", "4")))
	put(t, s, "other", doc("a.txt", "5"))
	gone, d, err := s.Delete(t.Context(), "docs", []string{"none", "b.txt", "b.txt"})
	must(t, err)
	if a.Change != 1 || b.Change != 2 || c.Change != 3 || d.Change != 4 {
		t.Errorf("changes %d %d %d %d", a.Change, b.Change, c.Change, d.Change)
	}
	ids := func(u rag.Update) (out []int64) {
		for _, e := range u.Add {
			out = append(out, e.Passage.ID)
		}
		return out
	}
	if !slices.Equal(c.Remove, ids(a)) || !slices.Equal(d.Remove, ids(b)) || !slices.Equal(gone, []string{"b.txt"}) || a.Remove != nil || d.Add != nil {
		t.Errorf("removed %v and %v (%v), added %v and %v", c.Remove, d.Remove, gone, ids(a), ids(b))
	}
	p := c.Add[0].Passage
	if p.Source != "a.txt" || p.Title != "T a.txt" || p.Version != "v1" || p.Document == a.Add[0].Passage.Document || c.Add[0].Vector == nil {
		t.Errorf("added %+v", c.Add)
	}
	gone, nothing, err := s.Delete(t.Context(), "docs", []string{"none"})
	if gone != nil || nothing.Change != 0 || err != nil {
		t.Error("deleting nothing is told as a change:", gone, nothing, err)
	}
	if change, _ := s.Change(t.Context(), "docs"); change != 4 {
		t.Errorf("change %d after nothing happened", change)
	}
}

func TestADocumentIsKnownByItsSource(t *testing.T) {
	s := withBase(t, "docs")
	if _, known, err := s.Known(t.Context(), "docs", "a.txt"); known || err != nil {
		t.Error(known, err)
	}
	n := doc("a.txt", "1")
	put(t, s, "docs", n)
	k, known, err := s.Known(t.Context(), "docs", "a.txt")
	if !known || err != nil || k != (rag.KnownDocument{Digest: n.Document.Digest, Recipe: "r1", Version: "v1", Origin: "/origin/a.txt"}) {
		t.Error(k, known, err)
	}
	put(t, s, "docs", rag.NewDocument{Document: rag.Document{Source: "upload"}})
	if o, err := s.Origins(t.Context(), "docs"); err != nil || !maps.Equal(o, map[string]string{"a.txt": "/origin/a.txt"}) {
		t.Error(o, err)
	}
}

func TestListsShowWhatIsThere(t *testing.T) {
	s := withBase(t, "docs", "empty")
	vi := doc("b.txt", "3")
	vi.Passages[0].Language, vi.Document.Version = "vi", "v2"
	put(t, s, "docs", withVectors(doc("a.txt", "1", "2")))
	put(t, s, "docs", vi)
	list, err := s.Bases(t.Context())
	must(t, err)
	if len(list) != 2 || list[0].Name != "docs" || list[0].Documents != 2 || list[0].Passages != 3 || list[0].Vectors != 2 || list[0].Bytes != 84 || list[1].Documents != 0 {
		t.Errorf("bases %+v", list)
	}
	docs, err := s.Documents(t.Context(), "docs")
	if err != nil || len(docs) != 2 || docs[0].Source != "a.txt" || docs[0].Chunks != 2 || docs[0].Pending != 0 || docs[1].Pending != 1 {
		t.Errorf("documents %+v %v", docs, err)
	}
	languages, versions, err := s.Filters(t.Context(), "docs")
	if err != nil || !slices.Equal(languages, []string{"en", "vi"}) || !slices.Equal(versions, []string{"v1", "v2"}) {
		t.Error(languages, versions, err)
	}
	if counts, err := s.DocumentCounts(t.Context()); err != nil || !maps.Equal(counts, map[string]int{"docs": 2, "empty": 0}) {
		t.Error(counts, err)
	}
	if kb, err := s.KnowledgeBase(t.Context(), "empty"); err != nil || !kb.Empty {
		t.Error(kb, err)
	}
}

func TestPassagesComeInTheOrderAskedAndOnlyFromTheirBase(t *testing.T) {
	s := withBase(t, "docs", "other")
	texts := make([]string, 1003)
	for i := range texts {
		texts[i] = fmt.Sprint(i)
	}
	u := put(t, s, "docs", withVectors(doc("a.txt", texts...)))
	foreign := put(t, s, "other", doc("a.txt", "x"))
	var ids []int64
	for _, e := range slices.Backward(u.Add) {
		ids = append(ids, e.Passage.ID)
	}
	got, err := s.Passages(t.Context(), "docs", append([]int64{foreign.Add[0].Passage.ID, 1 << 40}, ids...))
	must(t, err)
	if len(got) != len(texts) || got[0].Text != texts[len(texts)-1] || got[len(got)-1].Text != "0" {
		t.Errorf("%d passages", len(got))
	}
	vectors, err := s.Vectors(t.Context(), "docs", ids)
	if err != nil || len(vectors) != len(texts) || !slices.Equal(vectors[ids[0]], u.Add[len(texts)-1].Vector) {
		t.Error(len(vectors), err)
	}
	if v, err := s.Vectors(t.Context(), "other", []int64{foreign.Add[0].Passage.ID}); err != nil || len(v) != 0 {
		t.Error(v, err)
	}
}

func TestAnUnknownKnowledgeBaseIsNotFound(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	for name, f := range map[string]func() error{
		"KnowledgeBase": func() error { _, err := s.KnowledgeBase(ctx, "x"); return err },
		"Change":        func() error { _, err := s.Change(ctx, "x"); return err },
		"Put":           func() error { _, err := s.Put(ctx, "x", doc("a", "1")); return err },
		"Delete":        func() error { _, _, err := s.Delete(ctx, "x", []string{"a"}); return err },
		"DeleteBase":    func() error { return s.DeleteBase(ctx, "x") },
		"Documents":     func() error { _, err := s.Documents(ctx, "x"); return err },
		"Filters":       func() error { _, _, err := s.Filters(ctx, "x"); return err },
		"SetVectors":    func() error { _, err := s.SetVectors(ctx, "x", embedder, nil, nil, nil); return err },
	} {
		if err := f(); rag.KindOf(err) != rag.NotFound || rag.CodeOf(err) != "unknown_db" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := withBase(t, "docs").Document(ctx, "docs", 5); rag.CodeOf(err) != "unknown_document" {
		t.Error(err)
	}
	if _, err := s.Job(ctx, "x"); rag.CodeOf(err) != "unknown_job" {
		t.Error(err)
	}
}

func TestNamesThatCouldBePathsOrFlagsAreRefused(t *testing.T) {
	s := open(t, t.TempDir())
	for _, name := range []string{"", ".", "..", "-x", "_x", ".x", "a/b", `a\b`, "a b", "a\n", "é", "Ａ", "a\x00", strings.Repeat("a", 65)} {
		if err := s.CreateBase(t.Context(), name); rag.KindOf(err) != rag.OutOfBounds {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"a", "0", "A.b-c_d", "a..", strings.Repeat("a", MaxNameLength)} {
		must(t, s.CreateBase(t.Context(), name))
		if err := s.CreateBase(t.Context(), name); rag.KindOf(err) != rag.Conflict {
			t.Errorf("%q twice: %v", name, err)
		}
		must(t, s.EnsureBase(t.Context(), name))
	}
}

func TestADeletedKnowledgeBaseIsGoneAndItsIdIsNeverGivenAgain(t *testing.T) {
	s := withBase(t, "docs")
	first, _ := s.KnowledgeBase(t.Context(), "docs")
	u := put(t, s, "docs", doc("a.txt", "1"))
	must(t, s.DeleteBase(t.Context(), "docs"))
	if got, err := s.Passages(t.Context(), "docs", []int64{u.Add[0].Passage.ID}); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
	must(t, s.CreateBase(t.Context(), "docs"))
	again, _ := s.KnowledgeBase(t.Context(), "docs")
	if again.ID == first.ID || !again.Empty || again.Change != 0 {
		t.Errorf("%+v after %+v", again, first)
	}
	if b := put(t, s, "docs", doc("a.txt", "1")); b.Add[0].Passage.ID <= u.Add[0].Passage.ID {
		t.Error("a passage's id was given again")
	}
}

func TestAKnowledgeBaseNeverMixesEmbedders(t *testing.T) {
	s := withBase(t, "docs")
	put(t, s, "docs", withVectors(doc("a.txt", "1")))
	other := withVectors(doc("b.txt", "2"))
	other.Embedder.Digest = "other"
	if _, err := s.Put(t.Context(), "docs", other); rag.KindOf(err) != rag.Conflict || rag.CodeOf(err) != "embedder_changed" {
		t.Error(err)
	}
	pending := put(t, s, "docs", doc("c.txt", "3"))
	p := []rag.Passage{pending.Add[0].Passage}
	if _, err := s.SetVectors(t.Context(), "docs", other.Embedder, p, [][]float32{{1, 0}}, nil); rag.KindOf(err) != rag.Conflict {
		t.Error(err)
	}
	if n := len(entries(t, s, "docs")); n != 2 {
		t.Errorf("%d passages after refused writes", n)
	}
	if change, _ := s.Change(t.Context(), "docs"); change != 2 {
		t.Errorf("refused writes raised the change to %d", change)
	}
	short := withVectors(doc("d.txt", "4", "5"))
	short.Vectors = short.Vectors[:1]
	if _, err := s.Put(t.Context(), "docs", short); err == nil {
		t.Error("a document with too few vectors was kept")
	}
}

func TestVectorsAreSetOnlyForPassagesThatAreStillThere(t *testing.T) {
	s := withBase(t, "docs")
	put(t, s, "docs", doc("a.txt", "1", "2"))
	put(t, s, "docs", doc("b.txt", "3"))
	if bases, err := s.PendingBases(t.Context()); err != nil || !slices.Equal(bases, []string{"docs"}) {
		t.Error(bases, err)
	}
	pending, err := s.Pending(t.Context(), "docs", 10)
	if err != nil || len(pending) != 3 || pending[0].Text != "1" || pending[2].Source != "b.txt" {
		t.Fatal(pending, err)
	}
	if two, _ := s.Pending(t.Context(), "docs", 2); len(two) != 2 {
		t.Error("more than asked for")
	}
	if _, _, err := s.Delete(t.Context(), "docs", []string{"a.txt"}); err != nil {
		t.Fatal(err)
	}
	u, err := s.SetVectors(t.Context(), "docs", embedder, pending, [][]float32{{1, 0}, {0, 1}, {.6, .8}}, nil)
	must(t, err)
	if id := pending[2].ID; u.Change != 4 || !slices.Equal(u.Remove, []int64{id}) || len(u.Add) != 1 || u.Add[0].Passage.ID != id {
		t.Errorf("update %+v", u)
	}
	if e := entries(t, s, "docs"); len(e) != 1 || !slices.Equal(e[0].Vector, []float32{.6, .8}) {
		t.Errorf("entries %+v", e)
	}
	if bases, err := s.PendingBases(t.Context()); err != nil || len(bases) != 0 {
		t.Error(bases, err)
	}
}

func TestJobsAreKeptInOrderAndOldEndedOnesGo(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	for i := range maxEndedJobs + 5 {
		must(t, s.PutJob(ctx, rag.JobRecord{ID: fmt.Sprint(i), Data: []byte("{}"), Created: int64(i + 1), Finished: int64(i + 1)}))
	}
	must(t, s.PutJob(ctx, rag.JobRecord{ID: "new", Data: []byte("1"), Created: 1000}))
	must(t, s.PutJob(ctx, rag.JobRecord{ID: "old", Data: []byte("1"), Created: 999}))
	must(t, s.PutJob(ctx, rag.JobRecord{ID: "new", Data: []byte("2"), Created: 5}))
	if j, err := s.Job(ctx, "new"); err != nil || string(j.Data) != "2" || j.Created != 1000 {
		t.Error(j, err)
	}
	open, err := s.Jobs(ctx, true)
	if err != nil || len(open) != 2 || open[0].ID != "old" {
		t.Error(open, err)
	}
	all, err := s.Jobs(ctx, false)
	if err != nil || len(all) != maxEndedJobs+2 || all[0].ID != "5" {
		t.Error(len(all), all[0].ID, err)
	}
}

// holding lists the files of a folder that hold the bytes.
func holding(t *testing.T, dir string, secret []byte) (found []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, secret) {
			found = append(found, filepath.Base(path))
		}
		return err
	}))
	return found
}

func TestDeletedBytesAreInNoFileOfTheDataFolder(t *testing.T) {
	secret := []byte("XYZZY-unique-secret-")
	long := strings.Repeat("padding ", 3000) + string(secret) // spreads over overflow pages
	for name, remove := range map[string]func(*Store) error{
		"Delete": func(s *Store) error {
			_, _, err := s.Delete(context.Background(), "docs", []string{"a.txt"})
			return err
		},
		"replace": func(s *Store) error {
			_, err := s.Put(context.Background(), "docs", doc("a.txt", "harmless"))
			return err
		},
		"DeleteBase": func(s *Store) error { return s.DeleteBase(context.Background(), "docs") },
	} {
		t.Run(name, func(t *testing.T) {
			s := withBase(t, "docs")
			for i := range 20 {
				put(t, s, "docs", doc(fmt.Sprintf("other%d.txt", i), "x"))
			}
			put(t, s, "docs", doc("a.txt", long, string(secret), "more"))
			if holding(t, s.Dir(), secret) == nil {
				t.Fatal("the test looks in the wrong place")
			}
			must(t, remove(s))
			if found := holding(t, s.Dir(), secret); found != nil {
				t.Errorf("still in %v", found)
			}
		})
	}
	t.Run("a document without passages", func(t *testing.T) {
		s := withBase(t, "docs")
		n := doc("a.txt")
		n.Document.Text = long
		put(t, s, "docs", n)
		put(t, s, "docs", doc("a.txt", "harmless"))
		if found := holding(t, s.Dir(), secret); found != nil {
			t.Errorf("still in %v", found)
		}
	})
	t.Run("while somebody reads, by the next change", func(t *testing.T) {
		s := withBase(t, "docs")
		put(t, s, "docs", doc("a.txt", string(secret)+"1", string(secret)+"2"))
		for range s.Entries(t.Context(), "docs") { // holds a snapshot of what is to go
			gone, _, err := s.Delete(t.Context(), "docs", []string{"a.txt"})
			if err != nil || len(gone) != 1 {
				t.Fatal(gone, err)
			}
			break
		}
		put(t, s, "docs", doc("b.txt", "harmless"))
		if found := holding(t, s.Dir(), secret); found != nil {
			t.Errorf("still in %v", found)
		}
	})
}

// A durable change is told even if whoever asked for it leaves at that moment: the index must hear of it.
func TestAChangeThatIsCommittedIsNeverAnError(t *testing.T) {
	s := withBase(t, "docs")
	for i := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { cancel() })
		before, _ := s.Change(t.Context(), "docs")
		u, err := s.Put(ctx, "docs", doc("a.txt", fmt.Sprint(i)))
		wg.Wait()
		after, _ := s.Change(t.Context(), "docs")
		if (err == nil) != (after == before+1) || err == nil && u.Change != after {
			t.Fatalf("error %v, told change %d, change went from %d to %d", err, u.Change, before, after)
		}
	}
}

func TestEntriesAreWhatAMapWouldHold(t *testing.T) {
	fewerChecks(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		must(rt, err)
		s, err := Open(t.Context(), dir)
		must(rt, err)
		defer func() { must(rt, s.Close()) }()
		must(rt, s.CreateBase(t.Context(), "docs"))
		model := map[string][]string{}
		follower := map[int64]string{} // an index that knows the updates alone
		change := uint64(0)
		source := rapid.SampledFrom([]string{"a", "b", "c", "../d", "é"})
		told := func(u rag.Update) {
			if change++; u.Change != change {
				rt.Fatalf("change %d, want %d", u.Change, change)
			}
			for _, id := range u.Remove {
				if _, there := follower[id]; !there {
					rt.Fatalf("told to remove %d, which was never added", id)
				}
				delete(follower, id)
			}
			for _, e := range u.Add {
				follower[e.Passage.ID] = e.Passage.Source + ":" + e.Passage.Text
			}
		}
		actions := map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				name, texts := source.Draw(rt, "source"), rapid.SliceOfN(rapid.StringMatching(`[a-zé]{1,5}`), 1, 3).Draw(rt, "texts")
				n := doc(name, texts...)
				if rapid.Bool().Draw(rt, "vectors") {
					n = withVectors(n)
				}
				u, err := s.Put(t.Context(), "docs", n)
				must(rt, err)
				model[name] = texts
				told(u)
			},
			"delete": func(rt *rapid.T) {
				names := rapid.SliceOfN(source, 0, 3).Draw(rt, "sources")
				gone, u, err := s.Delete(t.Context(), "docs", names)
				must(rt, err)
				want := 0
				for _, name := range names {
					if _, there := model[name]; there {
						want++
						delete(model, name)
					}
				}
				if len(gone) != want {
					rt.Fatalf("deleted %v, want %d", gone, want)
				}
				if want > 0 {
					told(u)
				}
			},
			"": func(rt *rapid.T) {
				got, index := map[string][]string{}, map[int64]string{}
				last := int64(0)
				for e, err := range s.Entries(t.Context(), "docs") {
					must(rt, err)
					if e.Passage.ID <= last {
						rt.Fatal("entries are not in the order of ids")
					}
					last = e.Passage.ID
					got[e.Passage.Source] = append(got[e.Passage.Source], e.Passage.Text)
					index[e.Passage.ID] = e.Passage.Source + ":" + e.Passage.Text
				}
				if !maps.EqualFunc(got, model, slices.Equal) {
					rt.Fatalf("entries %v, model %v", got, model)
				}
				if !maps.Equal(index, follower) {
					rt.Fatalf("entries %v, follower %v", index, follower)
				}
			},
		}
		rt.Repeat(actions)
		must(rt, s.Close())
		if s, err = Open(t.Context(), dir); err != nil {
			rt.Fatal(err)
		}
		actions[""](rt)
	})
}

// fewerChecks is for properties whose every step is a durable write.
func fewerChecks(t *testing.T) {
	t.Helper()
	const name = "rapid.checks"
	if checks := flag.Lookup(name); checks.Value.String() == checks.DefValue {
		must(t, flag.Set(name, "20"))
		t.Cleanup(func() { must(t, flag.Set(name, checks.DefValue)) })
	}
}

func TestReadersSeeWholeDocumentsWhileWritersWrite(t *testing.T) {
	s := withBase(t, "docs")
	put(t, s, "docs", doc("a.txt", "0", "0", "0"))
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var texts []string
				for e, err := range s.Entries(context.Background(), "docs") {
					if err != nil {
						t.Error(err)
						return
					}
					if e.Passage.Source == "a.txt" {
						texts = append(texts, e.Passage.Text)
					}
				}
				if len(texts) != 3 || texts[0] != texts[1] || texts[1] != texts[2] {
					t.Errorf("half a document: %v", texts)
					return
				}
			}
		})
	}
	for w := range 2 {
		writing.Go(func() {
			for i := range 40 {
				text := fmt.Sprint(w, i)
				if _, err := s.Put(context.Background(), "docs", doc("a.txt", text, text, text)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	if change, _ := s.Change(t.Context(), "docs"); change != 81 {
		t.Errorf("change %d after 81 writes", change)
	}
}

func TestASecondProcessIsToldWhoHasTheFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(t.Context(), dir)
	inUse, ok := errors.AsType[*InUseError](err)
	if !ok || inUse.Server.URL != "" || !strings.Contains(err.Error(), "--data-dir") {
		t.Fatal(err)
	}
	takeBack, err := s.Announce(Server{URL: "http://127.0.0.1:8000", Token: "secret"})
	must(t, err)
	if info, err := os.Stat(filepath.Join(dir, serverFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	_, err = Open(t.Context(), dir)
	if inUse, ok = errors.AsType[*InUseError](err); !ok || inUse.Server != (Server{"http://127.0.0.1:8000", "secret", os.Getpid()}) || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	takeBack()
	if _, err := os.Stat(filepath.Join(dir, serverFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the announcement stays:", err)
	}
	must(t, s.Close())
	must(t, open(t, dir).Close())
}
