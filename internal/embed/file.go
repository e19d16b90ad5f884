package embed

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"unsafe"
)

// A packed model is one file, little endian:
//
//	magic     [8]byte "ORAGMODL"
//	version   uint32
//	sections  uint32
//	size      uint64, of the whole file
//	digest    [32]byte, SHA-256 of the whole file with these bytes as 0
//	          8 bytes of 0
//	table     sections × { name [16]byte, offset, length uint64 }
//	content   each section at an offset that is a multiple of 64
//
// Sections (H the model's width, N outputs and K inputs of a linear layer):
//
//	config    JSON, see config
//	trie      uint32 units of the pieces, see trie
//	scores    float32 a piece (unigram)
//	map       what to replace before cutting (unigram), see newUnigram
//	words     a row a piece: float32 scale, int8 scales of 32 numbers each, H/2 bytes of two 4-bit numbers, offset by 8
//	positions a row a position: float32 scale, H int8 numbers; token type 0 is added in
//	norm      float32 [2][H] gains and biases
//	L.qkv.q   layer L's weights: int8 [N][K], or two 4-bit numbers a byte, offset by 8; also L.att, L.up, L.down
//	L.qkv.g   with 4 bits only: int8 [N][K/32], the scales of 32 numbers each
//	L.qkv.s   float32 [4][N]: scale, bias, minus the sum of the int8 weights, and with 4 bits what (number·scale of its 32) is
//	          multiplied by to be int8
//	L.norm1 L.norm2  float32 [2][H]
const (
	magic       = "ORAGMODL"
	fileVersion = 1
	headSize    = 64
	entrySize   = 32
	digestAt    = 24
	align       = 64
	maxSections = 4096
	maxConfig   = 1 << 16
	group       = 32 // numbers that share a scale
)

// config is what a packed model says of itself.
type config struct {
	Name         string  `json:"name"`
	Layers       int     `json:"layers"`
	Heads        int     `json:"heads"`
	Width        int     `json:"width"`
	Inner        int     `json:"inner"`  // width of the feed-forward part
	Tokens       int     `json:"tokens"` // most tokens of a window, both ends included
	Vocabulary   int     `json:"vocabulary"`
	Epsilon      float32 `json:"epsilon"`
	Pooling      string  `json:"pooling"`   // mean or cls
	Tokenizer    string  `json:"tokenizer"` // unigram or wordpiece
	Start        int32   `json:"start"`     // ids of the pieces that begin and end a window, and of what is in no piece
	End          int32   `json:"end"`
	Unknown      int32   `json:"unknown"`
	UnknownScore float32 `json:"unknown_score,omitempty"` // unigram
	LongestPiece int     `json:"longest_piece"`           // bytes
	Lower        bool    `json:"lower,omitempty"`         // wordpiece: lower-case, and leave accents out
	Question     string  `json:"question,omitempty"`      // what goes before a question
	Passage      string  `json:"passage,omitempty"`
}

func (c *config) check() error {
	between := func(what string, v, lo, hi, multiple int) error {
		if v < lo || v > hi || v%multiple != 0 {
			return fmt.Errorf("its %s is %d; %d to %d in steps of %d can be run", what, v, lo, hi, multiple)
		}
		return nil
	}
	err := errors.Join(
		between("number of layers", c.Layers, 1, 96, 1),
		between("width", c.Width, 64, 4096, 64),
		between("inner width", c.Inner, 64, 16384, 64),
		between("window of tokens", c.Tokens, 8, 4096, 1),
		between("vocabulary", c.Vocabulary, 1, 1<<22-1, 1),
		between("longest piece", c.LongestPiece, 1, 1<<12, 1),
		between("number of heads", c.Heads, 1, 256, 1))
	if err != nil {
		return err
	}
	v := int32(c.Vocabulary)
	switch {
	case c.Width%c.Heads != 0 || c.Width/c.Heads%32 != 0:
		return fmt.Errorf("its %d heads over a width of %d cannot be run: heads of 32, 64, ... can", c.Heads, c.Width)
	case c.Pooling != "mean" && c.Pooling != "cls":
		return fmt.Errorf("its pooling is %q: mean and cls are known", c.Pooling)
	case c.Tokenizer != "unigram" && c.Tokenizer != "wordpiece":
		return fmt.Errorf("its tokenizer is %q: unigram and wordpiece are known", c.Tokenizer)
	case min(c.Start, c.End, c.Unknown) < 0 || max(c.Start, c.End, c.Unknown) >= v:
		return errors.New("its special pieces are not in its vocabulary")
	case len(c.Question) > 256 || len(c.Passage) > 256 || len(c.Name) > 256:
		return errors.New("its name or prefixes are too long")
	case math.IsNaN(float64(c.Epsilon)) || c.Epsilon < 0:
		return errors.New("its epsilon is no small number")
	}
	return nil
}

// rowSize is the length of a row of section words.
func (c *config) rowSize() int { return 4 + c.Width/group + c.Width/2 }

// source holds the bytes of a packed model.
type source interface {
	io.ReaderAt
	// inPlace gives n bytes at off without a copy, nil where they have to be read.
	inPlace(off, n int64) []byte
	size() int64
	Close() error
}

// memory is a source of parts that follow each other.
type memory [][]byte

// stringBytes views a string as bytes, which must not be written to.
func stringBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func (m memory) size() (n int64) {
	for _, p := range m {
		n += int64(len(p))
	}
	return n
}

func (m memory) inPlace(off, n int64) []byte {
	for _, p := range m {
		if off < int64(len(p)) {
			if n > int64(len(p))-off {
				return nil
			}
			return p[off : off+n : off+n]
		}
		off -= int64(len(p))
	}
	return nil
}

func (m memory) ReadAt(b []byte, off int64) (n int, err error) {
	for _, p := range m {
		if off < int64(len(p)) {
			n += copy(b[n:], p[off:])
			off = int64(len(p))
		}
		off -= int64(len(p))
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (memory) Close() error { return nil }

// disk is a source that stays on disk.
type disk struct {
	*os.File
	length int64
}

func openDisk(path string) (source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return disk{f, info.Size()}, nil
}

func (d disk) size() int64               { return d.length }
func (d disk) inPlace(_, _ int64) []byte { return nil }

// section is where a section lies.
type section struct{ off, length int64 }

// packed is a packed model that has been looked into, but not yet read.
type packed struct {
	source
	digest   string // hex, as the file says
	config   config
	sections map[string]section
}

// look reads a packed model's table and configuration. Nothing else is read, so the digest is not checked: see verify.
func look(s source) (*packed, error) {
	head := make([]byte, headSize)
	if n, err := s.ReadAt(head, 0); n < headSize {
		if n < len(magic) || string(head[:len(magic)]) != magic {
			return nil, errForeign
		}
		return nil, fmt.Errorf("the file is cut: it has %d bytes: %w", n, err)
	}
	if string(head[:len(magic)]) != magic {
		return nil, errForeign
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != fileVersion {
		return nil, fmt.Errorf("the file is of version %d and this program reads version %d: pack the model again", v, fileVersion)
	}
	count, size := binary.LittleEndian.Uint32(head[12:]), binary.LittleEndian.Uint64(head[16:])
	if size != uint64(s.size()) {
		return nil, fmt.Errorf("the file is cut or has grown: it has %d bytes, and says it has %d", s.size(), size)
	}
	if count > maxSections || headSize+int64(count)*entrySize > s.size() {
		return nil, fmt.Errorf("the file is damaged: it says it has %d sections", count)
	}
	p := &packed{source: s, digest: hex.EncodeToString(head[digestAt : digestAt+sha256.Size]), sections: make(map[string]section, count)}
	table := make([]byte, count*entrySize)
	if _, err := s.ReadAt(table, headSize); err != nil {
		return nil, err
	}
	for ; len(table) > 0; table = table[entrySize:] {
		name := string(bytes.TrimRight(table[:16], "\x00"))
		off, n := binary.LittleEndian.Uint64(table[16:]), binary.LittleEndian.Uint64(table[24:])
		if off > size || n > size-off {
			return nil, fmt.Errorf("the file is damaged: section %q lies outside of it", name)
		}
		p.sections[name] = section{int64(off), int64(n)}
	}
	return p, p.readConfig()
}

var errForeign = errors.New("it is not a packed model of ollama-rag")

func (p *packed) readConfig() error {
	s, ok := p.sections["config"]
	if !ok || s.length > maxConfig {
		return errors.New("the file is damaged: it has no configuration")
	}
	text, err := p.read("config", s.length)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &p.config); err != nil {
		return fmt.Errorf("the file is damaged: its configuration cannot be read: %w", err)
	}
	if err := p.config.check(); err != nil {
		return fmt.Errorf("the model cannot be run: %w", err)
	}
	return nil
}

// read gives a section that has to have length bytes, in place where it can.
func (p *packed) read(name string, length int64) ([]byte, error) {
	s, ok := p.sections[name]
	if !ok {
		return nil, fmt.Errorf("the file is damaged: section %q is missing", name)
	}
	if s.length != length {
		return nil, fmt.Errorf("the file is damaged: section %q has %d bytes and should have %d", name, s.length, length)
	}
	if b := p.inPlace(s.off, s.length); b != nil || length == 0 {
		return b, nil
	}
	b := make([]byte, length)
	if _, err := p.ReadAt(b, s.off); err != nil {
		return nil, fmt.Errorf("section %q: %w", name, err)
	}
	return b, nil
}

// floats reads n float32 of a section.
func (p *packed) floats(name string, n int) ([]float32, error) {
	b, err := p.read(name, 4*int64(n))
	if err != nil {
		return nil, err
	}
	f := make([]float32, n)
	for i := range f {
		f[i] = floatAt(b, i)
	}
	return f, nil
}

// floatAt is the i-th float32 of b.
func floatAt(b []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
}

// verify reads the whole file and compares its digest.
func (p *packed) verify() error {
	h := sha256.New()
	r := io.NewSectionReader(p.source, 0, p.size())
	if _, err := io.CopyN(h, r, digestAt); err != nil {
		return err
	}
	h.Write(make([]byte, sha256.Size))
	if _, err := r.Seek(sha256.Size, io.SeekCurrent); err != nil {
		return err
	}
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != p.digest {
		return fmt.Errorf("the file is damaged: its SHA-256 is %s and should be %s", short(got), short(p.digest))
	}
	return nil
}

func short(digest string) string { return digest[:min(len(digest), 12)] }

// table is rows of equal length, read one by one where they lie.
type table struct {
	source
	off  int64
	row  int
	rows int
}

func (p *packed) table(name string, rows, row int) (table, error) {
	s, ok := p.sections[name]
	if !ok || s.length != int64(rows)*int64(row) {
		return table{}, fmt.Errorf("the file is damaged: section %q does not have %d rows of %d bytes", name, rows, row)
	}
	return table{p.source, s.off, row, rows}, nil
}

// at gives row i, in place or read into buf, which has room for it.
func (t table) at(i int, buf []byte) ([]byte, error) {
	off := t.off + int64(i)*int64(t.row)
	if b := t.inPlace(off, int64(t.row)); b != nil {
		return b, nil
	}
	_, err := t.ReadAt(buf[:t.row], off)
	return buf[:t.row], err
}

// part is a section to be written.
type part struct {
	name string
	data []byte
}

// pack lays sections out as a packed model.
func pack(c config, parts []part) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return nil, err
	}
	parts = append([]part{{"config", append(text, '\n')}}, parts...)
	up := func(n int) int { return (n + align - 1) / align * align }
	off := up(headSize + len(parts)*entrySize)
	size := off
	for _, p := range parts {
		size += up(len(p.data))
	}
	out := make([]byte, size)
	copy(out, magic)
	binary.LittleEndian.PutUint32(out[8:], fileVersion)
	binary.LittleEndian.PutUint32(out[12:], uint32(len(parts)))
	binary.LittleEndian.PutUint64(out[16:], uint64(size))
	for i, p := range parts {
		e := out[headSize+i*entrySize:][:entrySize]
		if len(p.name) > 16 || strings.ContainsRune(p.name, 0) {
			return nil, fmt.Errorf("section name %q is too long", p.name)
		}
		copy(e, p.name)
		binary.LittleEndian.PutUint64(e[16:], uint64(off))
		binary.LittleEndian.PutUint64(e[24:], uint64(len(p.data)))
		copy(out[off:], p.data)
		off += up(len(p.data))
	}
	sum := sha256.Sum256(out)
	copy(out[digestAt:], sum[:])
	return out, nil
}
