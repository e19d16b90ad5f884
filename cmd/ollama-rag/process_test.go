package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// binary builds the program once for the tests of this package.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ollama-rag-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "ollama-rag")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// command prepares a run of the program with clean settings.
func command(t *testing.T, dataDir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "OLLAMA_RAG_DATA_DIR=" + dataDir, "OLLAMA_RETRY_BACKOFF=0.001"}, env...)
	return cmd
}

// result is what a run of the program came to.
type result struct {
	code           int
	stdout, stderr string
}

func runProgram(t *testing.T, dataDir string, env []string, args ...string) result {
	t.Helper()
	cmd := command(t, dataDir, env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// process is a serving program.
type process struct {
	cmd  *exec.Cmd
	url  string
	log  *bytes.Buffer
	read chan struct{} // closed when the program's log has ended
}

// startServer runs `serve` on a free port and waits for its readiness line.
func startServer(t *testing.T, dataDir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: command(t, dataDir, env, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...), log: &bytes.Buffer{}, read: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(p.read)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			fmt.Fprintln(p.log, lines.Text())
			if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				ready <- url
			}
		}
		close(ready)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.read
		_ = p.cmd.Wait() // fails where stop has waited already
	})
	select {
	case p.url = <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("the server is not ready after 30 s")
	}
	if p.url == "" {
		<-p.read
		t.Fatalf("the server ended: %s", p.log)
	}
	return p
}

// stop sends a signal and waits for the end.
func (p *process) stop(t *testing.T, sig os.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	<-p.read
	_ = p.cmd.Wait() // a killed program has no good end
	return p.cmd.ProcessState.ExitCode()
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCommandsWorkWithAndWithoutAServer(t *testing.T) {
	stub := ollamatest.New(t)
	env := []string{"OLLAMA_BASE_URL=" + stub.URL, "EMBED_MODEL=all-minilm"}
	data, docs := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(docs, "breaker.md"), breakerText)
	writeFile(t, filepath.Join(docs, "broken.pdf"), "not a PDF")

	r := runProgram(t, data, env, "ingest", docs)
	if r.code != 0 || !strings.Contains(r.stdout, "1 read (1 new") || !strings.Contains(r.stdout, "broken.pdf") || !strings.Contains(r.stdout, "skipped") {
		t.Fatalf("ingest: %+v", r)
	}
	for _, withServer := range []bool{false, true} {
		if withServer {
			startServer(t, data, env)
		}
		r = runProgram(t, data, env, "ask", "How many consecutive failures open the breaker?")
		if r.code != 0 || !strings.Contains(r.stdout, "[1]") || !strings.Contains(r.stdout, "breaker.md") {
			t.Errorf("ask: %+v", r)
		}
		r = runProgram(t, data, env, "search", "idle connections")
		if r.code != 0 || !strings.Contains(r.stdout, "breaker.md") {
			t.Errorf("search: %+v", r)
		}
		r = runProgram(t, data, env, "docs")
		if r.code != 0 || !strings.Contains(r.stdout, "breaker.md") {
			t.Errorf("docs: %+v", r)
		}
		r = runProgram(t, data, env, "dbs")
		if r.code != 0 || !strings.Contains(r.stdout, "default") || !strings.Contains(r.stdout, "all-minilm") {
			t.Errorf("dbs: %+v", r)
		}
		r = runProgram(t, data, env, "doctor")
		if r.code != 0 || !strings.Contains(r.stdout, "llama3.1:8b") {
			t.Errorf("doctor: %+v", r)
		}
		r = runProgram(t, data, env, "ask", "--json", "idle connections?")
		if r.code != 0 || !strings.HasPrefix(r.stdout, "{") {
			t.Errorf("ask --json: %+v", r)
		}
		r = runProgram(t, data, env, "ingest", docs)
		if r.code != 0 || !strings.Contains(r.stdout, "1 unchanged") {
			t.Errorf("ingest again: %+v", r)
		}
	}
}

func TestWrongUseExitsWith2AndFailureWith1(t *testing.T) {
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{2, "one question", []string{"ask"}},
		{2, "unknown", []string{"ask", "--nope", "x"}},
		{2, "unknown command", []string{"nope"}},
		{2, "--yes", []string{"dbs", "delete", "default"}},
		{2, "--beir", []string{"eval"}},
		{2, "too many", []string{"serve", "docs"}},
		{2, "too many", []string{"dbs", "foo"}},
		{1, "knowledge base", []string{"ask", "--db", "nope", "x"}},
		{1, "no", []string{"ingest", "/no/such/folder"}},
	} {
		r := runProgram(t, t.TempDir(), []string{"OLLAMA_BASE_URL=http://127.0.0.1:9"}, c.args...)
		if r.code != c.code || !strings.Contains(r.stderr, c.says) {
			t.Errorf("%v: %d %q, want %d and %q", c.args, r.code, r.stderr, c.code, c.says)
		}
	}
}

func TestAllBadSettingsAreNamedAtOnce(t *testing.T) {
	r := runProgram(t, t.TempDir(), []string{"CHUNK_SIZE=ten", "OLLAMA_BASE_URL=ftp://x", "SEMANTIC_CACHE_TRESHOLD=0.9", "CIRCUIT_BREAKER_TIMEOUT=-1", "API_KEYS=read:short-secret"}, "serve")
	if r.code != 2 {
		t.Errorf("exit code %d", r.code)
	}
	for _, part := range []string{"CHUNK_SIZE", "ten", "OLLAMA_BASE_URL", "SEMANTIC_CACHE_TRESHOLD", "did you mean SEMANTIC_CACHE_THRESHOLD", "CIRCUIT_BREAKER_TIMEOUT", "API_KEYS"} {
		if !strings.Contains(r.stderr, part) {
			t.Errorf("%q is not named in %s", part, r.stderr)
		}
	}
	if strings.Contains(r.stderr, "short-secret") {
		t.Error("a key was printed")
	}
}

func TestNobodyListensBeyondLoopbackWithoutKeys(t *testing.T) {
	r := runProgram(t, t.TempDir(), nil, "serve", "--addr", "0.0.0.0:0")
	if r.code != 2 || !strings.Contains(r.stderr, "API_KEYS") {
		t.Errorf("%+v", r)
	}
}

func TestTermDrainsAndKillLosesNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM on Windows")
	}
	stub := ollamatest.New(t)
	env := []string{"OLLAMA_BASE_URL=" + stub.URL, "EMBED_MODEL=all-minilm"}
	data, docs := t.TempDir(), t.TempDir()
	const files = 300
	for i := range files {
		writeFile(t, filepath.Join(docs, fmt.Sprintf("doc%03d.txt", i)), fmt.Sprintf("Document number %d speaks of topic w%dx.", i, i))
	}
	p := startServer(t, data, env, "--docs", docs)
	// Killed in the middle of its work: some embeddings were made, not all.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := stub.AwaitCount(ctx, "/api/embed", 20); err != nil {
		t.Fatal(err)
	}
	p.stop(t, syscall.SIGKILL)
	seen := stub.Count("/api/embed")
	if seen >= files {
		t.Fatalf("all %d files were embedded before the kill", seen)
	}

	p = startServer(t, data, env) // without --docs: the job itself must go on
	if err := stub.AwaitCount(ctx, "/api/embed", files); err != nil {
		t.Fatal(err)
	}
	r := runProgram(t, data, env, "ingest", docs)
	if r.code != 0 || !strings.Contains(r.stdout, fmt.Sprintf("%d read (0 new, 0 changed, %d unchanged)", files, files)) {
		t.Errorf("after the restart: %+v", r)
	}
	r = runProgram(t, data, env, "search", "--method", "bm25", "w271x")
	if !strings.Contains(r.stdout, "doc271.txt") {
		t.Errorf("search: %+v", r)
	}

	// A request that runs when SIGTERM comes may end.
	stub.FailPath("/api/chat", 1, ollamatest.Slow(500*time.Millisecond, 5*time.Millisecond))
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Post(p.url+"/api/query", "application/json", strings.NewReader(`{"query":"What is topic w5x?"}`))
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	if err := stub.AwaitCount(ctx, "/api/chat", 1); err != nil {
		t.Fatal(err)
	}
	if code := p.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM: %s", code, p.log)
	}
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the running request was answered with %d", status)
	}
}

// Law 12, with a real kill -9 in the middle of writing: whatever the file holds afterwards is whole and answers, or is gone.
func TestLaw12KillWhileAnswersAreWrittenServesNoTornEntry(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL on Windows")
	}
	stub := ollamatest.New(t)
	text := "The breaker opens after 5 consecutive failures [1]. " + strings.Repeat("It says so. ", 100)
	stub.SetText(text)
	env := []string{"OLLAMA_BASE_URL=" + stub.URL, "EMBED_MODEL=all-minilm", "SEMANTIC_CACHE_THRESHOLD=1"}
	data, docs := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(docs, "breaker.md"), breakerText)
	if r := runProgram(t, data, env, "ingest", docs); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	ask := func(url string, n int) (answer, status string) {
		resp, err := http.Post(url+"/api/query", "application/json", strings.NewReader(fmt.Sprintf(`{"query":"How many failures open breaker %d?"}`, n)))
		if err != nil {
			return "", "killed"
		}
		defer resp.Body.Close()
		var a struct {
			Answer string                  `json:"answer"`
			Cache  struct{ Status string } `json:"cache"`
		}
		if json.NewDecoder(resp.Body).Decode(&a) != nil {
			return "", "killed"
		}
		return a.Answer, a.Cache.Status
	}
	const rounds, questions = 20, 40
	kept := 0
	for range rounds {
		p := startServer(t, data, env)
		for n := range questions { // what the rounds before left
			if answer, status := ask(p.url, n); answer != strings.TrimSpace(text) && answer != text {
				t.Fatalf("question %d: by %s, %d bytes", n, status, len(answer))
			} else if status == "exact" {
				kept++
			}
		}
		var asked sync.WaitGroup
		var served atomic.Int64
		half := make(chan struct{})
		for n := range 8 {
			asked.Go(func() {
				for i := range questions {
					if _, status := ask(p.url, 1000*(n+1)+i); status == "killed" {
						return
					}
					if served.Add(1) == questions {
						close(half)
					}
				}
			})
		}
		<-half
		p.stop(t, syscall.SIGKILL)
		asked.Wait()
	}
	if kept == 0 {
		t.Error("no answer outlived a kill: the test checks nothing")
	}
}

func TestAddrFileHoldsTheAddressThatServes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "addr")
	p := startServer(t, t.TempDir(), []string{"OLLAMA_BASE_URL=http://127.0.0.1:9"}, "--addr-file", file)
	resp, err := http.Get(p.url + "/health/live")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	data, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(data)) != p.url {
		t.Errorf("%q, %v; want %s", data, err, p.url)
	}
}
