package eval

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxLine is the longest line of a file, in bytes.
const maxLine = 64 << 20

// Set is a collection: documents, questions, and which documents answer which question.
type Set struct {
	Name      string
	Documents []Document
	Questions []Question // those with at least one relevant document
	Relevant  map[string]map[string]bool
}

// Document is a row of corpus.jsonl.
type Document struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Question is a row of queries.jsonl.
type Question struct {
	ID   string `json:"_id"`
	Text string `json:"text"`
}

// Read reads the collection in dir. If questions is not "", it names another folder whose questions are asked instead; their
// relevant documents are those of that folder's qrels if it has any, else those of dir. Errors name the file and the line.
func Read(dir, questions string) (Set, error) {
	set := Set{Name: filepath.Base(dir), Relevant: map[string]map[string]bool{}}
	if questions == "" {
		questions = dir
	} else {
		set.Name += "+" + filepath.Base(questions)
	}
	qrels := filepath.Join(questions, "qrels", "test.tsv")
	if _, err := os.Stat(qrels); err != nil {
		qrels = filepath.Join(dir, "qrels", "test.tsv")
	}
	var err error
	if set.Documents, err = readRows(filepath.Join(dir, "corpus.jsonl"), func(d Document) string { return d.ID }); err != nil {
		return Set{}, err
	}
	all, err := readRows(filepath.Join(questions, "queries.jsonl"), func(q Question) string { return q.ID })
	if err != nil {
		return Set{}, err
	}
	if err := eachLine(qrels, set.addJudgement); err != nil {
		return Set{}, err
	}
	for _, q := range all {
		if len(set.Relevant[q.ID]) > 0 {
			set.Questions = append(set.Questions, q)
		}
	}
	if len(set.Questions) == 0 {
		return Set{}, fmt.Errorf("%s: marks no relevant document for any question of %s", qrels, questions)
	}
	return set, nil
}

// addJudgement takes a line of qrels: question, document and score, parted by tabs. The first line may be a heading.
func (s *Set) addJudgement(number int, line string) error {
	fields := strings.Split(line, "\t")
	if len(fields) != 3 {
		return fmt.Errorf("%d fields instead of 3: question, document and score, parted by tabs", len(fields))
	}
	score, err := strconv.Atoi(strings.TrimSpace(fields[2]))
	if err != nil {
		if number == 1 {
			return nil
		}
		return fmt.Errorf("the score %q is no whole number", fields[2])
	}
	if score > 0 {
		if s.Relevant[fields[0]] == nil {
			s.Relevant[fields[0]] = map[string]bool{}
		}
		s.Relevant[fields[0]][fields[1]] = true
	}
	return nil
}

// readRows reads a file of JSON objects, one a line, each with an id of its own.
func readRows[T any](path string, id func(T) string) ([]T, error) {
	var rows []T
	seen := map[string]bool{}
	err := eachLine(path, func(_ int, line string) error {
		var row T
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return err
		}
		switch key := id(row); {
		case key == "":
			return fmt.Errorf("no _id")
		case seen[key]:
			return fmt.Errorf("_id %q is there twice", key)
		default:
			seen[key] = true
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// eachLine calls do with each line of a file that is not empty, and its number.
func eachLine(path string, do func(number int, line string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return lines(f, path, do)
}

func lines(r io.Reader, path string, do func(number int, line string) error) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLine)
	number := 0
	for scanner.Scan() {
		number++
		line := scanner.Text()
		if number == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := do(number, line); err != nil {
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", path, number+1, err)
	}
	return nil
}
