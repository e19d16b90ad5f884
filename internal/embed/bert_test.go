package embed

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// toy is a small model with random weights, as a sentence-transformers folder.
type toy struct {
	tokenizer                   string // WordPiece or Unigram
	kind                        string // model_type
	layers, heads, width, inner int
	tokens                      int
	dtype                       string
	pooling                     string
}

var toys = map[string]toy{
	"bert":        {"WordPiece", "bert", 2, 2, 64, 128, 24, "F32", "mean"},
	"xlm-roberta": {"Unigram", "xlm-roberta", 3, 2, 128, 192, 16, "BF16", "mean"},
	"cls":         {"WordPiece", "bert", 1, 4, 128, 256, 40, "F16", "cls"},
}

var toyPieces = []string{"hello", "wor", "a", "b", "c", "d", "e", "ab", "cd", "!", ",", "中", "cafe", "ng", "nguoi", "x"}

// vocabulary gives the pieces by id.
func (m toy) vocabulary() []string {
	if m.tokenizer == "Unigram" {
		v := []string{"<s>", "<pad>", "</s>", "<unk>", "▁"}
		for _, p := range toyPieces {
			v = append(v, p, "▁"+p)
		}
		return append(v, "<mask>")
	}
	v := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]"}
	for _, p := range toyPieces {
		v = append(v, p, "##"+p)
	}
	return v
}

func (m toy) files() (config, tokenizer map[string]any) {
	config = map[string]any{"model_type": m.kind, "num_hidden_layers": m.layers, "num_attention_heads": m.heads, "hidden_size": m.width,
		"intermediate_size": m.inner, "max_position_embeddings": m.tokens, "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 0}
	if m.kind == "xlm-roberta" {
		config["pad_token_id"], config["max_position_embeddings"] = 1, m.tokens+2
	}
	if m.tokenizer == "Unigram" {
		var vocab [][2]any
		for i, p := range m.vocabulary() {
			vocab = append(vocab, [2]any{p, -float64(i%7) - 1})
		}
		return config, map[string]any{"model": map[string]any{"type": "Unigram", "unk_id": 3, "vocab": vocab}}
	}
	vocab := map[string]int{}
	for i, p := range m.vocabulary() {
		vocab[p] = i
	}
	return config, map[string]any{"normalizer": map[string]any{"type": "BertNormalizer", "lowercase": true, "strip_accents": nil},
		"model": map[string]any{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}}
}

// write makes the folder.
func (m toy) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	config, tokenizer := m.files()
	for name, v := range map[string]any{"config.json": config, "tokenizer.json": tokenizer,
		"1_Pooling/config.json": map[string]any{"pooling_mode_mean_tokens": m.pooling == "mean", "pooling_mode_cls_token": m.pooling == "cls"}} {
		b, err := json.Marshal(v)
		if err == nil {
			os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), m.safetensors(), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (m toy) shapes() map[string][]int {
	s := map[string][]int{
		"embeddings.word_embeddings.weight":       {len(m.vocabulary()), m.width},
		"embeddings.position_embeddings.weight":   {m.tokens + 2, m.width},
		"embeddings.token_type_embeddings.weight": {2, m.width},
		"embeddings.LayerNorm.weight":             {m.width}, "embeddings.LayerNorm.bias": {m.width},
	}
	for l := range m.layers {
		p := fmt.Sprintf("encoder.layer.%d.", l)
		for name, nk := range map[string][]int{"attention.self.query": {m.width, m.width}, "attention.self.key": {m.width, m.width},
			"attention.self.value": {m.width, m.width}, "attention.output.dense": {m.width, m.width},
			"intermediate.dense": {m.inner, m.width}, "output.dense": {m.width, m.inner}} {
			s[p+name+".weight"], s[p+name+".bias"] = nk, nk[:1]
		}
		for _, name := range []string{"attention.output", "output"} {
			s[p+name+".LayerNorm.weight"], s[p+name+".LayerNorm.bias"] = []int{m.width}, []int{m.width}
		}
	}
	return s
}

func (m toy) safetensors() []byte {
	r := rand.New(rand.NewPCG(11, 12))
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var data []byte
	shapes := m.shapes()
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		n := 1
		for _, d := range shapes[name] {
			n *= d
		}
		at := len(data)
		for range n {
			v := float32(r.NormFloat64() * 0.1)
			if strings.HasSuffix(name, "LayerNorm.weight") {
				v += 1
			}
			if m.dtype == "F16" && math.Abs(float64(v)) < 1e-3 {
				v = 0
			}
			switch bits := math.Float32bits(v); m.dtype {
			case "F32":
				data = binary.LittleEndian.AppendUint32(data, bits)
			case "BF16":
				data = binary.LittleEndian.AppendUint16(data, uint16(bits>>16))
			default:
				data = binary.LittleEndian.AppendUint16(data, halfBits(bits))
			}
		}
		header["bert."+name] = map[string]any{"dtype": m.dtype, "shape": shapes[name], "data_offsets": []int{at, len(data)}}
	}
	h, _ := json.Marshal(header)
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...), data...)
}

// halfBits makes a float16 of the bits of a float32 that it has room for.
func halfBits(bits uint32) uint16 {
	if bits<<1 == 0 {
		return 0
	}
	return uint16(bits>>16&0x8000 | (bits>>23&255-112)<<10 | bits>>13&1023)
}

// float is a plain BERT in float64, to compare with.
type float struct {
	t testing.TB
	*plan
}

func (f float) get(name string) matrix {
	m, err := f.tensor(name)
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

func (f float) linear(x [][]float64, name string) [][]float64 {
	w, b := f.get(name+".weight"), f.get(name+".bias")
	out := make([][]float64, len(x))
	for t := range x {
		out[t] = make([]float64, w.rows)
		for n := range out[t] {
			sum := float64(b.v[n])
			for k, v := range w.row(n) {
				sum += float64(v) * x[t][k]
			}
			out[t][n] = sum
		}
	}
	return out
}

func (f float) norm(x [][]float64, name string) {
	g, b := f.get(name+".LayerNorm.weight"), f.get(name+".LayerNorm.bias")
	for _, row := range x {
		var mean, square float64
		for _, v := range row {
			mean += v / float64(len(row))
		}
		for _, v := range row {
			square += (v - mean) * (v - mean) / float64(len(row))
		}
		for i, v := range row {
			row[i] = (v-mean)/math.Sqrt(square+float64(f.config.Epsilon))*float64(g.v[i]) + float64(b.v[i])
		}
	}
}

func (f float) attend(x [][]float64, p string) [][]float64 {
	q, k, v := f.linear(x, p+"query"), f.linear(x, p+"key"), f.linear(x, p+"value")
	size := f.config.Width / f.config.Heads
	out := make([][]float64, len(x))
	for t := range x {
		out[t] = make([]float64, f.config.Width)
		for h := range f.config.Heads {
			var sum float64
			e := make([]float64, len(x))
			for u := range x {
				var dot float64
				for d := h * size; d < (h+1)*size; d++ {
					dot += q[t][d] * k[u][d]
				}
				e[u] = math.Exp(dot / math.Sqrt(float64(size)))
				sum += e[u]
			}
			for u := range x {
				for d := h * size; d < (h+1)*size; d++ {
					out[t][d] += e[u] / sum * v[u][d]
				}
			}
		}
	}
	return out
}

func add(x, y [][]float64) {
	for t := range x {
		for i := range x[t] {
			x[t][i] += y[t][i]
		}
	}
}

// window gives the pooled vector of a window's ids, ends included.
func (f float) window(ids []int32) []float64 {
	words, pos, kind := f.get("embeddings.word_embeddings.weight"), f.get("embeddings.position_embeddings.weight"), f.get("embeddings.token_type_embeddings.weight")
	x := make([][]float64, len(ids))
	for t, id := range ids {
		x[t] = make([]float64, f.config.Width)
		for i := range x[t] {
			x[t][i] = float64(words.row(int(id))[i]) + float64(pos.row(f.first + t)[i]) + float64(kind.v[i])
		}
	}
	f.norm(x, "embeddings")
	for l := range f.config.Layers {
		p := fmt.Sprintf("encoder.layer.%d.", l)
		add(x, f.linear(f.attend(x, p+"attention.self."), p+"attention.output.dense"))
		f.norm(x, p+"attention.output")
		h := f.linear(x, p+"intermediate.dense")
		for _, row := range h {
			for i, v := range row {
				row[i] = v / 2 * (1 + math.Erf(v/math.Sqrt2))
			}
		}
		add(x, f.linear(h, p+"output.dense"))
		f.norm(x, p+"output")
	}
	if f.config.Pooling == "cls" {
		return x[0]
	}
	mean := make([]float64, f.config.Width)
	for _, row := range x {
		for i, v := range row {
			mean[i] += v / float64(len(x))
		}
	}
	return mean
}

// embed gives the vector of ids without ends, window by window.
func (f float) embed(ids []int32) []float32 {
	sum := make([]float64, f.config.Width)
	most := f.config.Tokens - 2
	for first := true; first || len(ids) > 0; first = false {
		n := min(most, len(ids))
		w := append(append([]int32{f.config.Start}, ids[:n]...), f.config.End)
		for i, v := range f.window(w) {
			sum[i] += v * float64(max(n, 1))
		}
		ids = ids[n:]
	}
	out := make([]float32, len(sum))
	for i, v := range sum {
		out[i] = float32(v)
	}
	return out
}
