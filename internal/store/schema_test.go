package store

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// file gives the database file of a data folder that holds one document, closed.
func closedFolder(t *testing.T) (dir, file string) {
	t.Helper()
	s := withBase(t, "docs")
	put(t, s, "docs", doc("a.txt", "kept"))
	must(t, s.Close())
	return s.Dir(), filepath.Join(s.Dir(), databaseFile)
}

func upgrade(t *testing.T, file string, steps []string) error {
	t.Helper()
	db, err := connect(file, 1, "immediate")
	must(t, err)
	defer db.Close()
	return migrate(t.Context(), db, file, steps)
}

func TestAnOlderFolderIsUpgradedAfterACopy(t *testing.T) {
	dir, file := closedFolder(t)
	steps := append(append([]string(nil), migrations...), `ALTER TABLE documents ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'`, `CREATE TABLE more (x)`)
	must(t, upgrade(t, file, steps))
	backup := fmt.Sprintf("%s.v%d.bak", file, len(migrations))
	for path, want := range map[string]int{file: len(steps), backup: len(migrations)} {
		db, err := connect(path, 1, "immediate")
		must(t, err)
		var version, documents int
		must(t, db.QueryRow(`SELECT user_version, (SELECT count(*) FROM documents WHERE text = 'kept') FROM pragma_user_version`).Scan(&version, &documents))
		must(t, db.Close())
		if version != want || documents != 1 {
			t.Errorf("%s: version %d, want %d, with %d documents", filepath.Base(path), version, want, documents)
		}
	}
	must(t, upgrade(t, file, steps)) // once is enough
	if _, err := Open(t.Context(), dir); rag.KindOf(err) != rag.Conflict || !strings.Contains(err.Error(), "newer ollama-rag") {
		t.Errorf("a newer schema: %v", err)
	}
}

func TestAnUpgradeThatFailsLeavesTheOldVersionWhole(t *testing.T) {
	dir, file := closedFolder(t)
	err := upgrade(t, file, append(append([]string(nil), migrations...), `CREATE TABLE more (x); DROP TABLE nonsense`))
	if err == nil || !strings.Contains(err.Error(), "upgrade data folder to schema") {
		t.Error(err)
	}
	if e := entries(t, open(t, dir), "docs"); len(e) != 1 {
		t.Errorf("entries %v", e)
	}
}

func TestAForeignOrDamagedDatabaseIsRefusedWithASentence(t *testing.T) {
	foreign := func(version int) func(string) error {
		return func(file string) error {
			db, err := sql.Open("sqlite", file)
			if err != nil {
				return err
			}
			defer db.Close()
			_, err = db.Exec(fmt.Sprintf(`CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1); PRAGMA user_version = %d`, version))
			return err
		}
	}
	for name, spoil := range map[string]func(file string) error{
		"not a database": func(file string) error {
			return os.WriteFile(file, []byte(strings.Repeat("no database ", 1000)), 0o600)
		},
		"foreign":                         foreign(0),
		"foreign, of a version like ours": foreign(len(migrations)),
		"cut":                             func(file string) error { return os.Truncate(file, 1000) },
		"schema overwritten": func(file string) error {
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte(strings.Repeat("\xff", 3000)), 100)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if !strings.HasPrefix(name, "foreign") && name != "not a database" {
				dir, _ = closedFolder(t)
			}
			file := filepath.Join(dir, databaseFile)
			must(t, spoil(file))
			_, err := Open(t.Context(), dir)
			if err == nil || !strings.Contains(err.Error(), "restore it from a backup") || strings.Contains(err.Error(), dir) {
				t.Errorf("got %v", err)
			}
			if _, again := Open(t.Context(), dir); fmt.Sprint(again) != fmt.Sprint(err) {
				t.Errorf("the folder stays locked, or the fault changes: %v", again)
			}
		})
	}
}

const childVariable = "STORE_TEST_CHILD_FOLDER"

// TestMain lets the test binary be the process that TestNothingAcknowledgedIsLostByAKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		err := writeUntilKilled(context.Background(), dir)
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func writeUntilKilled(ctx context.Context, dir string) error {
	s, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	if err := s.EnsureBase(ctx, "docs"); err != nil {
		return err
	}
	start, err := s.Change(ctx, "docs")
	if err != nil {
		return err
	}
	for i := start; ; i++ {
		text := fmt.Sprint(i)
		if _, err := s.Put(ctx, "docs", withVectors(doc(fmt.Sprintf("%d.txt", i%7), text, text, text))); err != nil {
			return err
		}
		fmt.Println("wrote", i)
	}
}

func TestNothingAcknowledgedIsLostByAKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childVariable+"="+dir)
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		last, lines := -1, bufio.NewScanner(out)
		for writes := 0; lines.Scan(); {
			n, ok := strings.CutPrefix(lines.Text(), "wrote ")
			if !ok {
				t.Fatal("the child says: ", lines.Text())
			}
			last, err = strconv.Atoi(n)
			must(t, err)
			if writes++; writes == 20+13*round {
				must(t, child.Process.Kill())
			}
		}
		_ = child.Wait() // it was killed
		if last < 0 {
			t.Fatal("the child wrote nothing")
		}
		s := open(t, dir)
		change, err := s.Change(t.Context(), "docs")
		must(t, err)
		if change < uint64(last)+1 || change > uint64(last)+2 {
			t.Errorf("change %d after write %d was acknowledged", change, last)
		}
		newest := map[string]int{}
		for i := range int(change) {
			newest[fmt.Sprintf("%d.txt", i%7)] = i
		}
		got := map[string][]string{}
		for _, e := range entries(t, s, "docs") {
			got[e.Passage.Source] = append(got[e.Passage.Source], e.Passage.Text)
			if len(e.Vector) != 2 {
				t.Errorf("a passage lost its vector: %+v", e)
			}
		}
		for source, i := range newest {
			want := strconv.Itoa(i)
			if texts := got[source]; len(texts) != 3 || texts[0] != want || texts[1] != want || texts[2] != want {
				t.Errorf("%s holds %v, want %s three times", source, texts, want)
			}
		}
		if len(got) != len(newest) {
			t.Errorf("%d documents, want %d", len(got), len(newest))
		}
		must(t, s.Close())
	}
}

func TestTheCopyOfAnUpgradeGoesWithTheStartAfterIt(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir)
	must(t, err)
	must(t, s.Close())
	file := filepath.Join(dir, "ollama-rag.db")
	steps := append(append([]string(nil), migrations...), `CREATE TABLE more (x)`)
	must(t, upgrade(t, file, steps))
	copies := func() int {
		list, err := filepath.Glob(file + ".v*.bak")
		must(t, err)
		return len(list)
	}
	if n := copies(); n != 1 {
		t.Fatalf("%d copies after the upgrade", n)
	}
	must(t, upgrade(t, file, steps))
	if n := copies(); n != 0 {
		t.Errorf("%d copies after the next start: they hold what was deleted since", n)
	}
}
