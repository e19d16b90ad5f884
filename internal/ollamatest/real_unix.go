//go:build unix

package ollamatest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	realStart = 30 * time.Second // until the server listens
	realStop  = 10 * time.Second // until it is killed
)

// shared is the one real server of this process.
var shared struct {
	sync.Mutex
	users  int
	server *RealServer
	stop   func()
}

func shareReal(t testing.TB) *RealServer {
	t.Helper()
	dir := os.Getenv(RealVariable)
	if dir == "" {
		t.Skipf("%s is not set: scripts/real-ollama.sh install makes that folder", RealVariable)
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.users == 0 {
		server, stop, err := startReal(dir)
		if err != nil {
			t.Fatal(err)
		}
		shared.server, shared.stop = server, stop
	}
	shared.users++
	t.Cleanup(func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.users--; shared.users == 0 {
			shared.stop()
		}
	})
	return shared.server
}

// startReal runs the server on a port that it chooses itself, with a store that stays in the folder.
func startReal(dir string) (*RealServer, func(), error) {
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(filepath.Join(dir, "bin", "ollama"), "serve")
	cmd.Env = append(os.Environ(), "HOME="+home, "OLLAMA_MODELS="+filepath.Join(dir, "store"), "OLLAMA_HOST=127.0.0.1:0",
		"OLLAMA_NO_CLOUD=1", "OLLAMA_NOPRUNE=1", "OLLAMA_KEEP_ALIVE=10m")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	_ = write.Close()
	stop := func() { stopReal(cmd, read) }
	url, err := listening(read)
	if err == nil {
		err = loadModels(dir, url)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return &RealServer{URL: url}, stop, nil
}

var listeningLine = regexp.MustCompile(`Listening on (127\.0\.0\.1:\d+)`)

// listening reads the log until the server says where it listens, and goes on reading so that it never blocks.
func listening(log *os.File) (string, error) {
	found := make(chan string, 1)
	go func() {
		defer close(found)
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			if m := listeningLine.FindSubmatch(lines.Bytes()); m != nil {
				found <- "http://" + string(m[1])
				break
			}
		}
		_, _ = io.Copy(io.Discard, log)
	}()
	select {
	case url, ok := <-found:
		if !ok {
			return "", errors.New("the real ollama ended before it listened")
		}
		return url, nil
	case <-time.After(realStart):
		return "", fmt.Errorf("the real ollama did not listen within %v", realStart)
	}
}

// loadModels gives the server its models; test processes that share the store take turns.
func loadModels(dir, url string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "store.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(root, "scripts", "real-ollama.sh"), "load", url)
	cmd.Env = append(os.Environ(), "OLLAMA_RAG_TEST_CACHE="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load models: %w: %s", err, out)
	}
	return nil
}

// moduleRoot is the folder of go.mod, above the folder that the test runs in.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}

// stopReal ends the process group that was started: the server and its runners.
func stopReal(cmd *exec.Cmd, log io.Closer) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	over := time.AfterFunc(realStop, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	_ = cmd.Wait()
	over.Stop()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // a runner that outlived it
	_ = log.Close()
}
