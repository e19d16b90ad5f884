package ingest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// slow is an embedder that takes a second a passage, stops at once, and keeps what it was asked.
type slow struct {
	id    rag.EmbedderID
	texts *[]string
	fails *atomic.Bool
}

func (e slow) Embed(ctx context.Context, _ rag.Purpose, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		if e.fails.Load() {
			return nil, rag.Errorf(rag.Unavailable, "", "the embedder is away")
		}
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
	e := slow{rag.EmbedderID{Name: "slow", Digest: digest, Dimension: 2}, &texts, &s.down}
	s.by = fixed{e}
	s.next = func(context.Context) (rag.Embedder, rag.EmbedderID, error) { return e, e.id, nil }
	s.Close()
	s.start(Config{StoreBatch: 1})
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

func TestAReindexThatAStopInterruptsGoesOnWithWhatItHas(t *testing.T) {
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
		s.start(Config{StoreBatch: 1})
		got, err := s.Wait(t.Context(), j.ID)
		if err != nil || got.State != rag.JobDone {
			t.Fatalf("%+v, %v", got, err)
		}
		if kb, err := s.store.KnowledgeBase(t.Context(), "kb"); err != nil || kb.Embedder.Digest != "d2" || len(*texts) != 4 {
			t.Errorf("%+v, %v, made %v: none twice", kb, err, *texts)
		}
	})
}

func TestAReindexWhoseEmbedderFailsRestsWithWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.slowly("d1")
		s.write("a.txt", "one two three four")
		s.done(s.folder())
		texts := s.slowly("d2")
		j := s.submit(rag.IngestRequest{DB: "kb", Reindex: true})
		time.Sleep(2500 * time.Millisecond)
		s.down.Store(true)
		time.Sleep(time.Minute)
		got, err := s.Job(t.Context(), j.ID)
		if err != nil || got.State != rag.JobPaused || !strings.Contains(got.Report.Notice, "resumed") {
			t.Fatalf("%+v, %v", got, err)
		}
		s.down.Store(false)
		if _, err := s.Resume(t.Context(), j.ID); err != nil {
			t.Fatal(err)
		}
		if got, err = s.Wait(t.Context(), j.ID); err != nil || got.State != rag.JobDone || len(*texts) != 4 {
			t.Errorf("%+v, %v, made %v: none twice", got, err, *texts)
		}
	})
}

func TestADocumentDeletedDuringAReindexLeavesNoVector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.slowly("d1")
		s.write("a.txt", "one two three four")
		s.done(s.folder())
		s.slowly("d2")
		j := s.submit(rag.IngestRequest{DB: "kb", Reindex: true})
		time.Sleep(2500 * time.Millisecond)
		if _, err := s.Remove(t.Context(), "kb", s.sources()); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Cancel(t.Context(), j.ID); err != nil {
			t.Fatalf("%+v, %v", got, err)
		}
		var keys []string
		for _, d := range []string{"d1", "d2"} {
			for _, word := range []string{"one", "two", "three", "four"} {
				keys = append(keys, vectorKey(rag.EmbedderID{Digest: d}, "a.txt\n"+word))
			}
		}
		if known, err := s.store.KnownVectors(t.Context(), keys); err != nil || len(known) != 0 {
			t.Errorf("vectors of deleted text: %v, %v", known, err)
		}
	})
}

func TestPassagesWaitForTheirVectorsWhateverBecomesOfTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.slowly("d1")
		s.down.Store(true)
		s.write("a.txt", "one two")
		s.write("b.txt", "gate three")
		s.reading = make(chan string, 9)
		j := s.submit(s.folder())
		synctest.Wait() // a.txt is stored without vectors, b.txt is being read
		if _, err := s.Cancel(t.Context(), j.ID); err != nil {
			t.Fatal(err)
		}
		s.down.Store(false)
		time.Sleep(time.Minute)
		if n, err := s.store.CountPending(t.Context(), "kb"); err != nil || n != 0 {
			t.Errorf("%d passages still wait, %v", n, err)
		}
	})
}

func TestVectorsAreMadeUpForWhenSomeOfThePassagesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.slowly("d1")
		s.down.Store(true)
		s.write("a.txt", "one two")
		s.write("b.txt", "three")
		s.done(s.folder())
		s.down.Store(false)
		time.Sleep(30500 * time.Millisecond) // a second try has begun with a.txt
		if _, err := s.Remove(t.Context(), "kb", []string{"docs/a.txt"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n, err := s.store.CountPending(t.Context(), "kb"); err != nil || n != 0 {
			t.Errorf("%d passages still wait, %v", n, err)
		}
	})
}

// lazy keeps jobs slowly, so that what is done to them meets.
type lazy struct{ jobs }

type jobs = Jobs

func (l lazy) PutJob(ctx context.Context, j rag.JobRecord) error {
	time.Sleep(time.Second)
	return l.jobs.PutJob(ctx, j)
}

func TestWhateverIsDoneToAJobInAnyOrderItEnds(t *testing.T) {
	acts := []string{"pause", "resume", "cancel"}
	for _, first := range acts {
		for _, second := range acts {
			for _, wait := range []time.Duration{0, 300 * time.Millisecond, 1500 * time.Millisecond} {
				for _, busy := range []bool{true, false} {
					synctest.Test(t, func(t *testing.T) {
						s := newShop(t)
						defer s.end()
						s.slowly("d1")
						s.Close()
						s.Jobs = lazy{s.store}
						must(t, s.Start(context.Background()))
						s.write("a.txt", "one two three four five six")
						j := s.submit(s.folder())
						if !busy { // the job at hand waits behind that one
							j = s.submit(s.folder())
						}
						act := func(name string) {
							what := map[string]func(context.Context, string) (rag.Job, error){"pause": s.Pause, "resume": s.Resume, "cancel": s.Cancel}[name]
							if _, err := what(context.Background(), j.ID); err != nil && rag.KindOf(err) != rag.Conflict {
								t.Errorf("%s then %s: %v", first, second, err)
							}
						}
						var acting sync.WaitGroup
						acting.Go(func() { act(first) })
						time.Sleep(wait)
						acting.Go(func() { act(second) })
						acting.Wait()
						time.Sleep(time.Minute)
						got, err := s.Job(context.Background(), j.ID)
						want := map[string]rag.JobState{"pause": rag.JobPaused, "resume": rag.JobDone, "cancel": rag.JobCancelled}
						if first == "cancel" || second == "cancel" {
							if err != nil || got.State != rag.JobCancelled {
								t.Errorf("%s, then after %s %s (busy %t): %s, %v", first, wait, second, busy, got.State, err)
							}
						} else if wait > 0 && (err != nil || got.State != want[second]) {
							t.Errorf("%s, then after %s %s (busy %t): %s, %v", first, wait, second, busy, got.State, err)
						}
						act("cancel")
					})
				}
			}
		}
	}
}
