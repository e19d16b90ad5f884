package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// file is one file on its way through a job.
type file struct {
	source string
	path   string
	upload bool
	size   int64 // bytes, as the folder says
	err    error // why it cannot be read
	known  rag.KnownDocument
	old    bool // ingested before
	new    rag.NewDocument
	same   bool
	result chan struct{} // closed when the reader is through
}

// ingest does a job: files are read ahead on several cores and stored in order.
func (s *Service) ingest(ctx context.Context, j *job) error {
	files, err := s.list(j.Request, func(n int) { j.update(func(job *rag.Job) { job.Report.Files = n }) })
	if err != nil {
		return err
	}
	if err := s.nameAsBefore(ctx, j.DB, files); err != nil {
		return err
	}
	group, working := errgroup.WithContext(ctx)
	slots := make(chan struct{}, readers())
	ready := make(chan *file, 2*readers())
	group.Go(func() error {
		defer close(ready)
		for _, f := range files {
			select {
			case slots <- struct{}{}:
			case <-working.Done():
				return working.Err()
			}
			group.Go(func() error {
				defer func() { <-slots; close(f.result) }()
				err := s.read(working, j.Request, f)
				if err != nil {
					f.err = err // the store's fault ends the job; until it does, this is no document
				}
				return err
			})
			select {
			case ready <- f:
			case <-working.Done():
				return working.Err()
			}
		}
		return nil
	})
	all := int64(0)
	for _, f := range files {
		all += f.size
	}
	pace := newPace(j, float64(all))
	embed := &embedding{service: s, base: j.DB, progress: pace.embedded}
	group.Go(func() error {
		for f := range ready {
			select {
			case <-f.result:
			case <-working.Done():
				return working.Err()
			}
			j.update(func(job *rag.Job) { job.Report.Current = f.source })
			pace.begin(float64(f.size), len(f.new.Passages))
			if err := s.finish(working, j, f, embed); err != nil {
				return err
			}
			pace.finish()
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := s.removeVanished(ctx, j, files); err != nil {
		return err
	}
	if j.Request.Adopt {
		return s.adopt(ctx, j, embed)
	}
	return s.makeUp(ctx, j, embed)
}

// nameAsBefore gives files that are in the knowledge base already the source that they have there, whatever folder they are
// reached through this time.
func (s *Service) nameAsBefore(ctx context.Context, base string, files []*file) error {
	origins, err := s.Documents.Origins(ctx, base)
	if err != nil {
		return err
	}
	named := make(map[string]string, len(origins)) // path -> source
	for source, origin := range origins {
		if have, ok := named[origin]; !ok || source < have {
			named[origin] = source
		}
	}
	taken := map[string]string{} // source -> path
	for _, f := range files {
		if source, ok := named[f.path]; ok && !f.upload {
			f.source = source
			taken[source] = f.path
		}
	}
	for _, f := range files {
		if path, ok := taken[f.source]; ok && path != f.path && !f.upload {
			f.source = filepath.ToSlash(f.path)
		}
	}
	return nil
}

// read reads and cuts one file. A fault of the file is kept in it; the error it returns is the store's.
func (s *Service) read(ctx context.Context, req rag.IngestRequest, f *file) (err error) {
	if f.err != nil {
		return nil //nolint:nilerr // it is reported with the file
	}
	data, err := s.load(f)
	if err != nil {
		f.err = err
		return nil //nolint:nilerr // it is reported with the file
	}
	if f.known, f.old, err = s.Documents.Known(ctx, req.DB, f.source); err != nil {
		return err
	}
	if f.old && !f.upload && f.known.Origin != "" && f.known.Origin != f.path && !vanished(f.known.Origin) {
		// Another file came under this name, from another folder: this one goes by its whole path.
		f.source = filepath.ToSlash(f.path)
		if f.known, f.old, err = s.Documents.Known(ctx, req.DB, f.source); err != nil {
			return err
		}
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	version := req.Version
	if version == "" {
		version = digest[:8]
	}
	f.new = rag.NewDocument{Recipe: s.Cutter.Recipe(), Bytes: int64(len(data))}
	if !f.upload {
		f.new.Origin = f.path
	}
	if f.old && f.known.Digest == digest && f.known.Recipe == f.new.Recipe && f.known.Version == version {
		f.same = true
		return nil
	}
	f.err = s.extract(ctx, f, data, digest, version)
	return nil
}

func (s *Service) load(f *file) ([]byte, error) {
	r, err := os.Open(f.path)
	if err != nil {
		return nil, rag.Errorf(rag.Unreadable, "", "cannot be opened: %s", plain(err)).Because(err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, s.Config.MaxFileBytes+1))
	if err != nil {
		return nil, rag.Errorf(rag.Unreadable, "", "cannot be read: %s", plain(err)).Because(err)
	}
	if int64(len(data)) > s.Config.MaxFileBytes {
		return nil, rag.Errorf(rag.TooLarge, "", "larger than MAX_UPLOAD_BYTES, %d bytes", s.Config.MaxFileBytes)
	}
	return data, nil
}

// plain is the reason in an operating system's error, without the path.
func plain(err error) string {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

func (s *Service) extract(ctx context.Context, f *file, data []byte, digest, version string) error {
	timed, cancel := context.WithTimeout(ctx, s.Config.ReadTimeout)
	defer cancel()
	start := time.Now()
	x, err := s.Reader.Extract(timed, filepath.Base(f.source), data)
	s.observe(StageRead, start)
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		return rag.Errorf(rag.Unreadable, "", "reading took longer than %s", s.Config.ReadTimeout)
	}
	if err != nil {
		return err
	}
	start = time.Now()
	passages := s.Cutter.Cut(x)
	s.observe(StageCut, start)
	if len(passages) == 0 {
		return rag.Errorf(rag.Unreadable, "no_text", "holds no text%s", because(x.Warnings))
	}
	f.new.Passages = passages
	f.new.Document = rag.Document{
		Source: f.source, Title: x.Title, MediaType: x.MediaType, Encoding: x.Encoding, Version: version,
		Language: mainLanguage(passages), Digest: digest, Text: x.Text, Pages: len(x.Pages), Warnings: x.Warnings,
	}
	return nil
}

func because(warnings []string) string {
	if len(warnings) == 0 {
		return ""
	}
	return " (" + warnings[0] + ")"
}

// mainLanguage is the language of most of the text.
func mainLanguage(passages []rag.Passage) string {
	size := map[string]int{}
	best := "unknown"
	for _, p := range passages {
		size[p.Language] += len(p.Text)
		if p.Language != "unknown" && (best == "unknown" || size[p.Language] > size[best]) {
			best = p.Language
		}
	}
	return best
}

// finish embeds and stores one file, tells the followers, and writes the outcome into the report.
func (s *Service) finish(ctx context.Context, j *job, f *file, embed *embedding) error {
	vectors := 0
	item := rag.ReportItem{Source: f.source, Kind: f.new.Document.MediaType, Encoding: f.new.Document.Encoding, Warnings: f.new.Document.Warnings}
	switch {
	case f.err != nil && ctx.Err() != nil:
		return ctx.Err()
	case f.err != nil:
		item.Status, item.Reason, item.Code = rag.FileSkipped, sentence(f.err), string(rag.KindOf(f.err))
	case f.same:
		item.Status = rag.FileUnchanged
	default:
		m, err := embed.passages(ctx, f.new.Document.Title, f.new.Passages)
		if err != nil {
			return err
		}
		f.new.Vectors, f.new.Keys, f.new.Embedder, vectors = m.vectors, m.keys, m.id, m.count()
		if m.vectors == nil && embed.failed != nil {
			s.setPending(j.DB, true)
		}
		start := time.Now()
		err = s.change(ctx, j.DB, func() (u rag.Update, err error) {
			return s.Documents.Put(ctx, j.DB, f.new)
		})
		s.observe(StageStore, start)
		if err != nil {
			return err
		}
		item.Status, item.Passages = rag.FileAdded, len(f.new.Passages)
		if f.old {
			item.Status = rag.FileReplaced
		}
	}
	j.update(func(job *rag.Job) {
		job.Report.Add(item)
		job.Report.Bytes += f.new.Bytes
		job.Report.Vectors += vectors
	})
	s.mu.Lock()
	s.stats.Files[item.Status]++
	s.stats.Passages += uint64(item.Passages)
	s.mu.Unlock()
	f.new = rag.NewDocument{} // its text need not wait for the end of the job
	return nil
}

// change makes one durable change and tells the followers, in the order of the change counter. A change without effect
// is told to nobody.
func (s *Service) change(ctx context.Context, base string, commit func() (rag.Update, error)) error {
	s.changes.Lock()
	defer s.changes.Unlock()
	u, err := commit()
	if err != nil || u.Change == 0 {
		return err
	}
	// What is durable must reach the followers even if the one who asked for it has left.
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, f := range s.Followers { // each hears of it, whatever becomes of the others
		if err := f.Apply(ctx, base, u); err != nil {
			errs = append(errs, fmt.Errorf("follow change %d: %w", u.Change, err))
		}
	}
	return errors.Join(errs...)
}

// Remove deletes documents by source and tells which of them were there.
func (s *Service) Remove(ctx context.Context, base string, sources []string) (deleted []string, err error) {
	err = s.change(ctx, base, func() (u rag.Update, err error) {
		deleted, u, err = s.Documents.Delete(ctx, base, sources)
		return u, err
	})
	return deleted, err
}

// removeVanished deletes documents whose file lay in a folder of this job and is there no more.
func (s *Service) removeVanished(ctx context.Context, j *job, files []*file) error {
	origins, err := s.Documents.Origins(ctx, j.DB)
	if err != nil {
		return err
	}
	for _, f := range files {
		delete(origins, f.source)
	}
	var gone []string
	for source, origin := range origins {
		for _, p := range j.Request.Paths {
			if !p.Upload && !vanished(p.File) && inside(p.File, origin) && vanished(origin) {
				gone = append(gone, source)
				break
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	deleted, err := s.Remove(ctx, j.DB, gone)
	j.update(func(job *rag.Job) {
		for _, source := range deleted {
			job.Report.Add(rag.ReportItem{Source: source, Status: rag.FileDeleted})
		}
	})
	return err
}

// vanished says that there is certainly nothing at path: one that cannot be looked at may well be there.
func vanished(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
