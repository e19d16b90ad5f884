package ingest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// slow is an embedder that takes a second a passage, stops at once, and keeps what it was asked.
type slow struct {
	id    rag.EmbedderID
	texts *[]string
}

func (e slow) Embed(ctx context.Context, _ rag.Purpose, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		*e.texts = append(*e.texts, text)
		out[i] = []float32{1, 0}
	}
	return out, nil
}

// slowly gives the shop such an embedder.
func (s *shop) slowly(digest string) *[]string {
	var texts []string
	e := slow{rag.EmbedderID{Name: "slow", Digest: digest, Dimension: 2}, &texts}
	s.by = fixed{e}
	s.next = func(context.Context) (rag.Embedder, rag.EmbedderID, error) { return e, e.id, nil }
	s.Close()
	s.start(Config{})
	return &texts
}

type fixed struct{ e slow }

func (f fixed) EmbedderFor(context.Context, string) (rag.Embedder, rag.EmbedderID, error) {
	return f.e, f.e.id, nil
}

func TestAPausedJobStopsAtOnceAndGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		texts := s.slowly("d1")
		s.write("a.txt", strings.Repeat("a1 ", 1)+"a2 a3")
		s.write("b.txt", "b1 b2 b3 b4 b5 b6")
		j := s.submit(s.folder())
		time.Sleep(4500 * time.Millisecond) // in the middle of b.txt
		if _, err := s.Pause(t.Context(), j.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, err := s.Job(t.Context(), j.ID); err != nil || got.State != rag.JobPaused || got.Report.Added != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		before := len(*texts)
		time.Sleep(time.Hour)
		if len(*texts) != before {
			t.Error("it went on while paused")
		}
		// Another job is not held up, and a restart keeps the pause.
		s.write("c.txt", "c1")
		other := s.folder()
		other.Paths[0].Name, other.Paths[0].File = "c.txt", other.Paths[0].File+"/c.txt"
		s.done(other)
		s.Close()
		s.start(Config{})
		time.Sleep(time.Hour)
		if got, err := s.Job(t.Context(), j.ID); err != nil || got.State != rag.JobPaused {
			t.Errorf("after the restart: %+v, %v", got, err)
		}
		if _, err := s.Resume(t.Context(), j.ID); err != nil {
			t.Fatal(err)
		}
		got, err := s.Wait(t.Context(), j.ID)
		if err != nil || got.State != rag.JobDone || got.Report.Unchanged != 2 || got.Report.Added != 1 {
			t.Errorf("resumed: %+v, %v", got, err)
		}
		for what, f := range map[string]func(context.Context, string) (rag.Job, error){"pause": s.Pause, "resume": s.Resume} {
			if _, err := f(t.Context(), j.ID); rag.KindOf(err) != rag.Conflict {
				t.Errorf("%s of a job that is done: %v", what, err)
			}
			if _, err := f(t.Context(), "nobody"); rag.KindOf(err) != rag.NotFound {
				t.Errorf("%s of no job: %v", what, err)
			}
		}
	})
}

func TestAPausedJobCanBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.slowly("d1")
		s.write("a.txt", "a1 a2 a3")
		for _, running := range []bool{true, false} {
			first := s.submit(s.folder())
			j := first
			if !running {
				j = s.submit(s.folder())
			}
			time.Sleep(500 * time.Millisecond)
			if _, err := s.Pause(t.Context(), j.ID); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got, err := s.Cancel(t.Context(), j.ID); err != nil || got.State != rag.JobCancelled {
				t.Errorf("running %t: %+v, %v", running, got, err)
			}
			if !running {
				if _, err := s.Wait(t.Context(), first.ID); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func TestAJobSaysHowFastItIsAndHowLongItTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.slowly("d1")
		s.write("a.txt", strings.Repeat("word ", 20))
		s.write("b.txt", strings.Repeat("term ", 80))
		j := s.submit(s.folder())
		time.Sleep(60500 * time.Millisecond)
		got, err := s.Job(t.Context(), j.ID)
		if err != nil {
			t.Fatal(err)
		}
		// 40 to 60 of 100 passages are done, at one a second.
		if r := got.Report; r.Rate < .9 || r.Rate > 1.6 || r.SecondsLeft < 30 || r.SecondsLeft > 65 {
			t.Errorf("%.2f passages a second, %.0f seconds left", r.Rate, r.SecondsLeft)
		}
		if got, err = s.Wait(t.Context(), j.ID); err != nil || got.Report.SecondsLeft != 0 {
			t.Errorf("at the end: %+v, %v", got.Report, err)
		}
	})
}

func TestTheVectorOfATextIsNeverMadeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		texts := s.slowly("d1")
		s.write("a.txt", "one two three")
		s.done(s.folder())
		if len(*texts) != 3 {
			t.Fatalf("made %v", *texts)
		}
		s.write("a.txt", "one two four three")
		s.recipe = "r2" // and cut another way
		s.done(s.folder())
		if n := len(*texts); n != 4 {
			t.Errorf("one passage is new, and %d vectors were made: %v", n-3, *texts)
		}
		// Another model's vectors are others.
		texts = s.slowly("d2")
		must(t, s.store.CreateBase(t.Context(), "other"))
		req := s.folder()
		req.DB = "other"
		s.done(req)
		if len(*texts) != 4 {
			t.Errorf("another model made %v", *texts)
		}
	})
}

func TestReindexKeepsTheOldVectorsUntilAllNewOnesAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.slowly("d1")
		s.write("a.txt", "one two three four")
		s.done(s.folder())
		embedder := func() string {
			kb, err := s.store.KnowledgeBase(t.Context(), "kb")
			must(t, err)
			return kb.Embedder.Digest
		}
		texts := s.slowly("d2")
		j := s.submit(rag.IngestRequest{DB: "kb", Reindex: true})
		time.Sleep(2500 * time.Millisecond)
		if d := embedder(); d != "d1" {
			t.Errorf("half-way the embedder is %s", d)
		}
		if got, err := s.Cancel(t.Context(), j.ID); err != nil || got.State != rag.JobCancelled || embedder() != "d1" {
			t.Errorf("cancelled: %+v, %v, embedder %s", got, err, embedder())
		}
		*texts = nil
		got := s.done(rag.IngestRequest{DB: "kb", Reindex: true})
		if embedder() != "d2" || len(*texts) != 4 || got.Vectors != 4 {
			t.Errorf("%+v, embedder %s, made %v", got, embedder(), *texts)
		}
		if waiting, err := s.store.Pending(t.Context(), "kb", 9); err != nil || len(waiting) != 0 {
			t.Errorf("%d passages wait, %v", len(waiting), err)
		}
		kept, err := s.store.KnownVectors(t.Context(), []string{vectorKey(rag.EmbedderID{Digest: "d1"}, "one")})
		if err != nil || len(kept) != 0 {
			t.Errorf("old vectors are kept: %v, %v", kept, err)
		}
	})
}

func TestAKilledReindexIsTakenUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.slowly("d1")
		s.write("a.txt", "one two three four")
		s.done(s.folder())
		texts := s.slowly("d2")
		j := s.submit(rag.IngestRequest{DB: "kb", Reindex: true})
		time.Sleep(2500 * time.Millisecond)
		s.Close()
		s.start(Config{})
		got, err := s.Wait(t.Context(), j.ID)
		if err != nil || got.State != rag.JobDone {
			t.Fatalf("%+v, %v", got, err)
		}
		if kb, err := s.store.KnowledgeBase(t.Context(), "kb"); err != nil || kb.Embedder.Digest != "d2" || len(*texts) < 4 {
			t.Errorf("%+v, %v, made %v", kb, err, *texts)
		}
	})
}
