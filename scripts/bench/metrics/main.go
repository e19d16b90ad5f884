// Command metrics measures what the instruments cost: the same program with METRICS_ENABLED true and false before the same scripted
// model server, in interleaved rounds, and what a scrape takes. `make bench-metrics` runs it.
//
// It prints a table in Markdown: the throughput with instruments over that without, the median of the rounds with the 95 % bootstrap
// interval of that median.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const clients = 16

func main() {
	program := flag.String("program", "bin/ollama-rag", "the program that is measured")
	rounds := flag.Int("rounds", 20, "rounds, each of which measures both")
	length := flag.Duration("length", time.Second, "how long one measurement takes")
	flag.Parse()
	if err := bench(*program, *rounds, *length); err != nil {
		fmt.Fprintln(os.Stderr, "bench-metrics:", err)
		os.Exit(1)
	}
}

const (
	chat     = `{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"It opens after five failures [1]."},"done":true,"done_reason":"stop","total_duration":1000000,"load_duration":1,"prompt_eval_count":9,"eval_count":7}`
	question = `{"query":"When does the breaker open?","method":"bm25"}`
)

// model answers as Ollama does, at once.
func model(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	switch r.URL.Path {
	case "/api/tags":
		_, _ = io.WriteString(w, `{"models":[{"name":"m:latest","model":"m:latest","digest":"d","details":{"family":"llama"}}]}`)
	case "/api/ps":
		_, _ = io.WriteString(w, `{"models":[]}`)
	case "/api/show":
		_, _ = io.WriteString(w, `{"capabilities":["completion"]}`)
	case "/api/version":
		_, _ = io.WriteString(w, `{"version":"0.17.4"}`)
	case "/api/chat":
		_, _ = io.WriteString(w, chat+"\n")
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// side is the program with or without instruments.
type side struct {
	url    string
	client *http.Client
	stop   func()
}

func start(program, upstream, dir string, metrics bool) (*side, error) {
	addr := filepath.Join(dir, fmt.Sprintf("addr-%v", metrics))
	cmd := exec.Command(program, "serve", "--addr", "127.0.0.1:0", "--addr-file", addr, "--data-dir", filepath.Join(dir, fmt.Sprintf("data-%v", metrics)))
	cmd.Env = append(os.Environ(), "OLLAMA_BASE_URL="+upstream, "LOG_LEVEL=warn", fmt.Sprintf("METRICS_ENABLED=%v", metrics))
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &side{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}}
	s.stop = func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }
	for range 500 {
		if data, err := os.ReadFile(addr); err == nil {
			s.url = strings.TrimSpace(string(data))
			return s, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.stop()
	return nil, errors.New("the server did not start")
}

func (s *side) send(method, path, body string) (string, error) {
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", path, resp.StatusCode, data)
	}
	return string(data), err
}

// throughput is how many requests a second come back.
func (s *side) throughput(path, body string, length time.Duration) (float64, error) {
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	begin := time.Now()
	for range clients {
		all.Go(func() {
			for time.Since(begin) < length {
				if _, err := s.send(http.MethodPost, path, body); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(begin).Seconds(), nil
}

func bench(program string, rounds int, length time.Duration) error {
	dir, err := os.MkdirTemp("", "bench-metrics")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	upstream := httptest.NewServer(http.HandlerFunc(model))
	defer upstream.Close()
	var sides []*side
	for _, metrics := range []bool{true, false} {
		s, err := start(program, upstream.URL, dir, metrics)
		if err != nil {
			return err
		}
		defer s.stop()
		sides = append(sides, s)
		if err := s.fill(); err != nil {
			return err
		}
	}
	fmt.Println("| request | with instruments | without | ratio | 95 % interval |\n|---|---|---|---|---|")
	for _, c := range []struct{ name, path, body string }{
		{"`POST /api/chat` through the gateway", "/api/chat", `{"model":"m","stream":false,"messages":[{"role":"user","content":"x"}]}`},
		{"`POST /api/query` from the answer cache", "/api/query", question},
	} {
		if err := compare(c.name, sides, rounds, length, c.path, c.body); err != nil {
			return err
		}
	}
	return scrapes(sides[0])
}

// fill gives the server a document and an answer to remember.
func (s *side) fill() error {
	var b bytes.Buffer
	b.WriteString("--x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.txt\"\r\n\r\nThe breaker opens after five failures.\r\n--x--\r\n")
	req, err := http.NewRequest(http.MethodPost, s.url+"/api/upload", &b)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	for range 2 {
		if _, err = s.send(http.MethodPost, "/api/query", question); err != nil {
			return err
		}
	}
	return nil
}

func compare(name string, sides []*side, rounds int, length time.Duration, path, body string) error {
	var on, off, ratios []float64
	for round := range rounds + 1 {
		var got [2]float64
		for i := range sides {
			which := (i + round) % 2
			n, err := sides[which].throughput(path, body, length)
			if err != nil {
				return err
			}
			got[which] = n
		}
		if round > 0 { // the first warms up
			on, off, ratios = append(on, got[0]), append(off, got[1]), append(ratios, got[0]/got[1])
		}
	}
	low, high := bootstrap(ratios)
	fmt.Printf("| %s | %.0f /s | %.0f /s | %.3f | %.3f to %.3f |\n", name, median(on), median(off), median(ratios), low, high)
	return nil
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// bootstrap is the 95 % interval of the median (Efron, 1979), by 5,000 samples.
func bootstrap(list []float64) (low, high float64) {
	r := rand.New(rand.NewPCG(1, 2))
	medians := make([]float64, 5000)
	again := make([]float64, len(list))
	for i := range medians {
		for j := range again {
			again[j] = list[r.IntN(len(list))]
		}
		medians[i] = median(again)
	}
	slices.Sort(medians)
	return medians[len(medians)/40], medians[len(medians)-len(medians)/40-1]
}

func scrapes(s *side) error {
	var times []float64
	var size int
	for range 200 {
		begin := time.Now()
		body, err := s.send(http.MethodGet, "/metrics", "")
		if err != nil {
			return err
		}
		times = append(times, time.Since(begin).Seconds()*1000)
		size = len(body)
	}
	fmt.Printf("\nscrape over HTTP: median %.2f ms, %d bytes\n", median(times), size)
	return nil
}
