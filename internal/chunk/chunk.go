package chunk

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/text"
)

// Cutter cuts texts.
type Cutter struct{ size, overlap int }

// New makes a Cutter.
func New(size, overlap int) *Cutter { return &Cutter{size, overlap} }

// Recipe names the way of cutting.
func (c *Cutter) Recipe() string { return fmt.Sprintf("plain-0 size=%d overlap=%d", c.size, c.overlap) }

// Cut cuts x.
func (c *Cutter) Cut(x rag.Extracted) []rag.Passage {
	var passages []rag.Passage
	for start := 0; start < len(x.Text); {
		end := start
		for n := 0; n < c.size && end < len(x.Text); n++ {
			_, w := utf8.DecodeRuneInString(x.Text[end:])
			end += w
		}
		if end < len(x.Text) {
			if i := strings.LastIndexAny(x.Text[start:end], " \n"); i > 0 {
				end = start + i
			}
		}
		piece := x.Text[start:end]
		if t := strings.TrimSpace(piece); t != "" {
			at := start + strings.Index(piece, t)
			sum := sha256.Sum256([]byte(t))
			passages = append(passages, rag.Passage{Chunk: len(passages), Span: rag.Span{Start: at, End: at + len(t)}, Text: t, Language: text.Language(t), Hash: hex.EncodeToString(sum[:])})
		}
		start = end
	}
	return passages
}
