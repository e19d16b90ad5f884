package embed

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// tryModel opens bytes as a model and, where they are taken, runs them.
func tryModel(t *testing.T, b []byte) error {
	m, err := open(memory{b}, WithLanes(1))
	if err != nil {
		if err.Error() == "" || strings.Contains(err.Error(), "\x00") {
			t.Errorf("no sentence: %q", err)
		}
		return err
	}
	v := make([]float32, m.weights.Width)
	_ = m.EmbedInto(t.Context(), v, rag.ForPassage, "hello ab, 中 Café \x00\xff q") // may say that there is no vector
	return m.Verify()
}

func TestAFlippedBitIsNeverMoreThanAWrongVector(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, toy := range toys {
		b := packToy(t, toy)
		if err := tryModel(t, b); err != nil {
			t.Fatal(err)
		}
		flips := 1500
		if raceEnabled {
			flips = 100
		}
		for i := range flips {
			at := r.IntN(len(b))
			if i%2 == 0 {
				at = r.IntN(4096) // head, table and configuration
			}
			b[at] ^= 1 << (i % 8)
			if err := tryModel(t, b); err == nil {
				t.Errorf("%s: byte %d flipped, and nothing is wrong", name, at)
			}
			b[at] ^= 1 << (i % 8)
		}
	}
}

func TestACutFileIsRefusedWithASentence(t *testing.T) {
	b := packToy(t, toys["bert"])
	for n := 0; n < len(b); n += 1 + n/8 {
		if err := tryModel(t, b[:n:n]); err == nil {
			t.Errorf("%d of %d bytes are taken", n, len(b))
		}
	}
	if err := tryModel(t, append(b, 0)); err == nil || !strings.Contains(err.Error(), "has grown") {
		t.Errorf("a byte more: %v", err)
	}
}

func TestWhatIsNoModelIsRefusedWithASentence(t *testing.T) {
	write := func(name string, b []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return FilePrefix + path
	}
	toy := packToy(t, toys["bert"])
	later := append([]byte(nil), toy...)
	binary.LittleEndian.PutUint32(later[8:], fileVersion+1)
	for name, want := range map[string]string{
		write("empty", nil): "not a packed model",
		write("text", []byte(strings.Repeat("hello ", 100))): "not a packed model",
		write("later", later):                                "of version 2",
		write("cut", toy[:len(toy)-1]):                       "cut or has grown",
		write("head", toy[:20]):                              "is cut",
		FilePrefix + t.TempDir():                             "not a file",
		FilePrefix + "/nowhere/at/all":                       "no such file",
		"all-minilm":                                         "builtin and file:PATH are known",
		"":                                                   "builtin and file:PATH are known",
	} {
		m, err := Open(name)
		if err == nil {
			m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := open(memory{toy}, WithKernel("abacus")); err == nil || !strings.Contains(err.Error(), "abacus") {
		t.Errorf("an unknown kernel: %v", err)
	}
}

func TestAFolderThatCannotBePackedSaysWhy(t *testing.T) {
	for name, change := range map[string]struct{ file, old, new, want string }{
		"other kind":    {"config.json", `"bert"`, `"t5"`, "bert and xlm-roberta"},
		"other act":     {"config.json", `"gelu"`, `"relu"`, "gelu with absolute"},
		"odd heads":     {"config.json", `"num_attention_heads":2`, `"num_attention_heads":3`, "heads"},
		"more layers":   {"config.json", `"num_hidden_layers":2`, `"num_hidden_layers":3`, "encoder.layer.2"},
		"wider":         {"config.json", `"intermediate_size":128`, `"intermediate_size":192`, "asks for"},
		"no JSON":       {"config.json", `{`, ``, "config.json"},
		"BPE":           {"tokenizer.json", `"WordPiece"`, `"BPE"`, "WordPiece and Unigram"},
		"no unknown":    {"tokenizer.json", `"unk_token":"[UNK]"`, `"unk_token":"[HUH]"`, "[HUH]"},
		"cut weights":   {"model.safetensors", "{", "", "safetensors"},
		"a long header": {"model.safetensors", "\x00\x00\x00", "\xff\xff\xff", "safetensors"},
	} {
		dir := toys["bert"].write(t)
		path := filepath.Join(dir, change.file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(b), change.old, change.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := PackFolder(dir, PackOptions{}); err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: %v, want %q", name, err, change.want)
		}
	}
	for _, b := range []string{"", "E5S1", "E5S1\x00\x00\x00\x00" + strings.Repeat("\x01", 200), "E5S1" + strings.Repeat("\xff", 500)} {
		if _, err := PackNano([]byte(b)); err == nil {
			t.Errorf("%.8q was packed", b)
		}
	}
}

func FuzzPackedFile(f *testing.F) {
	for _, name := range []string{"bert", "xlm-roberta"} {
		f.Add(packToy(f, toys[name]), uint32(300), byte(3), uint16(0))
	}
	f.Add([]byte(magic), uint32(0), byte(0), uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, at uint32, flip byte, cut uint16) {
		b = b[:max(0, len(b)-int(cut))]
		if len(b) > 0 {
			b[int(at)%len(b)] ^= flip
		}
		_ = tryModel(t, b)
	})
}

func FuzzTokenizers(f *testing.F) {
	var all []*Model
	for _, name := range []string{"bert", "xlm-roberta"} {
		all = append(all, openBytes(f, packToy(f, toys[name])))
	}
	for _, s := range samples[:20] {
		f.Add(s)
	}
	f.Add("e\u0301\u0323 \xff\xfe \u1100\u1161\u11a8 \u0130 " + strings.Repeat("\u0301", 100))
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range all {
			got := ids(m, text)
			for _, id := range got {
				if id < 0 || int(id) >= m.weights.Vocabulary {
					t.Fatalf("id %d of %d", id, m.weights.Vocabulary)
				}
			}
			if n := m.CountTokens(text); n != len(got) {
				t.Fatalf("%d tokens counted, %d cut", n, len(got))
			}
			if most := utf8.RuneCountInString(text)*20 + 2; len(got) > most {
				t.Fatalf("%d tokens of %d bytes", len(got), len(text))
			}
		}
	})
}
