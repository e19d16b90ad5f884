package embed

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// packToy packs a toy model.
func packToy(t testing.TB, m toy) []byte {
	t.Helper()
	out, err := PackFolder(m.write(t), PackOptions{Name: "toy", Question: "a: ", Passage: "b: "})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func openBytes(t testing.TB, b []byte, opts ...Option) *Model {
	t.Helper()
	m, err := open(memory{b}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var toyTexts = []string{"", "hello world!", "a b c d ab cd, hello ", "Café người CAFÉ 中中a", strings.Repeat("hello abcd, ", 30)}

func TestAPackedFolderEmbedsAsTheFloatModel(t *testing.T) {
	for name, toy := range toys {
		t.Run(name, func(t *testing.T) {
			dir := toy.write(t)
			p, weights, err := readFolder(dir, PackOptions{Name: "toy", Question: "a: ", Passage: "b: "})
			if err != nil {
				t.Fatal(err)
			}
			defer weights.Close()
			m := openBytes(t, packToy(t, toy))
			for _, text := range toyTexts {
				want := float{t, p}.embed(ids(m, "b: "+text))
				if cos := vec.Cosine(embedOne(t, m, rag.ForPassage, text), want); cos < 0.985 {
					t.Errorf("%q: cosine to the float model is %.4f", text, cos)
				}
			}
		})
	}
}

func TestEveryKernelGivesTheSameVector(t *testing.T) {
	for name, toy := range toys {
		b := packToy(t, toy)
		for _, text := range toyTexts {
			want := embedOne(t, openBytes(t, b, WithKernel("go")), rag.ForQuestion, text)
			for _, k := range Kernels() {
				same(t, name+" "+k, embedOne(t, openBytes(t, b, WithKernel(k)), rag.ForQuestion, text), want)
			}
		}
	}
}

func TestAModelInPartsOrOnDiskIsTheSame(t *testing.T) {
	b := packToy(t, toys["bert"])
	want := embedOne(t, openBytes(t, b), rag.ForPassage, toyTexts[3])
	for _, cut := range []int{1, 63, 64, 1000, len(b) / 2, len(b) - 1} {
		m, err := open(memory{b[:cut], b[cut:]})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "in parts", embedOne(t, m, rag.ForPassage, toyTexts[3]), want)
		if err := m.Verify(); err != nil {
			t.Error(err)
		}
	}
	path := filepath.Join(t.TempDir(), "toy.model")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Open(FilePrefix + path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	same(t, "on disk", embedOne(t, m, rag.ForPassage, toyTexts[3]), want)
	if err := m.Verify(); err != nil {
		t.Error(err)
	}
	id := m.Identity()
	if id.Name != "toy" || len(id.Digest) != 64 || id.Dimension != 64 || id.Prefix != "a: |b: " {
		t.Errorf("identity %+v", id)
	}
}

func TestABatchIsItsTextsInOrder(t *testing.T) {
	m := openBytes(t, packToy(t, toys["bert"]))
	var texts []string
	for i := range 40 {
		texts = append(texts, strings.Repeat("hello a b ", i*7%13))
	}
	got, err := m.Embed(t.Context(), rag.ForPassage, texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		same(t, text, got[i], embedOne(t, m, rag.ForPassage, text))
	}
	if v, err := m.Embed(t.Context(), rag.ForPassage, nil); err != nil || len(v) != 0 {
		t.Errorf("no texts: %v, %v", v, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Embed(ctx, rag.ForPassage, texts); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
}

func TestALongTextNeverLiesInMemoryAsTokens(t *testing.T) {
	size := 10 << 20
	if raceEnabled {
		size = 1 << 20
	}
	for name, toy := range toys {
		m := openBytes(t, packToy(t, toy), WithLanes(1))
		for _, unit := range []string{"ab", "ab ", "中", "é", "e\u0301", "\u0301", "\xff", "Z"} {
			text := strings.Repeat(unit, size/len(unit)/8)
			if unit == "ab" {
				text = strings.Repeat(unit, size/len(unit))
			}
			n := m.CountTokens(text)
			if c := m.counters.Get(); c != nil {
				c := c.(*counter)
				if held := cap(c.word) + 4*cap(c.ids) + 12*cap(c.best) + cap(c.buf); held > 2<<20 {
					t.Errorf("%s: %d bytes are held for %d tokens of %q", name, held, n, unit)
				}
			}
		}
	}
}

func TestALongWordIsCutAsAShortOne(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	m := openBytes(t, packToy(t, toys["xlm-roberta"]))
	u := m.weights.tokenizer.(*unigram)
	for range 20 {
		var b strings.Builder
		for b.Len() < 3*longWord {
			b.WriteString([]string{"a", "b", "c", "d", "ab", "cd", "hello", "wor", "x", "q"}[r.IntN(10)])
		}
		var whole cutting
		whole.begin()
		whole.word = append(whole.word, b.String()...)
		u.cut(&whole)
		if !slices.Equal(ids(m, b.String()), whole.ids) {
			t.Fatal("a word cut on the way has other pieces")
		}
	}
}

// TestUnigramFindsTheBestPieces compares with trying every substring.
func TestUnigramFindsTheBestPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	toy := toys["xlm-roberta"]
	m := openBytes(t, packToy(t, toy))
	u := m.weights.tokenizer.(*unigram)
	table := map[string]int32{}
	for i, p := range toy.vocabulary() {
		table[p] = int32(i)
	}
	for range 500 {
		text := ""
		for range r.IntN(12) {
			text += []string{"a", "b", "c", "ab", "中", " ", "hello", "q", "é", "ng"}[r.IntN(10)]
		}
		ch := []rune("▁" + strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), "▁"))
		if strings.HasSuffix(text, " ") && strings.TrimSpace(text) != "" {
			ch = append(ch, '▁')
		}
		best, from, id := make([]float32, len(ch)+1), make([]int, len(ch)+1), make([]int32, len(ch)+1)
		for e := 1; e <= len(ch); e++ {
			best[e] = unreached
			for b := range e {
				k, ok := table[string(ch[b:e])]
				v := best[b] + u.unkScore
				if ok {
					v = best[b] + floatAt(u.scores, int(k))
				} else if k = u.unk; e-b > 1 {
					continue
				}
				if v > best[e] {
					best[e], from[e], id[e] = v, b, k
				}
			}
		}
		got := ids(m, text)
		sum := float32(0)
		for _, k := range got {
			if k == u.unk {
				sum += u.unkScore
			} else {
				sum += floatAt(u.scores, int(k))
			}
		}
		if d := sum - best[len(ch)]; d < -1e-3 || d > 1e-3 {
			t.Fatalf("%q: %v scores %g, the best %g", text, got, sum, best[len(ch)])
		}
	}
}

func TestWordPieceCutsAsBert(t *testing.T) {
	m := openBytes(t, packToy(t, toys["bert"]))
	pieces := toys["bert"].vocabulary()
	for text, want := range map[string]string{
		"Hello, abcd!":           "hello , ab ##cd !",
		"CAFÉ cafe\u0301":        "cafe cafe",
		"hello中a":                "hello 中 a",
		"zzz ab":                 "[UNK] ab",
		"a\u200bb\x00 c\ufffdd":  "ab cd",
		"Người":                  "nguoi",
		"":                       "",
		strings.Repeat("a", 101): "[UNK]",
		"a\t b\u00a0c\u2028d":    "a b c d",
	} {
		var got []string
		for _, id := range ids(m, text) {
			got = append(got, pieces[id])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAQuestionGoesBeforeThePassagesThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLanes(1, func() *scratch { return new(scratch) })
		held, _ := l.take(t.Context(), false)
		var order []string
		var wg sync.WaitGroup
		wait := func(ctx context.Context, name string, question bool) {
			wg.Go(func() {
				s, err := l.take(ctx, question)
				if err != nil {
					order = append(order, name+" left")
					return
				}
				order = append(order, name)
				l.give(s)
			})
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		wait(t.Context(), "first passage", false)
		wait(ctx, "impatient", true)
		wait(t.Context(), "second passage", false)
		wait(t.Context(), "question", true)
		cancel()
		synctest.Wait()
		l.give(held)
		wg.Wait()
		if want := []string{"impatient left", "question", "first passage", "second passage"}; !slices.Equal(order, want) {
			t.Errorf("order %q, want %q", order, want)
		}
		if len(l.idle) != 1 {
			t.Errorf("%d lanes are idle at the end", len(l.idle))
		}
	})
}

func TestManyAtOnceGetWhatOneGets(t *testing.T) {
	m := openBytes(t, packToy(t, toys["cls"]), WithLanes(3))
	var want [][]float32
	for _, text := range toyTexts {
		want = append(want, embedOne(t, m, rag.ForPassage, text))
	}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			v := make([]float32, m.weights.Width)
			if err := m.EmbedInto(t.Context(), v, rag.ForPassage, toyTexts[i%len(toyTexts)]); err != nil {
				t.Error(err)
			}
			if !slices.Equal(v, want[i%len(toyTexts)]) {
				t.Errorf("text %d: another vector", i%len(toyTexts))
			}
			m.CountTokens(toyTexts[i%len(toyTexts)])
		})
	}
	wg.Wait()
}
