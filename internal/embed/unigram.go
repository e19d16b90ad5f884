package embed

import (
	"encoding/binary"
	"errors"
	"slices"
	"unicode/utf8"
)

// unigram is SentencePiece's unigram tokenizer: the text's code points go through a replacement map, white space becomes U+2581
// ("▁", one for a run), and each word is cut into the pieces with the largest sum of scores.
type unigram struct {
	trie     trie
	scores   []byte // float32 a piece
	unk      int32
	unkScore float32
	longest  int // bytes of the longest piece
	replace  replacements
}

const metaspace = "\u2581"

func newUnigram(p *packed) (*unigram, error) {
	c := &p.config
	pieces, err := p.read("trie", p.sections["trie"].length)
	if err != nil {
		return nil, err
	}
	scores, err := p.read("scores", 4*int64(c.Vocabulary))
	if err != nil {
		return nil, err
	}
	list, err := p.read("map", p.sections["map"].length)
	if err != nil {
		return nil, err
	}
	t := &unigram{trie: pieces, scores: scores, unk: c.Unknown, unkScore: c.UnknownScore, longest: c.LongestPiece}
	return t, t.replace.fill(list)
}

// replacements is what single code points become before cutting.
type replacements struct {
	from  []rune
	off   []int32   // len(from)+1 offsets into to
	to    []byte    // UTF-8
	page  []uint16  // the first index into from at or above 256·i
	ascii [128]byte // what an ASCII byte becomes: 0 nothing, 1 more than a byte
}

// fill reads records of a code point (uint32), a count (a byte) and as many code points, in ascending order.
func (m *replacements) fill(list []byte) error {
	for i := range m.ascii {
		m.ascii[i] = byte(i)
	}
	for len(list) > 0 {
		if len(list) < 5 || len(list) < 5+4*int(list[4]) || len(m.from) == 1<<16-1 {
			return errReplacements
		}
		from, k := rune(binary.LittleEndian.Uint32(list)), int(list[4])
		if from < 0 || from > utf8.MaxRune || len(m.from) > 0 && from <= m.from[len(m.from)-1] {
			return errReplacements
		}
		at := len(m.to)
		m.from, m.off = append(m.from, from), append(m.off, int32(at))
		for i := range k {
			m.to = utf8.AppendRune(m.to, rune(binary.LittleEndian.Uint32(list[5+4*i:])))
		}
		if from < utf8.RuneSelf {
			m.ascii[from] = asciiCode(m.to[at:])
		}
		list = list[5+4*k:]
	}
	m.off = append(m.off, int32(len(m.to)))
	m.page = make([]uint16, utf8.MaxRune>>8+2)
	for i := range m.page {
		k, _ := slices.BinarySearch(m.from, rune(i<<8))
		m.page[i] = uint16(k)
	}
	return nil
}

var errReplacements = errors.New("the file is damaged: its table of replaced characters cannot be read")

func asciiCode(to []byte) byte {
	switch {
	case len(to) == 0:
		return 0
	case len(to) == 1 && to[0] > 1:
		return to[0]
	}
	return 1
}

// lookup gives what r becomes, and whether it is in the map.
func (m *replacements) lookup(r rune) ([]byte, bool) {
	lo, hi := int(m.page[r>>8]), int(m.page[r>>8+1])
	i, ok := slices.BinarySearch(m.from[lo:hi], r)
	if !ok {
		return nil, false
	}
	return m.to[m.off[lo+i]:m.off[lo+i+1]], true
}

func (t *unigram) feed(c *cutting, chunk []byte) {
	c.begin()
	for i := 0; i < len(chunk); {
		if len(c.word) >= longWord {
			t.shorten(c)
		}
		if b := chunk[i]; b < utf8.RuneSelf && b != 0 {
			if to := t.replace.ascii[b]; to > 1 {
				t.put(c, to)
				i++
				continue
			} else if to == 0 {
				i++
				continue
			}
		}
		r, n := utf8.DecodeRune(chunk[i:])
		if to, ok := t.replace.lookup(r); ok {
			for _, b := range to {
				t.put(c, b)
			}
		} else {
			c.word, c.space = utf8.AppendRune(c.word, r), false
		}
		i += n
	}
}

func (t *unigram) end(c *cutting) {
	c.begin()
	t.cut(c)
	c.word = c.word[:0]
}

// begin puts the space before a text's first word.
func (c *cutting) begin() {
	if !c.begun {
		c.word, c.space, c.begun = append(c.word, metaspace...), true, true
	}
}

// put appends a byte to the word; a space cuts it and begins the next.
func (t *unigram) put(c *cutting, b byte) {
	if b != ' ' {
		c.word, c.space = append(c.word, b), false
		return
	}
	if !c.space {
		t.cut(c)
		c.word, c.space = append(c.word[:0], metaspace...), true
	}
}

// node is the best way to reach a byte of a word.
type node struct {
	score float32
	id    int32
	from  int32
}

const unreached = -1e30

// search fills best with the best ways through the word. Scores go on from sum, as if the text were not cut word by word.
func (t *unigram) search(c *cutting) []node {
	w := c.word
	for len(c.best) <= len(w) {
		c.best = append(c.best, node{})
	}
	best := c.best[:len(w)+1]
	for i := range best {
		best[i].score = unreached
	}
	best[0].score = c.sum
	pieces := uint32(len(t.scores) / 4)
	root := t.trie.unit(0)
	for i := 0; i < len(w); {
		b := best[i].score
		next := i + 1
		for next < len(w) && w[next]&0xC0 == 0x80 {
			next++
		}
		if b > unreached {
			u := root
			for j := i; j < len(w); {
				next, ok := t.trie.step(u, w[j])
				if !ok {
					break
				}
				u = next
				j++
				id := t.trie.id(u)
				if uint32(id) >= pieces || id == t.unk {
					continue
				}
				if v := b + floatAt(t.scores, int(id)); v > best[j].score {
					best[j] = node{v, id, int32(i)}
				}
			}
			if v := b + t.unkScore; v > best[next].score {
				best[next] = node{v, t.unk, int32(i)}
			}
		}
		i = next
	}
	return best
}

// cut appends the best pieces of the whole word.
func (t *unigram) cut(c *cutting) {
	best := t.search(c)
	c.sum = best[len(c.word)].score
	c.take(best, len(c.word))
}

// take appends the pieces on the best way to byte end.
func (c *cutting) take(best []node, end int) {
	n := len(c.ids)
	for i := int32(end); i > 0 && best[i].score > unreached; i = best[i].from {
		c.ids = append(c.ids, best[i].id)
	}
	slices.Reverse(c.ids[n:])
	// Past some ten thousand pieces a float32 no longer holds the sum as closely as the scores.
	if c.sum < -1<<17 {
		c.sum = 0
	}
}

const (
	longWord   = 2 << 10  // bytes from which a word is looked at before it ends
	longestCut = 64 << 10 // bytes at which it is cut, come what may
)

// shorten appends the pieces of a long word's beginning that no end can change: those before the last byte that all best ways
// to the last bytes share. What can follow begins within the longest piece from the end.
func (t *unigram) shorten(c *cutting) {
	if len(c.word)%longWord >= utf8.UTFMax {
		return // not at every character
	}
	best := t.search(c)
	end := len(c.word)
	marked := 0
	const mark = 1 << 30
	set := func(i int32) {
		if best[i].from&mark == 0 {
			best[i].from |= mark
			marked++
		}
	}
	for i := max(1, end-t.longest); i <= end; i++ {
		if best[i].score > unreached {
			set(int32(i))
		}
	}
	shared := 0
	for i := end; i > 0; i-- {
		if best[i].from&mark == 0 {
			continue
		}
		best[i].from &^= mark
		if marked == 1 {
			shared = i
			break
		}
		marked--
		if from := best[i].from; from > 0 {
			set(from)
		} else {
			break // some way goes straight to the beginning
		}
	}
	for i := range best {
		best[i].from &^= mark
	}
	if shared == 0 && end < longestCut {
		return
	}
	if shared == 0 {
		shared = end
	}
	c.sum = best[shared].score
	c.take(best, shared)
	c.word = append(c.word[:0], c.word[shared:]...)
}
