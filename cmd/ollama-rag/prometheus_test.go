package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scrapeEvery is how often the proof's Prometheus reads /metrics.
const scrapeEvery = 500 * time.Millisecond

// promServer is a real Prometheus on loopback.
type promServer struct {
	t     testing.TB
	url   string
	began time.Time
}

// startPrometheus lets Debian's Prometheus scrape servers and evaluate rules (path to content) so often, until the test ends.
func startPrometheus(t testing.TB, every time.Duration, rules map[string][]byte, servers ...string) *promServer {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed (Debian package prometheus)")
	}
	dir := t.TempDir()
	var config strings.Builder
	fmt.Fprintf(&config, "global: {scrape_interval: %v, evaluation_interval: %v}\nrule_files: [%q]\n", every, every, filepath.Join(dir, "*.rules"))
	fmt.Fprintf(&config, "scrape_configs:\n- {job_name: ollama-rag, static_configs: [{targets: [%s]}]}\n", strings.ReplaceAll(strings.Join(servers, ", "), "http://", ""))
	files := map[string][]byte{"prometheus.yml": []byte(config.String())}
	for path, content := range rules {
		files[filepath.Base(path)+".rules"] = content
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the context is over by now, which ended it
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus: %s", log.Bytes())
		}
	})
	p := &promServer{t, "http://" + addr, time.Now()}
	p.await("Prometheus listens", func() bool {
		resp, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// await waits for a condition that other processes bring about.
func (p *promServer) await(what string, met func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	look := time.NewTicker(scrapeEvery / 10)
	defer look.Stop()
	for !met() {
		select {
		case <-look.C:
		case <-ctx.Done():
			p.t.Fatalf("waited for half a minute, and still not: %s", what)
		}
	}
}

// scraped waits until every server was scraped n times more, with success.
func (p *promServer) scraped(n int) {
	p.t.Helper()
	const least = `min(sum_over_time(up[1h]))`
	before := p.now(least)
	p.await("further scrapes", func() bool { return p.now(least) >= before+float64(n) })
}

// get asks Prometheus' API and decodes what came of it.
func (p *promServer) get(path string, params url.Values, data any) error {
	resp, err := http.Get(p.url + path + "?" + params.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var out struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return fmt.Errorf("%w in %q", err, body)
	}
	if out.Status != "success" {
		return fmt.Errorf("%s", out.Error)
	}
	return json.Unmarshal(out.Data, data)
}

// now gives the first value of an expression, 0 where there is none.
func (p *promServer) now(expr string) float64 {
	p.t.Helper()
	var data struct{ Result []struct{ Value [2]any } }
	if err := p.get("/api/v1/query", url.Values{"query": {expr}}, &data); err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
	if len(data.Result) == 0 {
		return 0
	}
	v, err := strconv.ParseFloat(fmt.Sprint(data.Result[0].Value[1]), 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// finds says whether an expression had a value that is a number at any time since the start.
func (p *promServer) finds(expr string) (bool, error) {
	var data struct{ Result []struct{ Values [][2]any } }
	err := p.get("/api/v1/query_range", url.Values{
		"query": {expr}, "start": {p.began.Format(time.RFC3339Nano)}, "end": {time.Now().Format(time.RFC3339Nano)}, "step": {scrapeEvery.String()},
	}, &data)
	for _, series := range data.Result {
		for _, at := range series.Values {
			if v, err := strconv.ParseFloat(fmt.Sprint(at[1]), 64); err == nil && !math.IsNaN(v) {
				return true, nil
			}
		}
	}
	return false, err
}

// names are those of all series.
func (p *promServer) names() map[string]bool {
	p.t.Helper()
	var list []string
	if err := p.get("/api/v1/label/__name__/values", nil, &list); err != nil {
		p.t.Fatal(err)
	}
	all := map[string]bool{}
	for _, name := range list {
		all[name] = true
	}
	return all
}
