package ingest

import (
	"context"
	"errors"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// reindex builds a knowledge base's vectors anew with the embedder that is set. The new ones are set aside until all are there,
// and then take the old ones' place in one transaction. Where the embedder fails, the job rests with what it has.
func (s *Service) reindex(ctx context.Context, j *job) error {
	if s.Next == nil {
		return errors.New("no embedder to change to")
	}
	embedder, id, err := s.Next(ctx)
	if err != nil {
		return s.resting(ctx, err)
	}
	if id.IsZero() {
		return rag.Errorf(rag.Unavailable, "no_embedder", "this program was built without an embedder: set EMBED_MODEL to one first")
	}
	all, err := s.Documents.CountPassages(ctx, j.DB)
	if err != nil {
		return err
	}
	p := newPace(j, float64(all))
	p.begin(float64(all), all)
	e := &embedding{service: s, base: j.DB, progress: func(n int) {
		j.update(func(job *rag.Job) {
			job.Report.Vectors += n
			job.Report.Pending = max(0, all-job.Report.Vectors)
		})
		p.embedded(n)
	}}
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
			return s.resting(ctx, err)
		}
		if err := s.Documents.SetAside(ctx, j.DB, batch, m.vectors, m.keys); err != nil {
			return err
		}
		id, after = m.id, batch[len(batch)-1].ID
	}
	err = s.change(ctx, j.DB, func() (rag.Update, error) { return s.Documents.TakeAside(ctx, j.DB, id) })
	if err != nil {
		return err
	}
	left, err := s.Documents.CountPending(ctx, j.DB)
	s.setPending(j.DB, left > 0)
	j.update(func(job *rag.Job) { job.Report.Embedder, job.Report.Pending = id.Name, left })
	return err
}

// resting turns an embedder's failure into a rest; a job that somebody stopped is no such failure.
func (s *Service) resting(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.Log.Warn("embedder does not answer; the job rests until it is resumed", "error", err)
	return errRest{rag.Errorf(rag.Unavailable, "", "The embedder did not answer, so this job rests until it is resumed: %s", sentence(err)).Because(err)}
}
