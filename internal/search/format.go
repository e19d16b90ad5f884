package search

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"unsafe"

	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// The file of a snapshot, little-endian:
//
//	magic [8], change u64, list of the name's bytes, list of one segment count, segments, checksum u64
//	segment: its lists in the order of segment.lists
//	list:    count u64, elements, zeros up to a multiple of 8 bytes
//
// The magic names the version of both the layout and the way words are made: an index of another is of no use. The checksum is
// CRC-32C of all before it. Lists are aligned, so that a file read in one piece is used where it lies.
const (
	magic    = "ragidx01"
	headSize = 16
	tailSize = 8
)

// headFits says whether the first bytes of a file promise a snapshot of a change.
func headFits(head []byte, change uint64) bool {
	return string(head[:8]) == magic && binary.LittleEndian.Uint64(head[8:]) == change
}

// element is what a list can hold.
type element interface {
	~uint8 | ~int8 | ~uint32 | ~int64 | ~float32
}

// codec either writes or reads; lists are named once, for both.
type codec struct {
	out io.Writer // nil when reading
	sum uint32    // of what was written
	in  []byte    // what is left to read
	bad bool      // something could not be read
	err error     // of writing
}

// lists runs all lists of a segment through a codec.
func (s *segment) lists(c *codec) {
	list(c, &s.ids)
	list(c, &s.lengths)
	list(c, &s.families)
	for _, col := range []*column{&s.language, &s.version, &s.source} {
		list(c, &col.values.ends)
		list(c, &col.values.blob)
		list(c, &col.rows)
	}
	list(c, &s.terms.ends)
	list(c, &s.terms.blob)
	list(c, &s.slots)
	list(c, &s.starts)
	list(c, &s.postings)
	dim := []uint32{uint32(s.matrix.Dim)}
	list(c, &dim)
	if len(dim) == 1 {
		s.matrix.Dim = int(dim[0])
	} else {
		c.bad = true
	}
	list(c, &s.vecRows)
	list(c, &s.matrix.Scales)
	list(c, &s.matrix.Codes)
}

func list[T element](c *codec, values *[]T) {
	if c.out != nil {
		writeList(c, *values)
		return
	}
	*values = readList[T](c)
}

func encode(out io.Writer, db string, s *snapshot) error {
	c := &codec{out: out}
	c.write(binary.LittleEndian.AppendUint64([]byte(magic), s.change))
	writeList(c, []byte(db))
	writeList(c, []uint32{uint32(len(s.views))})
	for _, v := range s.views {
		v.seg.lists(c)
	}
	c.write(binary.LittleEndian.AppendUint64(nil, uint64(c.sum)))
	return c.err
}

// decode gives the snapshot in data, nil unless it is whole, of that knowledge base and that change. The snapshot uses the memory
// of data.
func decode(data []byte, db string, change uint64) *snapshot {
	if len(data) < headSize+tailSize || !headFits(data, change) {
		return nil
	}
	body, tail := data[:len(data)-tailSize], data[len(data)-tailSize:]
	if binary.LittleEndian.Uint64(tail) != uint64(crc32.Checksum(body, castagnoli)) {
		return nil
	}
	c := &codec{in: body[headSize:]}
	name, count := readList[byte](c), readList[uint32](c)
	if string(name) != db || len(count) != 1 {
		return nil
	}
	var views []*view
	for range count[0] {
		seg := new(segment)
		seg.lists(c)
		if c.bad || !seg.sound() {
			return nil
		}
		views = append(views, newView(seg, nil))
	}
	if len(c.in) != 0 || !sameDim(views) {
		return nil
	}
	return newSnapshot(change, views)
}

func sameDim(views []*view) bool {
	dim := 0
	for _, v := range views {
		if d := v.seg.matrix.Dim; d != 0 && dim != 0 && d != dim {
			return false
		}
		dim = max(dim, v.seg.matrix.Dim)
	}
	return true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c *codec) write(data []byte) {
	if c.err == nil {
		c.sum = crc32.Update(c.sum, castagnoli, data)
		_, c.err = c.out.Write(data)
	}
}

func writeList[T element](c *codec, values []T) {
	c.write(binary.LittleEndian.AppendUint64(nil, uint64(len(values))))
	size := len(values) * int(unsafe.Sizeof(*new(T)))
	if len(values) > 0 {
		if littleEndian() {
			c.write(unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), size))
		} else {
			var b bytes.Buffer
			_ = binary.Write(&b, binary.LittleEndian, values) // into memory, of a fixed size: it cannot fail
			c.write(b.Bytes())
		}
	}
	c.write(make([]byte, padding(size)))
}

// readList takes the next list. It is a view of the bytes read where the processor can use them as they lie, else a copy.
func readList[T element](c *codec) []T {
	size := int(unsafe.Sizeof(*new(T)))
	if c.bad || len(c.in) < 8 {
		c.bad = true
		return nil
	}
	n := binary.LittleEndian.Uint64(c.in)
	if n > uint64(len(c.in)-8)/uint64(size) {
		c.bad = true
		return nil
	}
	data := c.in[8 : 8+int(n)*size]
	rest := 8 + len(data) + padding(len(data))
	if rest > len(c.in) {
		c.bad = true
		return nil
	}
	c.in = c.in[rest:]
	if n == 0 {
		return nil
	}
	if first := unsafe.Pointer(&data[0]); littleEndian() && uintptr(first)%uintptr(size) == 0 {
		return unsafe.Slice((*T)(first), n)
	}
	values := make([]T, n)
	_ = binary.Read(bytes.NewReader(data), binary.LittleEndian, values) // of that very size: it cannot fail
	return values
}

func padding(size int) int { return -size & 7 }

func littleEndian() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}

// sound says whether nothing that follows from a segment's lists can lead out of them.
func (s *segment) sound() bool {
	rows, terms := s.rows(), s.terms.len()
	if rows == 0 || rows > maxRows || len(s.lengths) != rows || len(s.families) != rows || !ascending(s.ids) {
		return false
	}
	for _, f := range s.families {
		if f >= families {
			return false
		}
	}
	for _, c := range []*column{&s.language, &s.version, &s.source} {
		if len(c.rows) != rows || !c.values.sound() || !below(c.rows, c.values.len()) {
			return false
		}
	}
	return s.terms.sound() && s.soundSlots(terms) && s.soundPostings(rows, terms) && s.soundVectors(rows)
}

func (s *segment) soundSlots(terms int) bool {
	n := len(s.slots)
	if n < 2 || n&(n-1) != 0 || uint64(n) > math.MaxUint32 || !below(s.slots, terms+1) {
		return false
	}
	empty := 0
	for _, slot := range s.slots {
		if slot == 0 {
			empty++
		}
	}
	return empty > 0
}

func (s *segment) soundPostings(rows, terms int) bool {
	if len(s.starts) != terms+1 || s.starts[0] != 0 || int(s.starts[terms]) != len(s.postings) {
		return false
	}
	for i := range terms {
		start, end := s.starts[i], s.starts[i+1]
		if start > end || int(end) > len(s.postings) {
			return false
		}
		before := -1
		for _, p := range s.postings[start:end] {
			row := int(p >> 8)
			if row <= before || row >= rows || p&maxCount == 0 {
				return false
			}
			before = row
		}
	}
	return true
}

func (s *segment) soundVectors(rows int) bool {
	m := &s.matrix
	n := m.Rows()
	if m.Dim < 0 || m.Dim > vec.MaxDim || len(m.Codes) != n*vec.Stride(m.Dim) || (m.Dim == 0) != (n == 0) {
		return false
	}
	for _, scale := range m.Scales {
		if !(scale >= 0 && scale <= 1) {
			return false
		}
	}
	if len(s.vecRows) == 0 {
		return n == 0 || n == rows
	}
	return len(s.vecRows) == n && ascending(s.vecRows) && below(s.vecRows, rows)
}

func (t *table) sound() bool {
	before := uint32(0)
	for _, end := range t.ends {
		if end < before || uint64(end) > uint64(len(t.blob)) {
			return false
		}
		before = end
	}
	return true
}

func ascending[T int64 | uint32](values []T) bool {
	for i := 1; i < len(values); i++ {
		if values[i] <= values[i-1] {
			return false
		}
	}
	return true
}

func below(values []uint32, limit int) bool {
	for _, v := range values {
		if uint64(v) >= uint64(limit) {
			return false
		}
	}
	return true
}
