package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/store"
)

// shop is everything around a Service: the real store, and small fakes of the rest.
type shop struct {
	t     *testing.T
	dir   string // files to ingest
	store *store.Store
	*Service

	recipe  string
	gate    chan struct{} // readers of files that begin with "gate" wait for it
	reading chan string   // their names, where it is not nil
	embeds  atomic.Int64  // calls
	down    atomic.Bool   // the embedder does not answer
	none    bool          // there is no embedder

	by   rag.Embedders // in place of the shop itself
	next func(context.Context) (rag.Embedder, rag.EmbedderID, error)

	mu      sync.Mutex
	updates []rag.Update
	follow  error
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, dir: filepath.Join(t.TempDir(), "docs"), recipe: "r1", gate: make(chan struct{})}
	must(t, os.Mkdir(s.dir, 0o700))
	st, err := store.Open(context.Background(), t.TempDir())
	must(t, err)
	s.store = st
	must(t, st.CreateBase(context.Background(), "kb"))
	s.start(Config{})
	return s
}

// start makes a service over the same store and starts it.
func (s *shop) start(c Config) {
	s.t.Helper()
	var by rag.Embedders = s
	if s.by != nil {
		by = s.by
	}
	s.Service = &Service{Reader: s, Cutter: s, Documents: s.store, Jobs: s.store, Embedders: by, Next: s.next, Followers: []Follower{s, s}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Config: c}
	must(s.t, s.Start(context.Background()))
}

func (s *shop) end() {
	s.Close()
	must(s.t, s.store.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *shop) Supports(name string) bool { return filepath.Ext(name) == ".txt" }

func (s *shop) Extract(ctx context.Context, name string, data []byte) (rag.Extracted, error) {
	text := string(data)
	switch word, _, _ := strings.Cut(text, " "); word {
	case "bad":
		return rag.Extracted{}, rag.Errorf(rag.Unreadable, "", "is broken")
	case "hang":
		<-ctx.Done()
		return rag.Extracted{}, ctx.Err()
	case "gate":
		if s.reading != nil {
			s.reading <- name
		}
		select {
		case <-s.gate:
		case <-ctx.Done():
			return rag.Extracted{}, ctx.Err()
		}
	}
	return rag.Extracted{Text: text, MediaType: "text/plain", Title: name}, nil
}

func (s *shop) Cut(x rag.Extracted) (out []rag.Passage) {
	for line := range strings.FieldsSeq(x.Text) {
		sum := sha256.Sum256([]byte(line))
		out = append(out, rag.Passage{Chunk: len(out), Text: line, Hash: hex.EncodeToString(sum[:]), Language: "en"})
	}
	return out
}

func (s *shop) Recipe() string { return s.recipe }

func (s *shop) EmbedderFor(context.Context, string) (rag.Embedder, rag.EmbedderID, error) {
	if s.none {
		return nil, rag.EmbedderID{}, nil
	}
	return s, rag.EmbedderID{Name: "fake", Dimension: 1}, nil
}

func (s *shop) Embed(_ context.Context, _ rag.Purpose, texts []string) ([][]float32, error) {
	s.embeds.Add(1)
	if s.down.Load() {
		return nil, rag.Errorf(rag.Unavailable, "", "the embedder is down")
	}
	out := make([][]float32, len(texts))
	for i := range out {
		out[i] = []float32{1}
	}
	return out, nil
}

func (s *shop) Apply(_ context.Context, _ string, u rag.Update) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.updates = append(s.updates, u)
	return s.follow
}

// write makes a file below the folder.
func (s *shop) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	must(s.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(s.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (s *shop) folder() rag.IngestRequest {
	return rag.IngestRequest{DB: "kb", Paths: []rag.IngestPath{{Name: "docs", File: s.dir}}}
}

func (s *shop) submit(req rag.IngestRequest) rag.Job {
	s.t.Helper()
	j, err := s.Submit(context.Background(), req)
	must(s.t, err)
	return j
}

// ingest does a job to its end.
func (s *shop) ingest(req rag.IngestRequest) rag.Job {
	s.t.Helper()
	j, err := s.Wait(context.Background(), s.submit(req).ID)
	must(s.t, err)
	return j
}

// done does a job that has to go well.
func (s *shop) done(req rag.IngestRequest) rag.IngestReport {
	s.t.Helper()
	j := s.ingest(req)
	if j.State != rag.JobDone || j.Error != "" || j.Finished == 0 || j.Report.Current != "" {
		s.t.Fatalf("job %+v", j)
	}
	return j.Report
}

func (s *shop) sources() (out []string) {
	s.t.Helper()
	list, err := s.store.Documents(context.Background(), "kb")
	must(s.t, err)
	for _, d := range list {
		out = append(out, d.Source)
	}
	return out
}

func (s *shop) change() uint64 {
	s.t.Helper()
	n, err := s.store.Change(context.Background(), "kb")
	must(s.t, err)
	return n
}

func items(r rag.IngestReport) map[string]rag.ReportItem {
	out := map[string]rag.ReportItem{}
	for _, it := range r.Items {
		out[it.Source] = it
	}
	return out
}

func TestTheSameFileAgainChangesNothing(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.write("a.txt", "one two")
	if r := s.done(s.folder()); r.Added != 1 || r.Passages != 2 || r.Vectors != 2 || r.Files != 1 || r.FilesDone != 1 || r.Embedder != "fake" || r.Bytes != 7 || r.Pending != 0 {
		t.Errorf("report %+v", r)
	}
	embeds, change := s.embeds.Load(), s.change()
	if r := s.done(s.folder()); r.Unchanged != 1 || r.Added+r.Replaced+r.Passages != 0 {
		t.Errorf("report %+v", r)
	}
	if s.embeds.Load() != embeds || s.change() != change {
		t.Error("it was embedded or stored again")
	}
}

func TestAChangedFileRecipeOrVersionReplacesTheDocument(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.write("a.txt", "one two")
	s.done(s.folder())
	s.write("a.txt", "three")
	if r := s.done(s.folder()); r.Replaced != 1 || r.Passages != 1 {
		t.Errorf("another text: %+v", r)
	}
	s.recipe = "r2"
	if r := s.done(s.folder()); r.Replaced != 1 {
		t.Errorf("another recipe: %+v", r)
	}
	req := s.folder()
	req.Version = "2.0"
	if r := s.done(req); r.Replaced != 1 {
		t.Errorf("another version: %+v", r)
	}
	if docs, _ := s.store.Documents(t.Context(), "kb"); len(docs) != 1 || docs[0].Version != "2.0" || docs[0].Chunks != 1 {
		t.Errorf("documents %+v", docs)
	}
}

func TestAFileThatWentFromItsFolderIsGone(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.write("a.txt", "one")
	gone := s.write("sub/b.txt", "two")
	s.done(s.folder())
	must(t, os.RemoveAll(filepath.Dir(gone)))
	if r := s.done(s.folder()); r.Deleted != 1 || r.Unchanged != 1 || items(r)["docs/sub/b.txt"].Status != rag.FileDeleted {
		t.Errorf("report %+v", r)
	}
	if got := s.sources(); !slices.Equal(got, []string{"docs/a.txt"}) {
		t.Errorf("documents %v", got)
	}
}

func TestNothingIsDeletedWhereTheFolderItselfIsGoneOrClosed(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.write("sub/a.txt", "one")
	s.done(s.folder())
	away := s.dir + ".away"
	must(t, os.Rename(s.dir, away))
	if r := s.done(s.folder()); r.Deleted != 0 || r.Skipped != 1 {
		t.Errorf("report %+v", r)
	}
	must(t, os.Rename(away, s.dir))
	sub := filepath.Join(s.dir, "sub")
	must(t, os.Chmod(sub, 0))
	r := s.done(s.folder())
	must(t, os.Chmod(sub, 0o700))
	if r.Deleted != 0 || len(s.sources()) != 1 {
		t.Errorf("a folder that cannot be read: %+v", r)
	}
}

func TestABadFileIsReportedAndTheOthersGoOn(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.Close()
	s.start(Config{MaxFileBytes: 20})
	s.write("a.txt", "bad")
	s.write("b.txt", "good")
	s.write("c.txt", "   ")
	s.write("d.bin", "x")
	s.write("e.txt", strings.Repeat("x", 21))
	s.write("f.txt", strings.Repeat("x", 20))
	s.write(".hidden.txt", "x")
	s.write(".git/x.txt", "x")
	secret := filepath.Join(filepath.Dir(s.dir), "secret.txt")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	must(t, os.Symlink(secret, filepath.Join(s.dir, "link.txt")))
	must(t, os.Symlink(filepath.Dir(s.dir), filepath.Join(s.dir, "loop")))
	r := s.done(s.folder())
	got := items(r)
	for source, want := range map[string]rag.ReportItem{
		"docs/a.txt":    {Status: rag.FileSkipped, Code: "unreadable", Reason: "is broken"},
		"docs/b.txt":    {Status: rag.FileAdded},
		"docs/c.txt":    {Status: rag.FileSkipped, Code: "unreadable", Reason: "holds no text"},
		"docs/d.bin":    {Status: rag.FileSkipped, Code: "unreadable", Reason: ".bin files are not a kind that can be read"},
		"docs/e.txt":    {Status: rag.FileSkipped, Code: "too_large", Reason: "larger than MAX_UPLOAD_BYTES"},
		"docs/f.txt":    {Status: rag.FileAdded},
		"docs/link.txt": {Status: rag.FileSkipped, Code: "unreadable", Reason: "is a symbolic link"},
		"docs/loop":     {Status: rag.FileSkipped, Code: "unreadable", Reason: "is a symbolic link"},
	} {
		it := got[source]
		if it.Status != want.Status || it.Code != want.Code || !strings.HasPrefix(it.Reason, want.Reason) {
			t.Errorf("%s: %+v, want %+v", source, it, want)
		}
	}
	if len(got) != 8 || r.Skipped != 6 || r.Added != 2 || r.Files != 8 {
		t.Errorf("report %+v", r)
	}
	if got := s.sources(); !slices.Equal(got, []string{"docs/b.txt", "docs/f.txt"}) {
		t.Errorf("documents %v", got)
	}
	if stats := s.Stats(); stats.Files[rag.FileAdded] != 2 || stats.Files[rag.FileSkipped] != 6 || stats.Passages != 2 || stats.Stages[StageStore].Count != 2 || stats.Stages[StageStore].Buckets[600] != 2 || stats.JobsRunning != 0 {
		t.Errorf("stats %+v", stats)
	}
}

func TestAHiddenOrUnusualFileIsTakenWhereItIsNamedItself(t *testing.T) {
	s := newShop(t)
	defer s.end()
	path := s.write(".notes.txt", "one")
	if r := s.done(rag.IngestRequest{DB: "kb", Paths: []rag.IngestPath{{Name: ".notes.txt", File: path}, {Name: "gone.txt", File: path + "x"}}}); r.Added != 1 || r.Skipped != 1 {
		t.Errorf("report %+v", r)
	}
}

func TestAJobOfTooManyFilesFailsAndSaysSo(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.Close()
	s.start(Config{MaxFiles: 2})
	for i := range 3 {
		s.write(fmt.Sprint(i, ".txt"), "x")
	}
	if j := s.ingest(s.folder()); j.State != rag.JobFailed || !strings.Contains(j.Error, "INGEST_MAX_FILES") {
		t.Errorf("job %+v", j)
	}
}

func TestAnUnknownKnowledgeBaseFailsTheJob(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.write("a.txt", "x")
	req := s.folder()
	req.DB = "none"
	if j := s.ingest(req); j.State != rag.JobFailed || !strings.Contains(j.Error, "no knowledge base") {
		t.Errorf("job %+v", j)
	}
}

func TestTwoFoldersOfOneNameDoNotOverwriteEachOther(t *testing.T) {
	for _, once := range []bool{true, false} {
		t.Run(fmt.Sprintf("in one job: %t", once), func(t *testing.T) {
			s := newShop(t)
			defer s.end()
			first, second := s.write("x/docs/a.txt", "one"), s.write("y/docs/a.txt", "two")
			paths := []rag.IngestPath{{Name: "docs", File: filepath.Dir(first)}, {Name: "docs", File: filepath.Dir(second)}}
			all := rag.IngestRequest{DB: "kb", Paths: paths}
			if once {
				s.done(all)
			} else {
				s.done(rag.IngestRequest{DB: "kb", Paths: paths[:1]})
				s.done(rag.IngestRequest{DB: "kb", Paths: paths[1:]})
			}
			want := []string{filepath.ToSlash(second), "docs/a.txt"}
			if got := s.sources(); !slices.Equal(got, want) {
				t.Fatalf("documents %v, want %v", got, want)
			}
			if r := s.done(all); r.Unchanged != 2 {
				t.Errorf("again: %+v", r)
			}
			must(t, os.Remove(first))
			if r := s.done(all); r.Deleted != 1 || r.Unchanged != 1 {
				t.Errorf("after the first file went: %+v", r)
			}
			if r := s.done(rag.IngestRequest{DB: "kb", Paths: paths[1:]}); r.Unchanged != 1 || len(s.sources()) != 1 {
				t.Errorf("the second file came twice: %v", s.sources())
			}
		})
	}
}

func TestAFileIsOneDocumentWhateverFolderItIsReachedThrough(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.write("sub/a.txt", "one")
	sub := rag.IngestPath{Name: "sub", File: filepath.Join(s.dir, "sub")}
	if r := s.done(rag.IngestRequest{DB: "kb", Paths: []rag.IngestPath{{Name: "docs", File: s.dir}, sub}}); r.Added != 1 {
		t.Errorf("in one job: %+v", r)
	}
	if r := s.done(rag.IngestRequest{DB: "kb", Paths: []rag.IngestPath{sub}}); r.Unchanged != 1 {
		t.Errorf("in another: %+v", r)
	}
	if got := s.sources(); !slices.Equal(got, []string{"docs/sub/a.txt"}) {
		t.Errorf("documents %v", got)
	}
}

func TestUploadsHaveNoOriginAndTheirSpoolGoesWithTheJob(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.write("spool/1/0", "one")
	s.write("spool/1/1", "two")
	spool := filepath.Join(s.dir, "spool", "1")
	req := rag.IngestRequest{DB: "kb", Spool: spool, Paths: []rag.IngestPath{
		{Name: "mine.txt", File: filepath.Join(spool, "0"), Upload: true}, {Name: "mine.txt", File: filepath.Join(spool, "1"), Upload: true},
	}}
	if r := s.done(req); r.Added != 1 || r.Skipped != 1 {
		t.Errorf("report %+v", r)
	}
	if _, err := os.Stat(spool); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the spool stays: %v", err)
	}
	if origins, _ := s.store.Origins(t.Context(), "kb"); len(origins) != 0 || !slices.Equal(s.sources(), []string{"mine.txt"}) {
		t.Errorf("origins %v, documents %v", origins, s.sources())
	}
}

func TestWithoutAnEmbedderPassagesAreFoundByTheirWords(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.none = true
	s.write("a.txt", "one two")
	if r := s.done(s.folder()); r.Passages != 2 || r.Vectors != 0 || r.Embedder != "" || r.Notice != "" {
		t.Errorf("report %+v", r)
	}
	s.none = false
	if r := s.done(s.folder()); r.Unchanged != 1 || r.Vectors != 2 || r.Embedder != "fake" || r.Pending != 0 {
		t.Errorf("as soon as there is one, the next job makes up for it: %+v", r)
	}
}

func TestFollowersHearOfEveryChangeInOrderWhileOthersRemove(t *testing.T) {
	s := newShop(t)
	defer s.end()
	for i := range 12 {
		s.write(fmt.Sprint(i, ".txt"), "x")
	}
	j := s.submit(s.folder())
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := range 12 {
				if _, err := s.Remove(context.Background(), "kb", []string{fmt.Sprintf("docs/%d.txt", (i+w)%12)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_, err := s.Wait(t.Context(), j.ID)
	must(t, err)
	if deleted, err := s.Remove(t.Context(), "kb", []string{"none"}); deleted != nil || err != nil {
		t.Error(deleted, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	live := map[int64]bool{}
	for i, u := range s.updates { // there are two followers
		if want := uint64(i/2 + 1); u.Change != want {
			t.Fatalf("follower call %d tells change %d, want %d", i, u.Change, want)
		}
		if i%2 == 0 {
			for _, id := range u.Remove {
				if !live[id] {
					t.Fatalf("change %d removes %d, which is not there", u.Change, id)
				}
				delete(live, id)
			}
			for _, e := range u.Add {
				live[e.Passage.ID] = true
			}
		}
	}
	if n := uint64(len(s.updates) / 2); n != s.change() || len(live) != len(s.sources()) {
		t.Errorf("%d changes told of %d, %d passages of %d", n, s.change(), len(live), len(s.sources()))
	}
}

func TestEachFollowerHearsOfAChangeEvenIfAnotherFails(t *testing.T) {
	s := newShop(t)
	defer s.end()
	s.write("a.txt", "one")
	s.follow = errors.New("disk full")
	if j := s.ingest(s.folder()); j.State != rag.JobFailed || strings.Contains(j.Error, "disk full") {
		t.Errorf("job %+v", j)
	}
	if len(s.updates) != 2 {
		t.Errorf("%d of 2 followers heard of it", len(s.updates))
	}
}

func TestTheLanguageOfADocumentIsThatOfMostOfItsText(t *testing.T) {
	p := func(language string, n int) rag.Passage {
		return rag.Passage{Language: language, Text: strings.Repeat("x", n)}
	}
	for _, c := range []struct {
		want string
		list []rag.Passage
	}{{"unknown", nil}, {"unknown", []rag.Passage{p("unknown", 9)}}, {"vi", []rag.Passage{p("unknown", 9), p("vi", 1)}}, {"en", []rag.Passage{p("vi", 3), p("en", 2), p("en", 2)}}} {
		if got := mainLanguage(c.list); got != c.want {
			t.Errorf("%v: %s", c.list, got)
		}
	}
}

func TestWhatStandsForAPassageNamesItsTitleAndHeadingsOnce(t *testing.T) {
	for want, in := range map[string]rag.Passage{"x": {Text: "x"}, "H\nx": {Text: "x", Heading: "H"}, "T\nH\nx": {Text: "x", Heading: "H", Title: "T"}, "T\nx": {Text: "x", Heading: "T", Title: "T"}} {
		if got := EmbedText(in.Title, in); got != want {
			t.Errorf("%+v: %q, want %q", in, got, want)
		}
	}
}

func TestPathsAreHeldToTheirRoots(t *testing.T) {
	top := t.TempDir()
	root, other := filepath.Join(top, "root"), filepath.Join(top, "other")
	for _, dir := range []string{filepath.Join(root, "sub"), other, root + "-twin"} {
		must(t, os.MkdirAll(dir, 0o700))
	}
	must(t, os.WriteFile(filepath.Join(other, "secret.txt"), nil, 0o600))
	must(t, os.Symlink(other, filepath.Join(root, "link")))
	must(t, os.Symlink(root, filepath.Join(top, "alias")))
	must(t, os.Symlink(filepath.Join(other, "none"), filepath.Join(root, "dangling")))
	for _, c := range []struct {
		path string
		want rag.Kind
	}{
		{root, ""}, {filepath.Join(root, "sub"), ""}, {filepath.Join(root, "sub", "..", "sub"), ""}, {filepath.Join(top, "alias", "sub"), ""},
		{filepath.Join(root, "none"), rag.NotFound},
		{filepath.Join(root, ".."), rag.Forbidden}, {root + "/sub/../../other", rag.Forbidden}, {other, rag.Forbidden}, {root + "-twin", rag.Forbidden},
		{filepath.Join(root, "link"), rag.Forbidden}, {filepath.Join(root, "link", "secret.txt"), rag.Forbidden},
		{filepath.Join(other, "none"), rag.Forbidden}, {"/", rag.Forbidden}, {"", rag.Forbidden}, {"bad\x00name", rag.Forbidden}, {root + "/bad\x00name", rag.Unreadable},
	} {
		got, err := ResolvePath(c.path, []string{"", filepath.Join(top, "gone"), root})
		if rag.KindOf(err) != c.want || err == nil && !inside(resolved(root), got) {
			t.Errorf("%q: %q, %v, want %q", c.path, got, err, c.want)
		}
	}
	if _, err := ResolvePath(other, []string{}); rag.KindOf(err) != rag.Forbidden {
		t.Errorf("no roots at all: %v", err)
	}
	if got, err := ResolvePath(filepath.Join(root, "link"), nil); err != nil || got != resolved(other) {
		t.Errorf("every folder: %q, %v", got, err)
	}
	if _, err := ResolvePath(filepath.Join(other, "none"), nil); rag.KindOf(err) != rag.NotFound {
		t.Error(err)
	}
}
