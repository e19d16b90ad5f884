package eval

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func cacheSet(t *testing.T, name string, lines ...string) (CacheSet, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := ReadCacheSet(path)
	folder, folderErr := ReadCacheSet(filepath.Dir(path))
	if (err == nil) != (folderErr == nil) || len(file.Questions) != len(folder.Questions) {
		t.Errorf("the file gives %v, %v, its folder %v, %v", file, err, folder, folderErr)
	}
	return file, err
}

func counts(s CacheSet) (stored, asked int) {
	for _, q := range s.Questions {
		if q.Stored {
			stored++
		}
		if q.Asked {
			asked++
		}
	}
	return stored, asked
}

func TestCacheSetsAreReadInAllTheirForms(t *testing.T) {
	for _, c := range []struct {
		name           string
		lines          []string
		stored, asked  int
		pairs, earlier bool
	}{
		{"clusters.jsonl", []string{`{"questions":["a","b","c"]}`, `{"questions":["d","e"]}`, `{"questions":["f","g"]}`, `{"questions":["h"],"split":"holdout"}`}, 2, 5, false, false},
		{"pairs.jsonl", []string{`{"a":"x","b":"y","label":1}`, `{"a":"x","b":"z","label":1}`}, 1, 2, false, false},
		{"pairs.jsonl", []string{`{"a":"x","b":"y","label":1,"part":"dev"}`, `{"a":"x","b":"z","label":0,"part":"dev"}`, `{"a":"x","b":"z","label":0,"part":"test"}`}, 2, 2, true, false},
		{"queries.jsonl", []string{`{"text":"x","category":"c"}`, `{"text":"y","category":"d"}`}, 2, 2, false, false},
	} {
		set, err := cacheSet(t, c.name, c.lines...)
		if stored, asked := counts(set); err != nil || stored != c.stored || asked != c.asked || set.Pairs != c.pairs || set.Earlier != c.earlier {
			t.Errorf("%s: %+v, %v", c.name, set, err)
		}
	}
	for _, line := range []string{`{}`, `{"a":"x"}`, `{"text":"x"}`, `[`} {
		if _, err := cacheSet(t, "pairs.jsonl", line); err == nil || !strings.Contains(err.Error(), "pairs.jsonl:1") {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, err := ReadCacheSet(t.TempDir()); err == nil {
		t.Error("an empty folder was read")
	}
	if _, err := ReadCacheSet(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file was read")
	}
}

func TestACollectionsQuestionsOfOnePassageAndAnswerMeanTheSame(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"corpus.jsonl": `{"_id":"p","text":"Five failures open it."}`, "qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\tp\t1\n2\tp\t1\n3\tp\t1\n",
		"queries.jsonl": `{"_id":"1","text":"How many?"}` + "\n" + `{"_id":"2","text":"What number?"}` + "\n" + `{"_id":"3","text":"What opens?"}`,
		"answers.jsonl": `{"_id":"1","answers":["Five"]}` + "\n" + `{"_id":"2","answers":["five"]}` + "\n" + `{"_id":"3","answers":["it"]}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := ReadCacheSet(dir)
	if err != nil || !set.Earlier || len(set.Questions) != 3 {
		t.Fatalf("%+v, %v", set, err)
	}
	if q := set.Questions; q[0].Meaning != q[1].Meaning || q[0].Meaning == q[2].Meaning {
		t.Errorf("%+v", q)
	}
}
