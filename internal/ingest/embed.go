package ingest

import (
	"context"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// embedding makes vectors for one job. After the embedder failed once, the rest of the job goes on without it.
type embedding struct {
	service *Service
	base    string
	failed  error
	name    string
	yields  bool // to jobs that wait
}

// passages embeds a document's passages: nil vectors without an error where no embedder answers.
func (e *embedding) passages(ctx context.Context, title string, passages []rag.Passage) ([][]float32, rag.EmbedderID, error) {
	if e.failed != nil {
		return nil, rag.EmbedderID{}, nil //nolint:nilerr // passages are kept without vectors then
	}
	embedder, id, err := e.service.Embedders.EmbedderFor(ctx, e.base)
	if err == nil && id.IsZero() {
		return nil, id, nil
	}
	var vectors [][]float32
	if err == nil {
		texts := make([]string, len(passages))
		for i, p := range passages {
			texts[i] = EmbedText(title, p)
		}
		start := time.Now()
		vectors, err = embedEach(ctx, embedder, texts)
		e.service.observe(StageEmbed, start)
	}
	if ctx.Err() != nil {
		return nil, id, ctx.Err()
	}
	if err != nil {
		e.failed = err
		e.service.Log.Warn("embedder does not answer; passages are kept and get their vectors later", "db", e.base, "error", err)
		return nil, rag.EmbedderID{}, nil
	}
	for _, v := range vectors {
		id.Dimension = max(id.Dimension, len(v))
	}
	e.name = id.Name
	return vectors, id, nil
}

// embedEach embeds texts, and finds those that the embedder refuses by halving: each of them gets an empty vector, which
// says that it was tried and is found by its words alone. If it refuses every text, that is the embedder's fault.
func embedEach(ctx context.Context, embedder rag.Embedder, texts []string) ([][]float32, error) {
	vectors, err := embedder.Embed(ctx, rag.ForPassage, texts)
	if err == nil && len(vectors) != len(texts) {
		err = rag.Errorf(rag.BadUpstream, "", "the embedder gave %d vectors for %d texts", len(vectors), len(texts))
	}
	if err == nil || len(texts) == 1 || !refused(err) {
		return vectors, err
	}
	first, firstErr := embedEach(ctx, embedder, texts[:len(texts)/2])
	if firstErr != nil && !refused(firstErr) {
		return nil, firstErr
	}
	second, secondErr := embedEach(ctx, embedder, texts[len(texts)/2:])
	switch {
	case secondErr != nil && !refused(secondErr):
		return nil, secondErr
	case firstErr != nil && secondErr != nil:
		return nil, err
	case firstErr != nil:
		first = make([][]float32, len(texts)/2)
	case secondErr != nil:
		second = make([][]float32, len(texts)-len(texts)/2)
	}
	return append(first, second...), nil
}

// refused says that an error is about the text, not about the embedder's health: such a text would be refused again.
func refused(err error) bool { return rag.KindOf(err) == rag.OutOfBounds }

// EmbedText is what stands for a passage before an embedder: its title and headings, which say what it is about, and its text.
func EmbedText(title string, p rag.Passage) string {
	text := p.Text
	if p.Heading != "" {
		text = p.Heading + "\n" + text
	}
	if title != "" && title != p.Heading {
		text = title + "\n" + text
	}
	return text
}

// makeUp gives vectors to passages of the job's knowledge base that have none, as long as the embedder answers.
func (s *Service) makeUp(ctx context.Context, j *job, e *embedding) error {
	_, left, err := s.embedPending(ctx, e, func(n int) {
		j.update(func(job *rag.Job) { job.Report.Vectors += n })
	})
	j.update(func(job *rag.Job) {
		job.Report.Embedder, job.Report.Pending = e.name, left
		if e.failed != nil {
			job.Report.Notice = "The embedder did not answer, so passages are found by their words until it does: " + sentence(e.failed)
		}
	})
	return err
}

// embedPending works through the passages without vectors, batch by batch, and says how many it made and how many are left.
func (s *Service) embedPending(ctx context.Context, e *embedding, progress func(int)) (made, left int, err error) {
	for e.failed == nil && !(e.yields && s.waiting()) {
		batch, err := s.Documents.Pending(ctx, e.base, s.Config.EmbedBatch)
		if err != nil {
			return made, 0, err
		}
		if len(batch) == 0 {
			s.setPending(e.base, false)
			return made, 0, nil
		}
		vectors, id, err := e.mixed(ctx, batch)
		if err != nil {
			return made, len(batch), err
		}
		if vectors == nil {
			break
		}
		set := 0
		err = s.change(ctx, e.base, func() (rag.Update, error) {
			u, err := s.Documents.SetVectors(ctx, e.base, id, batch, vectors)
			set = len(u.Add)
			return u, err
		})
		if err != nil {
			return made, len(batch), err
		}
		made += set
		progress(set)
		if set == 0 {
			break // all of them went meanwhile
		}
	}
	rest, err := s.Documents.Pending(ctx, e.base, maxPendingCount)
	if err != nil {
		return made, 0, err
	}
	s.setPending(e.base, (e.failed != nil || e.yields && s.waiting()) && len(rest) > 0)
	return made, len(rest), nil
}

// maxPendingCount bounds how far waiting passages are counted.
const maxPendingCount = 10_000

// mixed embeds passages of several documents.
func (e *embedding) mixed(ctx context.Context, batch []rag.Passage) ([][]float32, rag.EmbedderID, error) {
	titled := make([]rag.Passage, len(batch))
	for i, p := range batch {
		p.Text = EmbedText(p.Title, p)
		p.Heading = ""
		titled[i] = p
	}
	return e.passages(ctx, "", titled)
}

func (s *Service) setPending(base string, pending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pending {
		s.pending[base] = true
	} else {
		delete(s.pending, base)
	}
}

// waiting says whether a job waits for the worker.
func (s *Service) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) > 0
}

// catchUp tries again to give vectors to passages that wait for them, until a job comes.
func (s *Service) catchUp(ctx context.Context) {
	s.mu.Lock()
	bases := make([]string, 0, len(s.pending))
	for base := range s.pending {
		bases = append(bases, base)
	}
	s.mu.Unlock()
	for _, base := range bases {
		if !s.awake.Load() && (s.Offline == nil || !s.Offline(ctx, base)) {
			continue
		}
		made, _, err := s.embedPending(ctx, &embedding{service: s, base: base, yields: true}, func(int) {})
		if rag.KindOf(err) == rag.NotFound {
			s.setPending(base, false)
			continue
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Error("make up for missing vectors", "db", base, "error", err)
		}
		if made > 0 {
			s.Log.Info("passages got their vectors", "db", base, "passages", made)
		}
	}
}

// made counts the vectors that are not empty.
func made(vectors [][]float32) int {
	n := 0
	for _, v := range vectors {
		if len(v) > 0 {
			n++
		}
	}
	return n
}
