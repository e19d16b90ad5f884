package store

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func keptAnswer(id string) rag.KeptAnswer {
	return rag.KeptAnswer{ID: id, Key: rag.CacheKey{DB: "kb", Scope: "s", Question: "q" + id}, Vector: []float32{1, .5}, Made: 7, Answer: []byte(`{"Text":"a` + id + `"}`)}
}

func openKept(t *testing.T, s *Store, wantLost bool) *Answers {
	t.Helper()
	a, lost, err := s.OpenAnswers(t.Context())
	if err != nil || lost != wantLost {
		t.Fatalf("lost %t, %v", lost, err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func TestLaw12AnswersAreKeptWholeOrNotAtAll(t *testing.T) {
	s := open(t, t.TempDir())
	a := openKept(t, s, false)
	one, two, three := keptAnswer("1"), keptAnswer("2"), keptAnswer("3")
	must(t, a.KeepAnswers(t.Context(), []rag.KeptAnswer{one, two, three}, nil))
	one.Answer = []byte(`{"Text":"again"}`)
	must(t, a.KeepAnswers(t.Context(), []rag.KeptAnswer{one}, []string{"2", "none"}))
	must(t, a.Close())
	a = openKept(t, s, false)
	if got, err := a.KeptAnswers(t.Context()); err != nil || !reflect.DeepEqual(got, []rag.KeptAnswer{one, three}) {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := a.db.ExecContext(t.Context(), `UPDATE answers SET data = replace(CAST(data AS TEXT), 'q1', 'q9') WHERE id = '1'`); err != nil {
		t.Fatal(err)
	}
	if got, err := a.KeptAnswers(t.Context()); err != nil || !reflect.DeepEqual(got, []rag.KeptAnswer{three}) {
		t.Fatalf("a row that was not written so: %+v, %v", got, err)
	}
	var left int
	if err := a.db.QueryRowContext(t.Context(), `SELECT count(*) FROM answers`).Scan(&left); err != nil || left != 1 {
		t.Errorf("%d rows are left, %v: nobody would ever remove a torn one", left, err)
	}
}

func TestLaw12ARemovedAnswersBytesAreGone(t *testing.T) {
	s := open(t, t.TempDir())
	a := openKept(t, s, false)
	k := keptAnswer("1")
	k.Key.Question = "a very secret question"
	must(t, a.KeepAnswers(t.Context(), []rag.KeptAnswer{k}, nil))
	must(t, a.KeepAnswers(t.Context(), nil, []string{"1"}))
	for _, end := range []string{"", "-wal"} {
		data, err := os.ReadFile(filepath.Join(s.Dir(), answersFile+end))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("very secret")) {
			t.Errorf("%s holds the question still", answersFile+end)
		}
	}
}

func TestLaw12ABrokenFileCostsTheCacheNotTheStart(t *testing.T) {
	s := open(t, t.TempDir())
	file := filepath.Join(s.Dir(), answersFile)
	for name, spoil := range map[string]func(data []byte) []byte{
		"not a database": func([]byte) []byte { return []byte("something else, and long enough to be no empty file") },
		"cut":            func(data []byte) []byte { return data[:len(data)/2] },
		"another version": func(data []byte) []byte {
			data[63]++ // user_version
			return data
		},
	} {
		a := openKept(t, s, false)
		must(t, a.KeepAnswers(t.Context(), []rag.KeptAnswer{keptAnswer("1")}, nil))
		must(t, a.Close())
		data, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(file, spoil(data), 0o600))
		a = openKept(t, s, true)
		if got, err := a.KeptAnswers(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		must(t, a.KeepAnswers(t.Context(), []rag.KeptAnswer{keptAnswer("2")}, nil))
		must(t, a.Close())
	}
}

func TestCallsAreKeptWholeBesideAnswers(t *testing.T) {
	s := open(t, t.TempDir())
	a := openKept(t, s, false)
	one, two := rag.KeptCall{Key: "1", DB: "kb", Passages: []int64{4}, Made: 1, Data: []byte("x")}, rag.KeptCall{Key: "2", Made: 2, Data: []byte("secret words")}
	must(t, a.KeepAnswers(t.Context(), []rag.KeptAnswer{keptAnswer("1")}, nil))
	must(t, a.KeepCalls(t.Context(), []rag.KeptCall{two, one}, nil))
	must(t, a.Close())
	a = openKept(t, s, false)
	if got, err := a.KeptCalls(t.Context()); err != nil || !reflect.DeepEqual(got, []rag.KeptCall{one, two}) {
		t.Fatalf("%+v, %v", got, err)
	}
	must(t, a.KeepCalls(t.Context(), nil, []string{"2", "none"}))
	if _, err := a.db.ExecContext(t.Context(), `UPDATE calls SET sum = x'00' WHERE key = '1'`); err != nil {
		t.Fatal(err)
	}
	if got, err := a.KeptCalls(t.Context()); err != nil || len(got) != 0 {
		t.Fatalf("a damaged row was read: %+v, %v", got, err)
	}
	if kept, err := a.KeptAnswers(t.Context()); err != nil || len(kept) != 1 {
		t.Errorf("the answers beside it: %v, %v", kept, err)
	}
	// A file of a program that knew no calls keeps its answers.
	if _, err := a.db.ExecContext(t.Context(), `DROP TABLE calls`); err != nil {
		t.Fatal(err)
	}
	must(t, a.Close())
	a = openKept(t, s, false)
	if kept, err := a.KeptAnswers(t.Context()); err != nil || len(kept) != 1 {
		t.Errorf("%v, %v", kept, err)
	}
}
