package embed

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// PackOptions is what a folder does not say of its model, or says wrong.
type PackOptions struct {
	Name              string // the folder's name if empty
	Question, Passage string // what goes before texts; if both are empty, the folder's prompts
}

// PackFolder packs a sentence-transformers folder: model.safetensors, config.json and tokenizer.json of a BERT-shaped model with
// a WordPiece or XLM-R unigram tokenizer.
func PackFolder(dir string, o PackOptions) ([]byte, error) {
	p, weights, err := readFolder(dir, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	defer weights.Close()
	out, err := p.build()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return out, nil
}

func readFolder(dir string, o PackOptions) (*plan, io.Closer, error) {
	var c struct {
		Type      string  `json:"model_type"`
		Layers    int     `json:"num_hidden_layers"`
		Heads     int     `json:"num_attention_heads"`
		Width     int     `json:"hidden_size"`
		Inner     int     `json:"intermediate_size"`
		Positions int     `json:"max_position_embeddings"`
		Epsilon   float32 `json:"layer_norm_eps"`
		Act       string  `json:"hidden_act"`
		Pad       int     `json:"pad_token_id"`
		PosKind   string  `json:"position_embedding_type"`
	}
	if err := readJSON(dir, "config.json", &c); err != nil {
		return nil, nil, err
	}
	p := &plan{config: config{Name: o.Name, Layers: c.Layers, Heads: c.Heads, Width: c.Width, Inner: c.Inner, Tokens: c.Positions,
		Epsilon: c.Epsilon, Question: o.Question, Passage: o.Passage}}
	switch {
	case c.Type == "xlm-roberta" || c.Type == "roberta":
		p.first = c.Pad + 1 // positions are counted from behind that of the padding
		p.config.Tokens -= p.first
	case c.Type != "bert":
		return nil, nil, fmt.Errorf("model type %q: bert and xlm-roberta can be packed", c.Type)
	}
	if c.Act != "gelu" || c.PosKind != "" && c.PosKind != "absolute" {
		return nil, nil, fmt.Errorf("hidden_act %q with positions %q: gelu with absolute positions can be packed", c.Act, c.PosKind)
	}
	if p.config.Name == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, nil, err
		}
		p.config.Name = filepath.Base(abs)
	}
	if err := errors.Join(p.readSentence(dir), p.readTokenizer(dir)); err != nil {
		return nil, nil, err
	}
	w, err := openSafetensors(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		return nil, nil, fmt.Errorf("model.safetensors: %w", err)
	}
	p.tensor = w.tensor
	return p, w, nil
}

const maxJSON = 128 << 20

func readJSON(dir, name string, v any) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxJSON)).Decode(v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// readOptional is readJSON of a file that need not be there.
func readOptional(dir, name string, v any) error {
	if err := readJSON(dir, name, v); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// readSentence reads what sentence-transformers adds to a model: pooling, window and prompts.
func (p *plan) readSentence(dir string) error {
	var modules []struct{ Type string }
	pool := struct {
		Mean bool `json:"pooling_mode_mean_tokens"`
		CLS  bool `json:"pooling_mode_cls_token"`
	}{Mean: true}
	var window struct {
		Most int `json:"max_seq_length"`
	}
	var sentence struct {
		Prompts map[string]string `json:"prompts"`
	}
	err := errors.Join(readOptional(dir, "modules.json", &modules), readOptional(dir, "1_Pooling/config.json", &pool),
		readOptional(dir, "sentence_bert_config.json", &window), readOptional(dir, "config_sentence_transformers.json", &sentence))
	if err != nil {
		return err
	}
	for _, m := range modules {
		if kind := m.Type[strings.LastIndexByte(m.Type, '.')+1:]; kind != "Transformer" && kind != "Pooling" && kind != "Normalize" {
			return fmt.Errorf("modules.json: the model has a module %s: Transformer, Pooling and Normalize can be packed", m.Type)
		}
	}
	switch {
	case pool.CLS && !pool.Mean:
		p.config.Pooling = "cls"
	case pool.Mean && !pool.CLS:
		p.config.Pooling = "mean"
	default:
		return errors.New("1_Pooling/config.json: mean or cls pooling can be packed")
	}
	if window.Most > 0 {
		p.config.Tokens = min(p.config.Tokens, window.Most)
	}
	if p.config.Question == "" && p.config.Passage == "" {
		p.config.Question = sentence.Prompts["query"]
		p.config.Passage = sentence.Prompts["passage"]
		if p.config.Passage == "" {
			p.config.Passage = sentence.Prompts["document"]
		}
	}
	return nil
}

// tokenizerFile is tokenizer.json, as far as we go with it.
type tokenizerFile struct {
	Normalizer *normalizer `json:"normalizer"`
	Model      struct {
		Type    string          `json:"type"`
		Vocab   json.RawMessage `json:"vocab"`
		UnkID   *int32          `json:"unk_id"`
		Unk     string          `json:"unk_token"`
		Prefix  string          `json:"continuing_subword_prefix"`
		MaxWord int             `json:"max_input_chars_per_word"`
	} `json:"model"`
}

type normalizer struct {
	Type      string       `json:"type"`
	Lowercase *bool        `json:"lowercase"`
	Strip     *bool        `json:"strip_accents"`
	Map       []byte       `json:"precompiled_charsmap"`
	Parts     []normalizer `json:"normalizers"`
}

func (p *plan) readTokenizer(dir string) error {
	var f tokenizerFile
	err := readJSON(dir, "tokenizer.json", &f)
	if err != nil {
		return err
	}
	switch f.Model.Type {
	case "WordPiece":
		err = p.readWordPiece(&f)
	case "Unigram":
		err = p.readUnigram(&f)
	default:
		err = fmt.Errorf("a tokenizer of type %q: WordPiece and Unigram can be packed", f.Model.Type)
	}
	if err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	return nil
}

// maxPieces bounds what a vocabulary may claim.
const maxPieces = 1<<22 - 1

func (p *plan) readWordPiece(f *tokenizerFile) error {
	var vocab map[string]int32
	if err := json.Unmarshal(f.Model.Vocab, &vocab); err != nil {
		return err
	}
	n := f.Normalizer
	if f.Model.Prefix != "##" || f.Model.MaxWord != maxWord || n == nil || n.Type != "BertNormalizer" {
		return errors.New("not a tokenizer as BERT's: pieces that begin with ##, words of up to 100 characters, BertNormalizer")
	}
	lower := n.Lowercase == nil || *n.Lowercase
	if n.Strip != nil && *n.Strip != lower {
		return errors.New("accents that are left out without lower case, or the other way round, are not known")
	}
	c := &p.config
	c.Tokenizer, c.Lower = "wordpiece", lower
	for name, to := range map[string]*int32{"[CLS]": &c.Start, "[SEP]": &c.End, f.Model.Unk: &c.Unknown} {
		id, ok := vocab[name]
		if !ok {
			return fmt.Errorf("the vocabulary lacks %q", name)
		}
		*to = id
	}
	for piece, id := range vocab {
		if id < 0 || id >= maxPieces {
			return fmt.Errorf("piece %q has id %d", piece, id)
		}
		for len(p.pieces) <= int(id) {
			p.pieces = append(p.pieces, "")
		}
		p.pieces[id] = piece
	}
	return nil
}

func (p *plan) readUnigram(f *tokenizerFile) error {
	var vocab [][2]any
	if err := json.Unmarshal(f.Model.Vocab, &vocab); err != nil {
		return err
	}
	if f.Model.UnkID == nil || len(vocab) > maxPieces {
		return errors.New("the vocabulary lacks an unknown piece, or is too large")
	}
	c := &p.config
	c.Tokenizer, c.Unknown, c.Start, c.End = "unigram", *f.Model.UnkID, -1, -1
	for i, v := range vocab {
		piece, ok := v[0].(string)
		score, number := v[1].(float64)
		if !ok || !number {
			return fmt.Errorf("piece %d cannot be read", i)
		}
		switch piece {
		case "<s>":
			c.Start = int32(i)
		case "</s>":
			c.End = int32(i)
		}
		if piece == "<s>" || piece == "</s>" || piece == "<pad>" || piece == "<mask>" || strings.ContainsRune(piece, 0) {
			piece = "" // no text may say it
		}
		p.pieces, p.scores = append(p.pieces, piece), append(p.scores, float32(score))
	}
	if c.Start < 0 || c.End < 0 {
		return errors.New("the vocabulary lacks <s> or </s>")
	}
	var err error
	p.swaps, err = charsMap(f.Normalizer.charsMap())
	return err
}

// charsMap finds the map of a normaliser, nil if there is none.
func (n *normalizer) charsMap() []byte {
	if n == nil {
		return nil
	}
	if n.Type == "Precompiled" {
		return n.Map
	}
	for i := range n.Parts {
		if m := n.Parts[i].charsMap(); m != nil {
			return m
		}
	}
	return nil
}

// charsMap makes the section map of SentencePiece's compiled one: a Darts double array, its length before it, of what is replaced,
// with offsets into the replacements behind it. Sequences of code points are left out: they are those that NFC has made one of.
func charsMap(compiled []byte) (out []byte, err error) {
	if len(compiled) == 0 {
		return nil, nil
	}
	if len(compiled) < 4 || uint64(binary.LittleEndian.Uint32(compiled)) > uint64(len(compiled)-4) {
		return nil, errors.New("its replaced characters cannot be read")
	}
	size := binary.LittleEndian.Uint32(compiled)
	units, text := compiled[4:4+size], compiled[4+size:]
	for r := rune(1); r <= 0x10FFFF; r++ {
		at, ok := darts(units, string(r))
		if !ok || 0xD800 <= r && r <= 0xDFFF || at >= uint32(len(text)) {
			continue
		}
		to, _, _ := strings.Cut(string(text[at:min(len(text), int(at)+1024)]), "\x00")
		if to == string(r) || len([]rune(to)) > 255 {
			continue
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(r))
		out = append(out, byte(len([]rune(to))))
		for _, c := range to {
			out = binary.LittleEndian.AppendUint32(out, uint32(c))
		}
	}
	return out, nil
}

// darts looks a key up in a Darts-clone double array.
func darts(units []byte, key string) (uint32, bool) {
	unit := func(i uint32) uint32 {
		if uint64(i)*4+4 > uint64(len(units)) {
			return 0
		}
		return binary.LittleEndian.Uint32(units[4*i:])
	}
	offset := func(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }
	at, u := uint32(0), unit(0)
	at ^= offset(u)
	for i := range len(key) {
		at ^= uint32(key[i])
		if u = unit(at); u&(1<<31|255) != uint32(key[i]) {
			return 0, false
		}
		at ^= offset(u)
	}
	return unit(at) & (1<<31 - 1), u>>8&1 == 1
}

// safetensors is a file of tensors, each read when asked for.
type safetensors struct {
	*os.File
	at     int64 // where the tensors begin
	size   int64 // of what follows
	header map[string]tensorHeader
}

type tensorHeader struct {
	Type    string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

func openSafetensors(path string) (*safetensors, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &safetensors{File: f, header: map[string]tensorHeader{}}
	if err := s.readHeader(); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func (s *safetensors) readHeader() error {
	info, err := s.Stat()
	if err != nil {
		return err
	}
	var length [8]byte
	if _, err := io.ReadFull(s, length[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxJSON || int64(n) > info.Size()-8 {
		return errors.New("its header is cut")
	}
	var raw map[string]json.RawMessage
	if err := json.NewDecoder(io.LimitReader(s, int64(n))).Decode(&raw); err != nil {
		return fmt.Errorf("its header: %w", err)
	}
	delete(raw, "__metadata__")
	for name, text := range raw {
		var h tensorHeader
		if err := json.Unmarshal(text, &h); err != nil {
			return fmt.Errorf("its header: %w", err)
		}
		for _, prefix := range []string{"bert.", "roberta.", "xlm-roberta.", "model.", "0.auto_model."} {
			name = strings.TrimPrefix(name, prefix)
		}
		s.header[name] = h
	}
	s.at, s.size = 8+int64(n), info.Size()-8-int64(n)
	return nil
}

// tensor reads a tensor of one or two dimensions as float32.
func (s *safetensors) tensor(name string) (matrix, error) {
	h, ok := s.header[name]
	if !ok {
		return matrix{}, fmt.Errorf("tensor %s is missing", name)
	}
	m := matrix{rows: 1, cols: 1}
	switch len(h.Shape) {
	case 1:
		m.cols = h.Shape[0]
	case 2:
		m.rows, m.cols = h.Shape[0], h.Shape[1]
	default:
		return m, fmt.Errorf("tensor %s has %d dimensions", name, len(h.Shape))
	}
	size := map[string]int64{"F32": 4, "F16": 2, "BF16": 2}[h.Type]
	length := h.Offsets[1] - h.Offsets[0]
	if size == 0 || m.rows < 1 || m.cols < 1 || m.rows > 1<<24 || m.cols > 1<<24 || length != int64(m.rows)*int64(m.cols)*size ||
		h.Offsets[0] < 0 || h.Offsets[1] > s.size {
		return m, fmt.Errorf("tensor %s cannot be read: %s of %v at %v", name, h.Type, h.Shape, h.Offsets)
	}
	b := make([]byte, length)
	if _, err := s.ReadAt(b, s.at+h.Offsets[0]); err != nil {
		return m, err
	}
	m.v = make([]float32, m.rows*m.cols)
	for i := range m.v {
		switch h.Type {
		case "F32":
			m.v[i] = floatAt(b, i)
		case "F16":
			m.v[i] = half(b[2*i:])
		default:
			m.v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
		}
		if v := float64(m.v[i]); math.IsNaN(v) || math.Abs(v) > 1e18 {
			return m, fmt.Errorf("tensor %s has a number that is none: %g", name, v)
		}
	}
	return m, nil
}
