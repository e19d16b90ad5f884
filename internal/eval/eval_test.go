package eval

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func small() map[string]string {
	return map[string]string{
		"corpus.jsonl":   `{"_id":"d1","title":"One","text":"first"}` + "\n\n" + `{"_id":"d2","text":"second"}` + "\n",
		"queries.jsonl":  `{"_id":"q1","text":"one?"}` + "\n" + `{"_id":"q2","text":"two?"}` + "\n" + `{"_id":"q3","text":"none?"}`,
		"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td1\t0\nq3\td1\t-1\r\n",
	}
}

func TestQuestionsWithoutRelevantDocumentsAreLeftOut(t *testing.T) {
	set, err := Read(write(t, t.TempDir(), small()), "")
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Documents) != 2 || len(set.Questions) != 2 || set.Documents[0].Title != "One" || !set.Relevant["q2"]["d2"] || set.Relevant["q2"]["d1"] {
		t.Errorf("%+v", set)
	}
}

func TestErrorsNameTheFileAndTheLine(t *testing.T) {
	for name, broken := range map[string]struct{ content, want string }{
		"corpus.jsonl":   {`{"_id":"d1"}` + "\n{", "corpus.jsonl:2: "},
		"queries.jsonl":  {`{"_id":"q1"}` + "\n\n" + `{"_id":"q1"}`, "queries.jsonl:3: _id \"q1\" is there twice"},
		"qrels/test.tsv": {"q1\td1\t1\nq1 d1 1", "test.tsv:2: 1 fields"},
	} {
		files := small()
		files[name] = broken.content
		if _, err := Read(write(t, t.TempDir(), files), ""); err == nil || !strings.Contains(err.Error(), broken.want) {
			t.Errorf("%s: %v, want %q", name, err, broken.want)
		}
	}
	files := small()
	delete(files, "qrels/test.tsv")
	if _, err := Read(write(t, t.TempDir(), files), ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing qrels: %v", err)
	}
}

func TestQuestionsMayComeFromAnotherFolder(t *testing.T) {
	dir := write(t, t.TempDir(), small())
	other := write(t, t.TempDir(), map[string]string{"queries.jsonl": `{"_id":"q1","text":"một?"}`})
	set, err := Read(dir, other)
	if err != nil || len(set.Questions) != 1 || set.Questions[0].Text != "một?" {
		t.Errorf("%+v, %v", set.Questions, err)
	}
}

func TestMetricsAreThoseOfTheTextbook(t *testing.T) {
	relevant := map[string]bool{"a": true, "b": true, "c": true}
	got := judge([]string{"a", "x", "a", "b"}, relevant) // a at 1, b at 3
	ideal := 1 + 1/math.Log2(3) + 0.5
	for name, pair := range map[string][2]float64{
		"ndcg":   {got.NDCG10, 1.5 / ideal},
		"recall": {got.Recall10, 2. / 3},
		"ap":     {got.AP, (1 + 2./3) / 3},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, pair[0], pair[1])
		}
	}
}

func TestRunReportsMeansAndNamesTheQuestionThatFails(t *testing.T) {
	set, err := Read(write(t, t.TempDir(), small()), "")
	if err != nil {
		t.Fatal(err)
	}
	first := func(context.Context, string, int) ([]string, error) { return []string{"d1"}, nil }
	report, err := Run(t.Context(), set, first)
	if err != nil || report.Questions != 2 || report.NDCG10 != 0.5 || report.MAP != 0.5 || report.Recall10 != 0.5 || report.P95 < report.P50 {
		t.Errorf("%+v, %v", report, err)
	}
	failing := func(context.Context, string, int) ([]string, error) { return nil, errors.New("broken") }
	if _, err := Run(t.Context(), set, failing); err == nil || err.Error() != "question q1: broken" {
		t.Errorf("%v", err)
	}
	none := func(context.Context, string, int) ([]string, error) { return nil, nil }
	worse, err := Run(t.Context(), set, none)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := report.Compare(worse); err != nil || d.Mean != 0.5 || d.Low != 0 || d.High != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}
