package extract

import (
	"context"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func (e *Extractor) html(ctx context.Context, data []byte) (rag.Extracted, error) {
	return e.plain(ctx, data)
}
func (e *Extractor) docx(context.Context, []byte) (rag.Extracted, error) {
	return rag.Extracted{}, unreadable("cannot be read yet")
}
