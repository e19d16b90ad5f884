package embed

import (
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// tokenizer turns text into ids, chunk by chunk. It is safe for concurrent use; the state between chunks is in a cutting.
type tokenizer interface {
	// feed appends the ids of what is settled by chunk, which is in NFC and ends with a whole character.
	feed(c *cutting, chunk []byte)
	// end appends the ids of the rest.
	end(c *cutting)
}

// cutting is a text on its way through a tokenizer.
type cutting struct {
	ids   []int32
	word  []byte // begun and not yet cut
	best  []node // unigram: the best ways through word
	sum   float32
	begun bool // unigram: something has been fed
	space bool // unigram: the last character was white space
	runes int  // wordpiece: length of word, of which word itself keeps the beginning
}

func (c *cutting) reset() {
	c.ids, c.word, c.sum, c.begun, c.space, c.runes = c.ids[:0], c.word[:0], 0, false, false, 0
}

// chunkSize is how many bytes of a text are looked at together.
const chunkSize = 4 << 10

// chunks gives a text in NFC, piece by piece, so that a long one is never copied as a whole.
type chunks struct {
	rest   string // in NFC already
	iter   norm.Iter
	turned bool // iter has the text
	buf    []byte
}

func (c *chunks) start(text string) {
	// QuickSpanString may stop before what is in NFC after all; IsNormalString allocates.
	c.rest, c.turned = text, norm.NFC.QuickSpanString(text) < len(text)
	if c.turned {
		c.rest = ""
		c.iter.InitString(norm.NFC, text)
	}
}

// next gives the next chunk, empty at the end. It is valid until the next call.
func (c *chunks) next() []byte {
	c.buf = c.buf[:0]
	if c.turned {
		for len(c.buf) < chunkSize && !c.iter.Done() {
			c.buf = append(c.buf, c.iter.Next()...)
		}
		return c.buf
	}
	n := min(len(c.rest), chunkSize)
	for back := 0; n < len(c.rest) && back < utf8.UTFMax && !utf8.RuneStart(c.rest[n]); back++ {
		n--
	}
	c.buf = append(c.buf, c.rest[:n]...)
	c.rest = c.rest[n:]
	return c.buf
}
