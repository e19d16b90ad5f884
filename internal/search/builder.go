package search

import (
	"slices"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/text"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// builder makes a segment of passages, added in ascending order of id.
type builder struct {
	seg     segment
	columns struct{ language, version, source columnBuilder }
	numbers map[string]uint32 // of terms
	known   [families]map[string]wordTerms

	// The postings as they come: the number of the term, and the posting.
	owners   []uint32
	postings []posting

	counts  []uint32 // of each term in the passage at hand
	touched []uint32 // the terms whose count is not 0
	words   []string
}

// wordTerms are the numbers of a word's terms, none where it has no such term.
type wordTerms struct{ exact, folded uint32 }

const none = 1<<32 - 1

// newBuilder makes a builder for vectors of dimension dim; 0 takes the dimension of the first.
func newBuilder(dim int) *builder {
	b := &builder{numbers: map[string]uint32{}}
	for f := range b.known {
		b.known[f] = map[string]wordTerms{}
	}
	b.seg.matrix.Dim = dim
	return b
}

func (b *builder) rows() int { return b.seg.rows() }

// full says whether the next passage must go into another segment.
func (b *builder) full() bool { return b.rows() >= maxRows || !fits(len(b.postings)+1<<20) }

// add indexes a passage as the next row. A vector of another dimension than the rest is left out: its passage is found by words.
func (b *builder) add(e *Entry) {
	p := &e.Passage
	f, length := familyOf(p), uint32(0)
	eachField(p, func(field string) {
		b.words = text.AppendWords(b.words[:0], field)
		for _, word := range b.words {
			terms, ok := b.known[f][word]
			if !ok {
				terms = b.learn(f, strings.Clone(word))
			}
			if terms.exact == none {
				continue
			}
			length++
			b.count(terms.exact)
			if terms.folded != none {
				b.count(terms.folded)
			}
		}
	})
	row := uint32(b.rows())
	for _, term := range b.touched {
		b.addPosting(term, row, min(b.counts[term], maxCount))
		b.counts[term] = 0
	}
	b.touched = b.touched[:0]
	b.addRow(p.ID, length, f, p.Language, p.Version, p.Source)
	b.addVector(row, e.Vector)
}

// learn gives a word that is new its terms.
func (b *builder) learn(f family, word string) wordTerms {
	terms := wordTerms{exact: none, folded: none}
	if exact := f.exact(word); exact != "" {
		terms.exact = b.number(exact)
		if bare := text.Unaccent(word); bare != word {
			if folded := f.folded(bare); folded != "" {
				terms.folded = b.number(folded)
			}
		}
	}
	b.known[f][word] = terms
	return terms
}

// number gives a term its number.
func (b *builder) number(term string) uint32 {
	n, ok := b.numbers[term]
	if !ok {
		n = uint32(b.seg.terms.len())
		b.numbers[term] = n
		b.seg.terms.add(term)
		b.counts = append(b.counts, 0)
	}
	return n
}

func (b *builder) count(term uint32) {
	if b.counts[term] == 0 {
		b.touched = append(b.touched, term)
	}
	b.counts[term]++
}

func (b *builder) addPosting(term, row, count uint32) {
	b.owners = append(b.owners, term)
	b.postings = append(b.postings, row<<8|count)
}

func (b *builder) addRow(id int64, length uint32, f family, language, version, source string) {
	b.seg.ids = append(b.seg.ids, id)
	b.seg.lengths = append(b.seg.lengths, length)
	b.seg.families = append(b.seg.families, uint8(f))
	b.columns.language.add(language)
	b.columns.version.add(version)
	b.columns.source.add(source)
}

func (b *builder) addVector(row uint32, v []float32) {
	m := &b.seg.matrix
	if m.Dim == 0 && len(v) <= vec.MaxDim {
		m.Dim = len(v)
	}
	if len(v) != 0 && len(v) == m.Dim && m.Append(v) {
		b.seg.vecRows = append(b.seg.vecRows, row)
	}
}

// finish gives the segment. The builder is spent.
func (b *builder) finish() *segment {
	s := &b.seg
	s.language, s.version, s.source = b.columns.language.finish(), b.columns.version.finish(), b.columns.source.finish()
	if len(s.vecRows) == s.rows() {
		s.vecRows = nil
	}
	if s.matrix.Rows() == 0 {
		s.matrix.Dim = 0
	}
	b.sortPostings()
	s.index()
	return s
}

// sortPostings brings the postings of each term together, in the order in which they came, which mostly is that of the rows.
func (b *builder) sortPostings() {
	s := &b.seg
	s.starts = make([]uint32, s.terms.len()+1)
	for _, term := range b.owners {
		s.starts[term+1]++
	}
	for i := 1; i < len(s.starts); i++ {
		s.starts[i] += s.starts[i-1]
	}
	next := slices.Clone(s.starts)
	s.postings = make([]posting, len(b.postings))
	for i, term := range b.owners {
		s.postings[next[term]] = b.postings[i]
		next[term]++
	}
	for i := range s.terms.len() {
		if list := s.postings[s.starts[i]:s.starts[i+1]]; !slices.IsSorted(list) {
			slices.Sort(list)
		}
	}
}
