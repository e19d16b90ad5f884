package search

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// saved saves an index of three passages, and gives its file.
func saved(t testing.TB) (*memory, string) {
	t.Helper()
	dir := t.TempDir()
	one, two, three := passage(1, "en", "cat and dog"), passage(2, "vi", "mèo và chó"), passage(3, "en", "cat")
	one.Vector, three.Vector = []float32{1, 2, 3}, []float32{3, 2, 1}
	corpus := newMemory(one, two, three)
	x := New(corpus, dir)
	retrieve(t, x, rag.Query{Text: "cat"})
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	corpus.reads = 0
	return corpus, filePath(dir, "kb")
}

func TestASavedIndexAnswersLikeTheOneItWas(t *testing.T) {
	corpus, path := saved(t)
	q := rag.Query{Text: "cat meo", Vector: []float32{1, 1, 1}, Method: rag.Hybrid}
	got := retrieve(t, New(corpus, filepath.Dir(path)), q)
	if corpus.reads != 0 {
		t.Fatal("it was rebuilt")
	}
	if want := retrieve(t, New(corpus, ""), q); !slices.Equal(found(got), found(want)) || got.Hits[0].Score != want.Hits[0].Score {
		t.Errorf("%v, want %v", found(got), found(want))
	}
}

func TestAFileThatIsNotWholeIsIgnored(t *testing.T) {
	corpus, path := saved(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"empty": {}, "cut": whole[:len(whole)-1], "head": whole[:20], "longer": append(slices.Clone(whole), 0), "foreign": bytes.Repeat([]byte("x"), 500),
	} {
		if decode(slices.Clone(data), "kb", 1) != nil {
			t.Errorf("%s was taken", name)
		}
	}
	for i := range whole {
		flipped := slices.Clone(whole)
		flipped[i] ^= 1 << (i % 8)
		if decode(flipped, "kb", 1) != nil {
			t.Fatalf("a flip in byte %d was taken", i)
		}
	}
	if decode(slices.Clone(whole), "other", 1) != nil || decode(slices.Clone(whole), "kb", 2) != nil {
		t.Error("a file of another knowledge base or change was taken")
	}
	if err := os.WriteFile(path, whole[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if got := retrieve(t, New(corpus, filepath.Dir(path)), rag.Query{Text: "cat"}); len(got.Hits) != 2 || corpus.reads != 1 {
		t.Errorf("%v, %d reads", found(got), corpus.reads)
	}
}

func TestAnUpdateAfterARestartStartsFromTheFile(t *testing.T) {
	corpus, path := saved(t)
	x := New(corpus, filepath.Dir(path))
	if err := x.Apply(t.Context(), "kb", corpus.commit([]int64{1}, passage(4, "en", "cat"))); err != nil {
		t.Fatal(err)
	}
	if got := words(t, x, "cat"); !slices.Equal(got, []int64{3, 4}) || corpus.reads != 0 {
		t.Errorf("%v, %d reads", got, corpus.reads)
	}
}

func TestNothingOfADeletedPassageStaysInTheFile(t *testing.T) {
	corpus, path := saved(t)
	x := New(corpus, filepath.Dir(path))
	if err := x.Apply(t.Context(), "kb", corpus.commit([]int64{2})); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file before the deletion is still there: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || bytes.Contains(data, []byte("mèo")) || bytes.Contains(data, []byte("meo")) {
		t.Errorf("%q, %v", data, err)
	}
}

func TestDropDeletesTheFileForGood(t *testing.T) {
	corpus, path := saved(t)
	x := New(corpus, filepath.Dir(path))
	retrieve(t, x, rag.Query{Text: "cat"})
	b := x.base("kb")
	x.Drop("kb")
	if err := b.file.write("kb", b.snap.Load()); err != nil { // a Save that was under way
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestFileNamesAreSafeAndDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, db := range []string{"a", "A", "a.b", "a_b", "CON", "..", "a/../b", string(bytes.Repeat([]byte("x"), 200))} {
		path := filePath("dir", db)
		if filepath.Dir(path) != "dir" || seen[path] || len(filepath.Base(path)) > 100 {
			t.Errorf("%q: %q", db, path)
		}
		seen[path] = true
	}
}

// FuzzDecode changes a file behind the checksum's back: whatever the lists hold, reading them, searching and merging must not
// fail.
func FuzzDecode(f *testing.F) {
	_, path := saved(f)
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for i := headSize; i+8 < len(whole); i += 40 {
		changed := slices.Clone(whole)
		changed[i] ^= 0xff
		f.Add(changed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < headSize+tailSize {
			return
		}
		data = slices.Clone(data)
		copy(data, whole[:headSize])
		end := len(data) - tailSize
		binary.LittleEndian.PutUint64(data[end:], uint64(crc32.Checksum(data[:end], castagnoli)))
		s := decode(data, "kb", 1)
		if s == nil {
			return
		}
		keeps := make([]vec.Bits, len(s.views))
		for i, v := range s.views {
			keeps[i] = v.keep(rag.Filter{Languages: []string{"en"}})
		}
		s.byWords("cat mèo meo dog", keeps, 10)
		if s.dim > 0 {
			s.scan(vec.Quantise(make([]float32, s.dim)), keeps, 10)
		}
		if len(s.views) > 0 {
			s.merge(s.views)
		}
	})
}
