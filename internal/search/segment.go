package search

import (
	"math"
	"slices"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/vec"
)

const (
	// maxRows is how many passages a segment may hold: a posting has 24 bits for the row.
	maxRows = 1 << 24
	// maxCount is the highest count of a word in a passage that is told apart: a posting has 8 bits for it.
	maxCount = 255
)

// posting says that a term occurs in a row, and how often: row<<8 | count.
type posting = uint32

// segment is an immutable index of some passages, one a row, in ascending order of id. All of it is flat slices, so that it can be
// pointed at the bytes of a file.
type segment struct {
	ids      []int64
	lengths  []uint32 // words of each row
	families []uint8  // of each row
	language column
	version  column
	source   column

	terms    table
	slots    []uint32 // hash table, open addressing: number of a term + 1, or 0
	starts   []uint32 // where each term's postings start; one more than there are terms
	postings []posting

	matrix  vec.Matrix
	vecRows []uint32 // the row of each row of matrix; empty if every row has a vector
}

// column holds one string for each row.
type column struct {
	values table    // distinct, sorted
	rows   []uint32 // number of the value
}

// table is a list of strings in one piece of memory.
type table struct {
	ends []uint32 // where each string ends
	blob []byte
}

func (t *table) len() int { return len(t.ends) }

func (t *table) at(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = t.ends[i-1]
	}
	return t.blob[start:t.ends[i]]
}

func (t *table) add(s string) {
	t.blob = append(t.blob, s...)
	t.ends = append(t.ends, uint32(len(t.blob)))
}

// find gives the number of s in a sorted table.
func (t *table) find(s string) (int, bool) {
	low, high := 0, t.len()
	for low < high {
		if middle := (low + high) / 2; string(t.at(middle)) < s {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < t.len() && string(t.at(low)) == s
}

// of is the string of a row.
func (c *column) of(row int) string { return string(c.values.at(int(c.rows[row]))) }

// admit says for each value whether it is wanted, nil if no filter is set. An empty value fails every filter.
func (c *column) admit(wanted []string) []bool {
	if len(wanted) == 0 {
		return nil
	}
	admitted := make([]bool, c.values.len())
	for _, value := range wanted {
		if i, ok := c.values.find(value); ok && value != "" {
			admitted[i] = true
		}
	}
	return admitted
}

func (s *segment) rows() int { return len(s.ids) }

// find gives the row of a passage.
func (s *segment) find(id int64) (int, bool) { return slices.BinarySearch(s.ids, id) }

// lookup gives the postings of a term, in ascending order of rows.
func (s *segment) lookup(term string) []posting {
	mask := uint32(len(s.slots) - 1)
	for at := hash(term) & mask; ; at = (at + 1) & mask {
		n := s.slots[at]
		if n == 0 {
			return nil
		}
		if string(s.terms.at(int(n-1))) == term {
			return s.postings[s.starts[n-1]:s.starts[n]]
		}
	}
}

// hash is FNV-1a with the last step of MurmurHash3, which spreads it over the low bits.
func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// index fills the hash table: at least half of it stays empty, so every search ends.
func (s *segment) index() {
	size := 2
	for size < 2*s.terms.len() {
		size *= 2
	}
	s.slots = make([]uint32, size)
	for i := range s.terms.len() {
		at := hash(string(s.terms.at(i))) & uint32(size-1)
		for s.slots[at] != 0 {
			at = (at + 1) & uint32(size-1)
		}
		s.slots[at] = uint32(i + 1)
	}
}

// rowOf gives the row of a row of the matrix.
func (s *segment) rowOf(vecRow int) int {
	if len(s.vecRows) == 0 {
		return vecRow
	}
	return int(s.vecRows[vecRow])
}

func (s *segment) bytes() int64 {
	n := 9*len(s.ids) + len(s.terms.blob) + len(s.matrix.Codes)
	words := len(s.lengths) + len(s.terms.ends) + len(s.slots) + len(s.starts) + len(s.postings) + len(s.vecRows) + len(s.matrix.Scales)
	for _, c := range []*column{&s.language, &s.version, &s.source} {
		n += len(c.values.blob)
		words += len(c.values.ends) + len(c.rows)
	}
	return int64(n + 4*words)
}

// columnBuilder gathers a column.
type columnBuilder struct {
	known map[string]uint32
	order []string // values as they came
	rows  []uint32
}

func (b *columnBuilder) add(value string) {
	n, ok := b.known[value]
	if !ok {
		if b.known == nil {
			b.known = map[string]uint32{}
		}
		value = strings.Clone(value)
		n = uint32(len(b.order))
		b.known[value] = n
		b.order = append(b.order, value)
	}
	b.rows = append(b.rows, n)
}

func (b *columnBuilder) finish() column {
	c := column{rows: b.rows}
	sorted := slices.Sorted(slices.Values(b.order))
	place := make([]uint32, len(sorted))
	for i, value := range sorted {
		c.values.add(value)
		place[b.known[value]] = uint32(i)
	}
	for row, n := range c.rows {
		c.rows[row] = place[n]
	}
	return c
}

// fits says whether lengths that are counted in 32 bits still are.
func fits(n int) bool { return uint64(n) < math.MaxUint32 }
