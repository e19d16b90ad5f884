package ingest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Each test runs in a bubble: its end proves that no goroutine is left after Close.

func TestAReaderThatHangsIsEndedByItsTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.write("a.txt", "hang")
		s.write("b.txt", "good")
		start := time.Now()
		r := s.done(s.folder())
		if took := time.Since(start); took != 2*time.Minute || r.Added != 1 || items(r)["docs/a.txt"].Reason != "reading took longer than 2m0s" {
			t.Errorf("after %s: %+v", took, r)
		}
	})
}

func TestPassagesGetTheirVectorsWhenTheEmbedderIsBack(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t)
			defer s.end()
			s.down.Store(true)
			s.write("a.txt", "one two")
			s.write("b.txt", "three")
			r := s.done(s.folder())
			if r.Added != 2 || r.Vectors != 0 || r.Pending != 3 || !strings.Contains(r.Notice, "the embedder is down") || s.embeds.Load() != 1 {
				t.Errorf("report %+v after %d calls", r, s.embeds.Load())
			}
			if s.Stats().PendingVector != 1 {
				t.Errorf("stats %+v", s.Stats())
			}
			if restart {
				s.Close()
				s.start(Config{})
			}
			time.Sleep(31 * time.Second)
			synctest.Wait()
			if waiting, _ := s.store.Pending(t.Context(), "kb", 9); len(waiting) != 3 {
				t.Errorf("%d passages wait while it is down", len(waiting))
			}
			s.down.Store(false)
			if restart {
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if waiting, _ := s.store.Pending(t.Context(), "kb", 9); len(waiting) != 3 {
					t.Errorf("a model server was asked before anybody asked us: %d passages wait", len(waiting))
				}
				s.Wake()
			}
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if waiting, _ := s.store.Pending(t.Context(), "kb", 9); len(waiting) != 0 || s.Stats().PendingVector != 0 {
				t.Errorf("%d passages still wait (restarted: %t)", len(waiting), restart)
			}
			calls := s.embeds.Load()
			time.Sleep(time.Hour)
			synctest.Wait()
			if s.embeds.Load() != calls {
				t.Error("it goes on embedding what has its vectors")
			}
		})
	}
}

func TestADeletedKnowledgeBaseWaitsForNoVectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.down.Store(true)
		s.write("a.txt", "one")
		s.done(s.folder())
		must(t, s.store.DeleteBase(t.Context(), "kb"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.Stats().PendingVector; n != 0 {
			t.Errorf("%d knowledge bases wait", n)
		}
	})
}

func TestAJobSurvivesCloseAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.write("a.txt", "gate one")
		spool := filepath.Join(s.dir, "..", "spool")
		must(t, os.Mkdir(spool, 0o700))
		req := s.folder()
		req.Spool = spool
		running, queued := s.submit(req), s.submit(s.folder())
		waited := make(chan error, 2)
		for _, id := range []string{running.ID, queued.ID} {
			go func() {
				_, err := s.Wait(context.Background(), id)
				waited <- err
			}()
		}
		synctest.Wait()
		if st := s.Stats(); st.QueueDepth != 1 || st.JobsRunning != 1 || st.OldestQueued.IsZero() {
			t.Errorf("stats %+v", st)
		}
		if j, err := s.Job(t.Context(), running.ID); err != nil || j.State != rag.JobRunning {
			t.Error(j.State, err)
		}
		s.Close()
		for range 2 { // whoever waits is let go
			if err := <-waited; rag.KindOf(err) != rag.Unavailable {
				t.Errorf("waited: %v", err)
			}
		}
		if spools, err := s.Spools(t.Context()); err != nil || !spools[spool] {
			t.Errorf("the spool counts as left over: %v, %v", spools, err)
		}
		close(s.gate)
		s.start(Config{})
		for _, id := range []string{running.ID, queued.ID} {
			j, err := s.Wait(t.Context(), id)
			if err != nil || j.State != rag.JobDone {
				t.Errorf("%+v, %v", j, err)
			}
		}
		if _, err := os.Stat(spool); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the spool stays: %v", err)
		}
		if list, err := s.List(t.Context()); err != nil || len(list) != 2 || list[0].ID != running.ID {
			t.Errorf("list %v, %v", list, err)
		}
	})
}

func TestARunningJobAndAWaitingOneCanBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.write("a.txt", "gate one")
		spool := filepath.Join(s.dir, "..", "spool")
		must(t, os.Mkdir(spool, 0o700))
		waitingReq := s.folder()
		waitingReq.Spool = spool
		running, waiting, last := s.submit(s.folder()), s.submit(waitingReq), s.submit(s.folder())
		synctest.Wait()
		// The waiting one ends at once, though the other still runs.
		j, err := s.Cancel(t.Context(), waiting.ID)
		if err != nil || j.State != rag.JobCancelled || j.Finished == 0 || s.Stats().QueueDepth != 1 {
			t.Errorf("%+v, %v", j, err)
		}
		if _, err := os.Stat(spool); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its spool stays: %v", err)
		}
		if j, err = s.Cancel(t.Context(), running.ID); err != nil || j.State != rag.JobCancelled || j.Error != "" {
			t.Errorf("%+v, %v", j, err)
		}
		close(s.gate)
		if j, err = s.Wait(t.Context(), last.ID); err != nil || j.State != rag.JobDone {
			t.Errorf("the job after them: %+v, %v", j, err)
		}
		if j, err = s.Cancel(t.Context(), last.ID); err != nil || j.State != rag.JobDone {
			t.Errorf("cancelling one that is done: %+v, %v", j, err)
		}
		if j, err = s.Job(t.Context(), running.ID); err != nil || j.State != rag.JobCancelled {
			t.Errorf("kept as %+v, %v", j, err)
		}
		if _, err = s.Cancel(t.Context(), "none"); rag.KindOf(err) != rag.NotFound {
			t.Error(err)
		}
	})
}

func TestWaitingEndsWithItsContextAndTheJobGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.write("a.txt", "gate one")
		j := s.submit(s.folder())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := s.Wait(ctx, j.ID); !errors.Is(err, context.DeadlineExceeded) || got.State != rag.JobRunning {
			t.Error(got.State, err)
		}
		close(s.gate)
		if got, err := s.Wait(t.Context(), j.ID); err != nil || got.State != rag.JobDone {
			t.Error(got.State, err)
		}
	})
}

func TestFilesAreReadAheadOfTheOneThatIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		defer s.end()
		s.reading = make(chan string, 9)
		for _, name := range []string{"a.txt", "b.txt", "c.txt", "d.txt", "e.txt"} {
			s.write(name, "gate "+name)
		}
		j := s.submit(s.folder())
		synctest.Wait()
		if n := len(s.reading); n != readers() {
			t.Errorf("%d files are read at once, want %d", n, readers())
		}
		close(s.gate)
		if got, err := s.Wait(t.Context(), j.ID); err != nil || got.Report.Added != 5 || got.Report.Items[4].Source != "docs/e.txt" {
			t.Error(got, err)
		}
	})
}
