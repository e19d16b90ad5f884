package chunk

import (
	"strings"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func TestTimeGrowsWithTheTextAlone(t *testing.T) {
	for _, unit := range []string{"\n", " ", "\r\n", "a", ". ", "a.", "A. ", "...", "1. ", "|", "| ", "``` ", "```\n", "~~~\n", "# ", "- ", "\u3000", "。", "」", ".\"", "a\u0301", "\u0301", "\u200D", "x:\n", " | \n", "a ", "ab\n", "(", ".\n", ".\r", ".\t"} {
		for _, size := range []int{1, 800} {
			s := strings.Repeat(unit, 50_000/len(unit))
			took, n := time.Hour, 0
			for range 5 { // the machine may be busy with something else for a while
				start := time.Now()
				n = len(New(size, size/4).Cut(rag.Extracted{Text: s}))
				if took = min(took, time.Since(start)); took <= 2*time.Second {
					break
				}
			}
			if took > 2*time.Second {
				t.Errorf("%q at size %d: %s for %d passages", unit, size, took, n)
			}
		}
	}
}
