package cache

import "github.com/ollama-rag/ollama-rag/internal/text"

// sameLanguage wants both questions in one language: an answer is in that of its question. Short questions in plain letters often
// do not show theirs: one passes beside any but Vietnamese, which always does.
func sameLanguage(a, b *question) bool {
	x, y := text.Language(a.text), text.Language(b.text)
	if x == y {
		return true
	}
	if x == text.Unknown || y == text.Unknown {
		return x != "vi" && y != "vi"
	}
	return false
}
