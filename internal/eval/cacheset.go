package eval

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// CacheQuestion is a question that is put to an answer cache, in the order of a CacheSet.
type CacheQuestion struct {
	ID      string
	Text    string
	Meaning string // questions of one meaning may be answered by each other's answers
	Stored  bool   // its answer is remembered
	Asked   bool   // the cache is asked for it
	Group   string // questions of one cluster or passage, which must not be on both sides of a split
}

// CacheSet says which questions may be answered from memory.
type CacheSet struct {
	Name      string
	Questions []CacheQuestion
	Pairs     bool // a question can be served by the one before it only
	Earlier   bool // a question can be served by those before it only
}

// cacheRow is a row of any of the files that ReadCacheSet knows.
type cacheRow struct {
	ID        json.Number `json:"id"`
	Questions []string    `json:"questions"`
	A         string      `json:"a"`
	B         string      `json:"b"`
	Label     int         `json:"label"`
	Part      string      `json:"part"`
	Text      string      `json:"text"`
	Category  string      `json:"category"`
	Split     string      `json:"split"`
}

// ReadCacheSet reads questions from a file or a folder with one of: clusters.jsonl (questions that mean the same: the first of
// each is remembered and the others asked, but for every third row, which is asked whole and must miss), pairs.jsonl (a, b and label: where every label is 1, each
// a is remembered and each b asked; else each b is asked beside its a alone, in part dev), queries.jsonl with categories (each is
// asked beside all others; one of the same category may serve it), or a collection in BEIR's layout with answers.jsonl (asked in
// order; an earlier one may serve a later one that has the same passage and answer). Rows held out are left out.
func ReadCacheSet(path string) (CacheSet, error) {
	info, err := os.Stat(path)
	if err != nil {
		return CacheSet{}, err
	}
	set := CacheSet{Name: filepath.Base(path)}
	if info.IsDir() {
		if _, err := os.Stat(filepath.Join(path, "corpus.jsonl")); err == nil {
			return readCacheBEIR(set, path)
		}
		for _, name := range []string{"clusters.jsonl", "pairs.jsonl", "queries.jsonl"} {
			if _, err := os.Stat(filepath.Join(path, name)); err == nil {
				return readCacheRows(set, filepath.Join(path, name))
			}
		}
		return set, fmt.Errorf("%s: clusters.jsonl, pairs.jsonl, queries.jsonl or corpus.jsonl is wanted in it", path)
	}
	return readCacheRows(set, path)
}

func readCacheRows(set CacheSet, path string) (CacheSet, error) {
	var rows []cacheRow
	different := false
	err := eachLine(path, func(_ int, line string) error {
		var r cacheRow
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return err
		}
		switch {
		case len(r.Questions) == 0 && (r.A == "" || r.B == "") && (r.Text == "" || r.Category == ""):
			return fmt.Errorf("questions, a and b, or text and category are wanted")
		case r.Split == "holdout" || r.Part != "" && r.Part != "dev":
			return nil
		}
		rows = append(rows, r)
		different = different || r.A != "" && r.Label == 0
		return nil
	})
	if err != nil {
		return set, err
	}
	set.Pairs = different
	seen := map[string]bool{}
	for i, r := range rows {
		id := fmt.Sprint(i)
		switch {
		case len(r.Questions) > 0:
			for j, q := range r.Questions {
				first := j == 0 && len(r.Questions) > 1 && i%3 != 2
				set.Questions = append(set.Questions, CacheQuestion{ID: fmt.Sprint(i, ".", j), Text: q, Meaning: id, Stored: first, Asked: !first, Group: id})
			}
		case r.A != "":
			same := id
			if different && r.Label == 0 {
				same = id + " differs"
			}
			if !different {
				id, same = r.A, r.A
			}
			if different || !seen[r.A] {
				set.Questions = append(set.Questions, CacheQuestion{ID: fmt.Sprint(i, "a"), Text: r.A, Meaning: id, Stored: true})
			}
			seen[r.A] = true
			set.Questions = append(set.Questions, CacheQuestion{ID: fmt.Sprint(i, "b"), Text: r.B, Meaning: same, Asked: true, Group: r.A})
		default:
			set.Questions = append(set.Questions, CacheQuestion{ID: id, Text: r.Text, Meaning: r.Category, Stored: true, Asked: true, Group: r.Category})
		}
	}
	return set, nil
}

func readCacheBEIR(set CacheSet, dir string) (CacheSet, error) {
	beir, err := Read(dir, "")
	if err != nil {
		return set, err
	}
	answers, err := ReadAnswers(dir)
	if err != nil {
		return set, err
	}
	set.Name, set.Earlier = filepath.Base(filepath.Dir(dir))+"/"+beir.Name, true
	for _, q := range beir.Questions {
		meaning := fmt.Sprint(beir.Relevant[q.ID], strings.ToLower(strings.Join(answers[q.ID], "|")))
		set.Questions = append(set.Questions, CacheQuestion{ID: q.ID, Text: q.Text, Meaning: meaning, Stored: true, Asked: true, Group: fmt.Sprint(beir.Relevant[q.ID])})
	}
	return set, nil
}

// ReadAnswers reads the answers to a collection's questions, by their ids, from answers.jsonl.
func ReadAnswers(dir string) (map[string][]string, error) {
	type row struct {
		ID      string   `json:"_id"`
		Answers []string `json:"answers"`
	}
	rows, err := readRows(filepath.Join(dir, "answers.jsonl"), func(r row) string { return r.ID })
	out := map[string][]string{}
	for _, r := range rows {
		out[r.ID] = r.Answers
	}
	return out, err
}
