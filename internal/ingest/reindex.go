package ingest

import (
	"context"
	"errors"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// reindex builds a knowledge base's vectors anew with the embedder that is set. The new ones are set aside until all are there:
// questions are answered with the old ones meanwhile, then by words for as long as storing takes.
func (s *Service) reindex(ctx context.Context, j *job) (err error) {
	if s.Next == nil {
		return errors.New("no embedder to change to")
	}
	embedder, id, err := s.Next(ctx)
	if err != nil {
		return err
	}
	if id.IsZero() {
		return rag.Errorf(rag.Unavailable, "no_embedder", "this program was built without an embedder: set EMBED_MODEL to one first")
	}
	left, err := s.Documents.CountPassages(ctx, j.DB)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && !errors.Is(context.Cause(ctx), errPaused) {
			err = errors.Join(err, s.Documents.DropAside(context.WithoutCancel(ctx), j.DB))
		}
	}()
	p := newPace(j, float64(left))
	p.begin(float64(left), left)
	e := &embedding{service: s, base: j.DB, name: id.Name, progress: p.embedded}
	for after := int64(0); ; {
		batch, err := s.Documents.AllPassages(ctx, j.DB, after, s.Config.StoreBatch)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			break
		}
		texts := make([]string, len(batch))
		for i, p := range batch {
			texts[i] = EmbedText(p.Title, p)
		}
		m, err := e.embed(ctx, embedder, id, texts)
		if err != nil {
			return err
		}
		if err := s.Documents.SetAside(ctx, j.DB, m.keys, m.vectors); err != nil {
			return err
		}
		after = batch[len(batch)-1].ID
	}
	// From here on only what is there is moved: nothing may stop half-way.
	whole := context.WithoutCancel(ctx)
	if err := s.change(whole, j.DB, func() (rag.Update, error) { return s.Documents.ResetVectors(whole, j.DB) }); err != nil {
		return err
	}
	return s.makeUp(whole, j, &embedding{service: s, base: j.DB})
}
