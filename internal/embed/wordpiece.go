package embed

import (
	"errors"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// wordPiece is BERT's tokenizer: words at white space, punctuation and ideographs by themselves, each word cut greedily into the
// longest pieces. Pieces that go on with a word begin with "##", which no word does.
type wordPiece struct {
	trie  trie
	cont  uint32 // the unit that "##" leads to
	conts bool   // there is such a unit
	unk   int32
	size  int32
	lower bool
}

// maxWord is the longest word, in characters, that is cut; a longer one is unknown.
const maxWord = 100

func newWordPiece(p *packed) (*wordPiece, error) {
	pieces, err := p.read("trie", p.sections["trie"].length)
	if err != nil {
		return nil, err
	}
	if len(pieces) == 0 {
		return nil, errors.New("the file is damaged: it has no vocabulary")
	}
	t := &wordPiece{trie: pieces, unk: p.config.Unknown, size: int32(p.config.Vocabulary), lower: p.config.Lower}
	t.cont, t.conts = t.trie.find("##")
	return t, nil
}

func (t *wordPiece) feed(c *cutting, chunk []byte) {
	for i := 0; i < len(chunk); {
		if b := chunk[i]; b < utf8.RuneSelf {
			t.add(c, rune(b))
			i++
			continue
		}
		r, n := utf8.DecodeRune(chunk[i:])
		switch {
		case r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co):
		case isIdeograph(r) || !t.lower:
			t.add(c, r)
		case 0xAC00 <= r && r <= 0xD7A3: // Hangul is decomposed by counting
			s := r - 0xAC00
			t.add(c, 0x1100+s/588)
			t.add(c, 0x1161+s%588/28)
			if s%28 > 0 {
				t.add(c, 0x11A7+s%28)
			}
		default:
			t.decompose(c, chunk[i:i+n], r)
		}
		i += n
	}
}

// decompose adds r and leaves its accents out.
func (t *wordPiece) decompose(c *cutting, b []byte, r rune) {
	parts := norm.NFD.Properties(b).Decomposition()
	if parts == nil {
		if !unicode.Is(unicode.Mn, r) {
			t.add(c, r)
		}
		return
	}
	for len(parts) > 0 {
		r, n := utf8.DecodeRune(parts)
		if !unicode.Is(unicode.Mn, r) {
			t.add(c, r)
		}
		parts = parts[n:]
	}
}

// add puts one character where it belongs.
func (t *wordPiece) add(c *cutting, r rune) {
	switch {
	case r == '\t' || r == '\n' || r == '\r' || unicode.IsSpace(r) && r != '\v' && r != '\f' && r != 0x85:
		t.flush(c)
	case r < ' ' || r == 127 || r == 0x85:
	case isPunctuation(r) || isIdeograph(r):
		t.flush(c)
		t.append(c, r)
		t.flush(c)
	default:
		if t.lower {
			r = unicode.ToLower(r)
		}
		t.append(c, r)
	}
}

func (t *wordPiece) append(c *cutting, r rune) {
	if c.runes++; c.runes <= maxWord {
		c.word = utf8.AppendRune(c.word, r)
	}
}

func (t *wordPiece) end(c *cutting) { t.flush(c) }

// flush cuts the word, if there is one.
func (t *wordPiece) flush(c *cutting) {
	if c.runes == 0 {
		return
	}
	n := len(c.ids)
	if c.runes > maxWord || !t.cut(c) {
		c.ids = append(c.ids[:n], t.unk)
	}
	c.word, c.runes = c.word[:0], 0
}

// cut appends the longest pieces one after the other, and says whether they cover the word.
func (t *wordPiece) cut(c *cutting) bool {
	w := c.word
	u, ok := t.trie.unit(0), true
	for len(w) > 0 {
		id, end := int32(-1), 0
		for i := 0; i < len(w); i++ {
			var found bool
			if u, found = t.trie.step(u, w[i]); !found {
				break
			}
			if v := t.trie.id(u); v >= 0 && v < t.size && (i+1 == len(w) || utf8.RuneStart(w[i+1])) {
				id, end = v, i+1
			}
		}
		if id < 0 || !ok {
			return false
		}
		c.ids = append(c.ids, id)
		w, u, ok = w[end:], t.cont, t.conts
	}
	return true
}

func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r > ' ' && r < 127 && !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z')
	}
	return unicode.Is(unicode.P, r)
}

// isIdeograph says whether r is in one of the blocks that BERT splits.
func isIdeograph(r rune) bool {
	return 0x4E00 <= r && r <= 0x9FFF || 0x3400 <= r && r <= 0x4DBF ||
		0x20000 <= r && r <= 0x2A6DF || 0x2A700 <= r && r <= 0x2B73F ||
		0x2B740 <= r && r <= 0x2B81F || 0x2B920 <= r && r <= 0x2CEAF ||
		0xF900 <= r && r <= 0xFAFF || 0x2F800 <= r && r <= 0x2FA1F
}
