package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Bounds of ingest requests.
const (
	MaxPaths       = 1000
	MaxUploadFiles = 5000
	maxFieldBytes  = 4096
	maxSourceBytes = 1024
)

type ingestBody struct {
	Paths   []string `json:"paths"`
	Names   []string `json:"names"` // what sources are called, where it is not the path itself
	DB      string   `json:"db"`
	Version string   `json:"version"`
	Async   bool     `json:"async"`
}

func (s *Server) ingest(w http.ResponseWriter, r *http.Request) error {
	var b ingestBody
	if _, err := s.decode(w, r, &b); err != nil {
		return err
	}
	var out bounds
	out.check(len(b.Paths) >= 1 && len(b.Paths) <= MaxPaths, "paths: %d given, 1 to %d are allowed", len(b.Paths), MaxPaths)
	out.check(len(b.Names) == 0 || len(b.Names) == len(b.Paths), "names: %d given for %d paths", len(b.Names), len(b.Paths))
	out.check(b.Version == "" || validName(b.Version), "version: letters, digits, '_', '-' and '.', at most 64, are allowed")
	if err := out.err(); err != nil {
		return err
	}
	_, trusted := s.roleOf(r)
	req := rag.IngestRequest{DB: s.dbOf(b.DB), Version: b.Version}
	for i, p := range b.Paths {
		file, err := s.Resolve(p, trusted)
		if err != nil {
			return err
		}
		name := p
		if len(b.Names) > 0 {
			name = b.Names[i]
		}
		req.Paths = append(req.Paths, rag.IngestPath{Name: cleanSource(name), File: file})
	}
	if _, err := s.Catalog.KnowledgeBase(r.Context(), req.DB); err != nil {
		return err
	}
	return s.submit(w, r, req, b.Async, nil)
}

// cleanSource tidies a path for a name: "./docs/" becomes "docs", ".." parts go.
func cleanSource(name string) string {
	clean := path.Clean(filepath.ToSlash(plain(name)))
	for strings.HasPrefix(clean, "../") {
		clean = clean[3:]
	}
	if clean == "." || clean == ".." {
		return ""
	}
	return clean
}

func validName(name string) bool {
	return len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return r > unicode.MaxASCII || !(unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-.", r))
	}) && strings.Trim(name, ".") != ""
}

// submit makes a job of an ingest request and answers with it, at once or when it is done.
func (s *Server) submit(w http.ResponseWriter, r *http.Request, req rag.IngestRequest, async bool, saved []string) error {
	job, err := s.Ingest.Submit(r.Context(), req)
	if err != nil {
		if req.Spool != "" {
			err = errors.Join(err, os.RemoveAll(req.Spool))
		}
		return err
	}
	if async {
		return writeJSON(w, http.StatusAccepted, map[string]any{"status": "accepted", "db": req.DB, "job": job.ID, "state": job.State, "saved": orEmpty(saved)})
	}
	if job, err = s.Ingest.Wait(r.Context(), job.ID); err != nil {
		return err
	}
	switch job.State {
	case rag.JobFailed:
		return rag.Errorf(rag.Internal, "ingest_failed", "the ingest job failed: %s", job.Error)
	case rag.JobDone:
	default:
		return rag.Errorf(rag.Conflict, "ingest_cancelled", "the ingest job ended before it was done; GET /api/jobs/%s says how far it came", job.ID)
	}
	if err := job.Report.Nothing(); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"status": "ok", "db": req.DB, "chunks_indexed": job.Report.Passages, "saved": orEmpty(saved), "job": job.ID, "report": viewJob(job).Report,
	})
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, s.MaxUploadTotal)
	form, err := r.MultipartReader()
	if err != nil {
		return rag.Errorf(rag.Malformed, "", "send files as multipart/form-data in the field `files`").Because(err)
	}
	if err := os.MkdirAll(s.SpoolDir, 0o700); err != nil {
		return fmt.Errorf("uploads folder: %w", err)
	}
	spool := filepath.Join(s.SpoolDir, rand.Text())
	if err := os.Mkdir(spool, 0o700); err != nil {
		return fmt.Errorf("uploads folder: %w", err)
	}
	u := upload{limit: s.MaxUpload, spool: spool, fields: map[string]string{}, alive: func() { s.allowRead(w) }}
	err = u.read(form)
	s.endRead(w)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = rag.Errorf(rag.TooLarge, "", "the upload is larger than MAX_UPLOAD_TOTAL_BYTES, %d bytes: send fewer files at a time", large.Limit)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(spool))
	}
	req, async, err := s.uploadRequest(r, u)
	if err != nil {
		return errors.Join(err, os.RemoveAll(spool))
	}
	return s.submit(w, r, req, async, u.saved) // the job removes the spool
}

type upload struct {
	alive  func() // told before each part: the client has time for it
	limit  int64
	spool  string
	fields map[string]string
	paths  []rag.IngestPath
	saved  []string
}

func (s *Server) uploadRequest(r *http.Request, u upload) (req rag.IngestRequest, async bool, err error) {
	var out bounds
	version := u.fields["version"]
	out.check(len(u.paths) > 0, "files: at least one file is needed in the field `files`")
	out.check(version == "" || validName(version), "version: letters, digits, '_', '-' and '.', at most 64, are allowed")
	if err := out.err(); err != nil {
		return req, false, err
	}
	async = u.fields["async"] == "true" || u.fields["async"] == "1" || r.URL.Query().Get("async") == "true"
	db := u.fields["db"]
	if db == "" {
		db = r.URL.Query().Get("db")
	}
	req = rag.IngestRequest{DB: s.dbOf(db), Version: version, Paths: u.paths, Spool: u.spool}
	_, err = s.Catalog.KnowledgeBase(r.Context(), req.DB)
	return req, async, err
}

// read takes the parts of a form as they come: files to the spool, fields to memory.
func (u *upload) read(form *multipart.Reader) error {
	for {
		u.alive()
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return rag.Errorf(rag.Malformed, "", "the upload broke off or is not multipart/form-data").Because(err)
		}
		// FileName would drop the folders that a browser sends for an uploaded folder.
		_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil {
			return rag.Errorf(rag.Malformed, "", "a part of the upload has no readable Content-Disposition").Because(err)
		}
		name, isFile := params["filename"]
		if !isFile {
			if err := u.field(part); err != nil {
				return err
			}
			continue
		}
		if err := u.save(part, name); err != nil {
			return err
		}
	}
}

// field keeps the value of a field that we know; a form may hold any number of others.
func (u *upload) field(part *multipart.Part) error {
	switch part.FormName() {
	case "db", "version", "async":
		value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes))
		if err != nil {
			return rag.Errorf(rag.Malformed, "", "the upload broke off").Because(err)
		}
		u.fields[part.FormName()] = string(value)
	}
	return nil
}

func (u *upload) save(part io.Reader, name string) error {
	source := uploadName(name)
	switch {
	case source == "" || len(source) > maxSourceBytes:
		return rag.Errorf(rag.OutOfBounds, "", "files: a file name of 1 to %d bytes is needed", maxSourceBytes)
	case len(u.paths) >= MaxUploadFiles:
		return rag.Errorf(rag.TooLarge, "", "files: at most %d files in one upload", MaxUploadFiles)
	}
	file := filepath.Join(u.spool, strconv.Itoa(len(u.paths)))
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("spool upload: %w", err)
	}
	// One byte past the limit is enough for the job to report the file as too large, beside the others.
	_, err = io.Copy(f, io.LimitReader(part, u.limit+1))
	err = errors.Join(err, f.Close())
	if _, ours := errors.AsType[*fs.PathError](err); ours { // the disk is full, or the like
		return fmt.Errorf("spool upload: %w", err)
	}
	if err != nil {
		return rag.Errorf(rag.Malformed, "", "the upload broke off").Because(err)
	}
	u.paths = append(u.paths, rag.IngestPath{Name: source, File: file, Upload: true})
	u.saved = append(u.saved, source)
	return nil
}

// uploadName makes a relative, clean source of what a client calls its file.
func uploadName(name string) string {
	name = strings.ReplaceAll(plain(name), `\`, "/")
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

// plain is a name without control characters and broken letters.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, name)
}

func (s *Server) jobs(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Ingest.List(r.Context())
	if err != nil {
		return err
	}
	views := make([]jobView, len(list))
	for i, j := range list {
		views[i] = viewJob(j)
	}
	return writeJSON(w, http.StatusOK, map[string]any{"jobs": views})
}

func (s *Server) job(w http.ResponseWriter, r *http.Request) error {
	j, err := s.Ingest.Job(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewJob(j))
}

func (s *Server) changeJob(change func(i Ingest, ctx context.Context, id string) (rag.Job, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		j, err := change(s.Ingest, r.Context(), r.PathValue("id"))
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, viewJob(j))
	}
}

func (s *Server) docs(w http.ResponseWriter, r *http.Request) error {
	db := s.dbOf(r.URL.Query().Get("db"))
	list, err := s.Catalog.Documents(r.Context(), db)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"db": db, "docs": list})
}

func (s *Server) doc(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return rag.Errorf(rag.OutOfBounds, "", "id: a document's number is needed; GET /api/docs lists them")
	}
	db := s.dbOf(r.URL.Query().Get("db"))
	d, err := s.Catalog.Document(r.Context(), db, id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"db": db, "id": d.ID, "source": d.Source, "title": d.Title, "media_type": d.MediaType, "encoding": d.Encoding,
		"version": d.Version, "language": d.Language, "digest": d.Digest, "pages": d.Pages, "text": d.Text,
	})
}

type deleteBody struct {
	Sources []string `json:"sources"`
	DB      string   `json:"db"`
}

func (s *Server) deleteDocs(w http.ResponseWriter, r *http.Request) error {
	var b deleteBody
	if _, err := s.decode(w, r, &b); err != nil {
		return err
	}
	var out bounds
	out.check(len(b.Sources) >= 1 && len(b.Sources) <= MaxPaths, "sources: %d given, 1 to %d are allowed", len(b.Sources), MaxPaths)
	if err := out.err(); err != nil {
		return err
	}
	db := s.dbOf(b.DB)
	deleted, err := s.Ingest.Remove(r.Context(), db, b.Sources)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, source := range deleted {
		there[source] = true
	}
	missing := []string{}
	for _, source := range b.Sources {
		if !there[source] {
			missing = append(missing, source)
		}
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"status": "ok", "db": db, "deleted_sources": len(deleted), "deleted": orEmpty(deleted), "not_found": missing,
	})
}

func (s *Server) filters(w http.ResponseWriter, r *http.Request) error {
	languages, versions, err := s.Catalog.Filters(r.Context(), s.dbOf(r.URL.Query().Get("db")))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"languages": languages, "versions": versions})
}
