package rag

// Worth says what an embedder's vectors are worth in a language, 0 (no better than fragments of words) to 1, by ISO 639-1 code.
type Worth map[string]float64

// OtherLanguages is the entry of Worth for languages that have none of their own.
const OtherLanguages = "*"

// In is the worth in a language. Nothing measured, or a text whose language cannot be told, is worth 1.
func (w Worth) In(language string) float64 {
	if language == "" || language == "unknown" {
		return 1
	}
	if v, ok := w[language]; ok {
		return v
	}
	if v, ok := w[OtherLanguages]; ok {
		return v
	}
	return 1
}
