package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// embedding makes vectors for one job. After the embedder failed once, the rest of the job goes on without it.
type embedding struct {
	service  *Service
	base     string
	failed   error
	name     string
	yields   bool      // to jobs that wait
	progress func(int) // told of each vector batch; may be nil
}

// made are the vectors of passages, and the key of each.
type made struct {
	vectors [][]float32 // nil where no embedder answers
	keys    []string
	id      rag.EmbedderID
}

// passages embeds a document's passages: no vectors without an error where no embedder answers.
func (e *embedding) passages(ctx context.Context, title string, passages []rag.Passage) (made, error) {
	if e.failed != nil {
		return made{}, nil //nolint:nilerr // passages are kept without vectors then
	}
	embedder, id, err := e.service.Embedders.EmbedderFor(ctx, e.base)
	if err == nil && id.IsZero() {
		return made{}, nil
	}
	var m made
	if err == nil {
		texts := make([]string, len(passages))
		for i, p := range passages {
			texts[i] = EmbedText(title, p)
		}
		m, err = e.embed(ctx, embedder, id, texts)
	}
	if ctx.Err() != nil {
		return made{}, ctx.Err()
	}
	if err != nil {
		e.failed = err
		e.service.Log.Warn("embedder does not answer; passages are kept and get their vectors later", "db", e.base, "error", err)
		return made{}, nil
	}
	e.name = id.Name
	return m, nil
}

// embed gives texts their vectors: those that were made before as they are, the others in small batches, so that whoever stops
// the job waits for one batch at most.
func (e *embedding) embed(ctx context.Context, embedder rag.Embedder, id rag.EmbedderID, texts []string) (made, error) {
	m := made{vectors: make([][]float32, len(texts)), keys: make([]string, len(texts)), id: id}
	for i, text := range texts {
		m.keys[i] = vectorKey(id, text)
	}
	known, err := e.service.Documents.KnownVectors(ctx, m.keys)
	if err != nil {
		return m, err
	}
	var missing []int
	for i, key := range m.keys {
		if v, ok := known[key]; ok {
			m.vectors[i] = v
		} else {
			missing = append(missing, i)
		}
	}
	e.told(len(texts) - len(missing))
	for batch := range slices.Chunk(missing, e.service.Config.EmbedBatch) {
		wanted := make([]string, len(batch))
		for j, i := range batch {
			wanted[j] = texts[i]
		}
		start := time.Now()
		vectors, err := embedEach(ctx, embedder, wanted)
		e.service.observe(StageEmbed, start)
		if err != nil {
			return m, err
		}
		for j, i := range batch {
			m.vectors[i] = vectors[j]
		}
		e.told(len(batch))
	}
	for _, v := range m.vectors {
		m.id.Dimension = max(m.id.Dimension, len(v))
	}
	return m, nil
}

func (e *embedding) told(n int) {
	if e.progress != nil && n > 0 {
		e.progress(n)
	}
}

// vectorKey says what a vector was made of and by whom: one that is there under the same key need not be made again.
func vectorKey(id rag.EmbedderID, text string) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\x00%s\x00%s", id.Digest, id.Prefix, text) // a hash takes everything
	return base64.RawStdEncoding.EncodeToString(h.Sum(nil)[:16])
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

// adopt is makeUp in the background: it gives way to jobs that come, and says how far it is.
func (s *Service) adopt(ctx context.Context, j *job, e *embedding) error {
	all, err := s.Documents.CountPending(ctx, j.DB)
	if err != nil {
		return err
	}
	p := newPace(j, float64(all))
	p.begin(float64(all), all)
	e.yields, e.progress = true, p.embedded
	return s.makeUp(ctx, j, e)
}

// embedPending works through the passages without vectors, batch by batch, and says how many it made and how many are left.
func (s *Service) embedPending(ctx context.Context, e *embedding, progress func(int)) (made, left int, err error) {
	none := false // there is no embedder: nothing waits for one
	for e.failed == nil && !none && !(e.yields && s.waiting()) {
		batch, err := s.Documents.Pending(ctx, e.base, s.Config.StoreBatch)
		if err != nil {
			return made, 0, err
		}
		if len(batch) == 0 {
			s.setPending(e.base, false)
			return made, 0, nil
		}
		m, err := e.mixed(ctx, batch)
		if err != nil {
			return made, len(batch), err
		}
		if m.vectors == nil {
			none = e.failed == nil
			continue
		}
		set := 0
		err = s.change(ctx, e.base, func() (rag.Update, error) {
			u, err := s.Documents.SetVectors(ctx, e.base, m.id, batch, m.vectors, m.keys)
			set = len(u.Add)
			return u, err
		})
		if err != nil {
			return made, len(batch), err
		}
		made += set
		progress(set)
	}
	left, err = s.Documents.CountPending(ctx, e.base)
	if err != nil {
		return made, 0, err
	}
	s.setPending(e.base, !none && left > 0)
	return made, left, nil
}

// mixed embeds passages of several documents.
func (e *embedding) mixed(ctx context.Context, batch []rag.Passage) (made, error) {
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
	if !s.awake.Load() {
		return
	}
	s.mu.Lock()
	bases := make([]string, 0, len(s.pending))
	for base := range s.pending {
		bases = append(bases, base)
	}
	s.mu.Unlock()
	for _, base := range bases {
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

// count is how many vectors there are that are not empty.
func (m made) count() int {
	n := 0
	for _, v := range m.vectors {
		if len(v) > 0 {
			n++
		}
	}
	return n
}
