package extract

import (
	"context"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func (e *Extractor) plain(_ context.Context, data []byte) (rag.Extracted, error) {
	d, ok := decode(data)
	if !ok {
		return rag.Extracted{}, errBinary()
	}
	return rag.Extracted{Text: tidy(d.text), Encoding: d.encoding, Warnings: d.warnings}, nil
}

func errBinary() *rag.Error {
	return unreadable("holds binary data and no text: give it the name of what it is")
}
