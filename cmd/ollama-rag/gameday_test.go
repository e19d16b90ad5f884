//go:build gameday

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/observe"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// A scene of the game day: what is done to the model server, what people ask meanwhile, and which row of the dashboard shows it.
type scene struct {
	Name, Title string
	Did         string // to the model server, in words
	Notice      string // what is worth seeing in the pictures
	Row         string // of the Grafana dashboard
	length      time.Duration
	do          func(t *testing.T, s *ollamatest.Server)
	load        traffic
	wants       []string // alerts that must fire
	quiet       bool     // none may begin to

	Begin  time.Time
	Alerts []firing
	Says   []saying
}

// LoadText is the load in figures.
func (s scene) LoadText() string {
	return fmt.Sprintf("%d, %d, %d", s.load.fresh, s.load.again, s.load.gateway)
}

// Anchor is the alert's section in the runbook.
func (f firing) Anchor() string { return strings.ToLower(f.Name) }

// traffic is what comes, a minute.
type traffic struct{ again, fresh, gateway int }

// firing is an alert that was pending or firing in a scene.
type firing struct{ Name, Severity, What, Pending, Firing, Ended string }

// saying is what the live page said from a moment on.
type saying struct{ At, Look, Text string }

var scenes = []scene{
	{
		Name: "calm", Title: "An ordinary morning", Row: "Status", length: 4 * time.Minute, load: traffic{again: 40, fresh: 20, gateway: 20}, quiet: true,
		Did:    "Nothing. The model server answers after 50 ms and writes fifty pieces a second; people ask, two thirds of the questions for the second time.",
		Notice: "Nothing is red, no alert is pending, and the cache answers most of what it has seen before.",
		do: func(_ *testing.T, s *ollamatest.Server) {
			s.Fail(-1, ollamatest.Slow(50*time.Millisecond, 20*time.Millisecond))
		},
	},
	{
		Name: "down", Title: "The model server dies", Row: "Resilience", length: 8 * time.Minute, load: traffic{again: 40, fresh: 20, gateway: 20},
		Did:    "Its process ends: connections break, dials are refused.",
		Notice: "Five failures open the breaker within seconds; from then on nobody waits for a dead server. Questions that were asked before are answered from the cache, new ones get quoted passages and say so; only the gateway's clients, who asked for this model and nothing else, get 503. The breaker's probes are the thin half-open lines, further apart each time.",
		do:     func(_ *testing.T, s *ollamatest.Server) { s.Refuse() },
		wants:  []string{"OllamaRAGNoModelHost", "OllamaRAGCircuitBreakerOpen", "OllamaRAGHostDown", "OllamaRAGErrorBudgetBurn1h"},
	},
	{
		Name: "back", Title: "It comes back", Row: "Resilience", length: 8 * time.Minute, load: traffic{again: 40, fresh: 20, gateway: 20},
		Did:    "It is started again on the same address. Nothing is done to ollama-rag.",
		Notice: "With one model host the open time stands, which doubles with every vain try, up to five minutes: only the first call after it finds out that the server is back. Nobody has to do anything, but whoever looks can end it at once (`POST /breakers/reset` on `DEBUG_ADDR`); of several hosts each is asked for its version every two seconds and is in use again within five. Alerts about the state end with it; those about the error budget go on while the budget of the last hour is spent, which is what they are for.",
		do: func(t *testing.T, s *ollamatest.Server) {
			t.Helper()
			s.Accept(t)
		},
	},
	{
		Name: "slow", Title: "It slows down", Row: "Model", length: 16 * time.Minute, load: traffic{again: 40, fresh: 4},
		Did:    "Every answer now takes 40 seconds until its first word: a model that no longer fits into graphics memory, say.",
		Notice: "No breaker opens, since the answers are good; what people feel is the wait. The cache hides it from everybody who asks what was asked before: the median of whole answers stays in milliseconds while the first word of a model takes 40 s.",
		do: func(_ *testing.T, s *ollamatest.Server) {
			s.Heal()
			s.Fail(-1, ollamatest.Slow(40*time.Second, 20*time.Millisecond))
		},
		wants: []string{"OllamaRAGFirstTokenSlow"},
	},
	{
		Name: "overrun", Title: "It is overrun", Row: "Pool and queue", length: 14 * time.Minute, load: traffic{again: 40, fresh: 150},
		Did:    "An answer takes 8 seconds again, but 150 new questions come a minute, five times what gets through at four at once.",
		Notice: "The line grows to its bound of 256 calls and no further. Past it a question is not kept waiting for a place that it will not get: it has its quoted passages at once. Chat goes before ingest all the while. How many calls the host does at once is found by trying, and of answers that take 8 seconds it is learnt slowly: it wanders between two and six.",
		do: func(_ *testing.T, s *ollamatest.Server) {
			s.Heal()
			s.Fail(-1, ollamatest.Slow(8*time.Second, 20*time.Millisecond))
		},
		wants: []string{"OllamaRAGQueueDeep", "OllamaRAGQueueRejecting"},
	},
	{
		Name: "over", Title: "It is over", Row: "Status", length: 6 * time.Minute, load: traffic{again: 40, fresh: 20, gateway: 20},
		Did:    "The server is fast again, and people ask as on an ordinary morning.",
		Notice: "The line is empty within seconds and the page says that all is well. Nothing was restarted, reset or lost.",
		do: func(_ *testing.T, s *ollamatest.Server) {
			s.Heal()
			s.Fail(-1, ollamatest.Slow(50*time.Millisecond, 20*time.Millisecond))
		},
	},
}

// TestGameDay plays an incident through from the first failure to the last alert that ends, in real time and with the project's own
// rules in a real Prometheus, and writes docs/game-day.md with pictures of what the live page and the dashboard showed. It takes most
// of an hour, so it is built with the tag gameday alone: `make game-day`. GAME_DAY is the folder for the pictures.
func TestGameDay(t *testing.T) {
	folder := os.Getenv("GAME_DAY")
	stub := ollamatest.NewReturning(t)
	stub.OnlyCount()
	docs, err := filepath.Abs(filepath.Join("..", "..", "docs"))
	if err != nil {
		t.Fatal(err)
	}
	p := startServer(t, t.TempDir(), []string{"OLLAMA_BASE_URL=" + stub.URL}, "--docs", docs)
	files, err := observe.Files()
	if err != nil {
		t.Fatal(err)
	}
	prom := startPrometheus(t, 5*time.Second, map[string][]byte{"rules.yml": files["deploy/prometheus/rules.yml"]}, p.url)
	prom.await("the documents are read", func() bool {
		return prom.now("ollama_rag_index_passages") > 0 && prom.now("ollama_rag_ingest_jobs_running") == 0
	})
	day := &gameDay{t: t, url: p.url, prom: prom, folder: folder}
	for i := range scenes {
		day.play(&scenes[i], stub)
	}
	day.stop()
	day.report()
}

type gameDay struct {
	t      *testing.T
	url    string
	prom   *promServer
	folder string

	asked   atomic.Int64 // questions that nobody asked before
	clients sync.WaitGroup
	cancel  context.CancelFunc
}

func (d *gameDay) play(s *scene, stub *ollamatest.Server) {
	s.Begin = time.Now()
	d.t.Logf("%s: %s", s.Begin.Format(time.TimeOnly), s.Title)
	s.do(d.t, stub)
	if d.cancel != nil {
		d.cancel() // who waits goes on waiting: only the rate changes
	}
	ctx, cancel := context.WithCancel(d.t.Context())
	d.cancel = cancel
	d.every(ctx, s.load.again, func(i int64) { d.post("/api/query", fmt.Sprintf(`{"query":%q}`, questions[i%int64(len(questions))])) })
	d.every(ctx, s.load.fresh, func(int64) {
		n := d.asked.Add(1)
		d.post("/api/stream_query", fmt.Sprintf(`{"query":%q}`, fmt.Sprintf("%s Case %d.", questions[n%int64(len(questions))], n)))
	})
	d.every(ctx, s.load.gateway, func(i int64) {
		d.post("/api/chat", fmt.Sprintf(`{"model":"llama3.1:8b","messages":[{"role":"user","content":"Say %d."}]}`, i))
	})
	look := time.NewTicker(5 * time.Second)
	defer look.Stop()
	for time.Since(s.Begin) < s.length {
		<-look.C
		d.listen(s)
	}
	d.pictures(s)
}

// questions are of the project's own docs.
var questions = []string{
	"When does the circuit breaker open?", "How long does an open breaker stay open?", "What happens when the queue is full?", "Where are remembered answers kept?",
	"How is a deleted document removed from the index?", "Which settings bound the answer cache?", "How are several hosts chosen from?", "What does the log say of a request?",
	"How is PDF read?", "How does hybrid search weigh words and vectors?", "What is a degraded answer?", "How do I set Prometheus up?",
}

// every does something so many times a minute, each time in a goroutine of its own.
func (d *gameDay) every(ctx context.Context, perMinute int, do func(i int64)) {
	if perMinute == 0 {
		return
	}
	d.clients.Go(func() {
		tick := time.NewTicker(time.Minute / time.Duration(perMinute))
		defer tick.Stop()
		for i := int64(0); ; i++ {
			select {
			case <-tick.C:
				d.clients.Go(func() { do(i) })
			case <-ctx.Done():
				return
			}
		}
	})
}

func (d *gameDay) post(path, body string) {
	resp, err := http.Post(d.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		return // the day is over
	}
	defer resp.Body.Close()
	_, _ = new(bytes.Buffer).ReadFrom(resp.Body)
}

func (d *gameDay) stop() {
	d.cancel()
	d.clients.Wait()
}

var figures = regexp.MustCompile(`[\d,.]+`)

// listen notes what the live page says, where that is more than other figures in the same words.
func (d *gameDay) listen(s *scene) {
	resp, err := http.Get(fmt.Sprintf("%s/api/dashboard?since=%d", d.url, time.Now().Unix()))
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	var v struct{ Status struct{ Look, Text string } }
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		d.t.Fatal(err)
	}
	words := func(text string) string { return figures.ReplaceAllString(text, "0") }
	if n := len(s.Says); n == 0 || words(s.Says[n-1].Text) != words(v.Status.Text) {
		s.Says = append(s.Says, saying{since(s.Begin, time.Now()), v.Status.Look, strings.ReplaceAll(v.Status.Text, d.t.Name(), "")})
	}
}

func since(begin, at time.Time) string {
	took := max(at.Sub(begin), 0).Round(time.Second)
	return fmt.Sprintf("%d:%02d", int(took.Minutes()), int(took.Seconds())%60)
}

// pictures shows what both dashboards show now.
func (d *gameDay) pictures(s *scene) {
	browser := os.Getenv("OLLAMA_RAG_BROWSER")
	if browser == "" {
		d.t.Fatal("OLLAMA_RAG_BROWSER names no folder with playwright-core: scripts/test.sh makes one")
	}
	run := func(name string, args ...string) {
		cmd := exec.Command(name, args...)
		cmd.Dir = filepath.Join("..", "..")
		if out, err := cmd.CombinedOutput(); err != nil {
			d.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	dir := d.t.TempDir()
	run("go", "run", "./internal/observe/cmd/render", "-prometheus", d.prom.url, "-out", dir, "-range", (s.length + 3*time.Minute).String(), "-window", "1m")
	run("node", "internal/observe/cmd/render/shoot.mjs", filepath.Join(dir, "dashboard.html"), filepath.Join(d.folder, s.Name+"-grafana.png"), s.Row)
	run("node", "internal/web/e2e/shoot.mjs", browser, d.url+"/dashboard", filepath.Join(d.folder, s.Name+"-live.png"))
}

// report asks Prometheus which alerts there were, and writes the page.
func (d *gameDay) report() {
	var data struct {
		Result []struct {
			Metric map[string]string
			Values [][2]any
		}
	}
	end := time.Now()
	err := d.prom.get("/api/v1/query_range", url.Values{
		"query": {"ALERTS"}, "start": {fmt.Sprint(scenes[0].Begin.Unix())}, "end": {fmt.Sprint(end.Unix())}, "step": {"5"},
	}, &data)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, series := range data.Result {
		name, state := series.Metric["alertname"], series.Metric["alertstate"]
		var what []string
		for _, label := range []string{"breaker_name", "backend", "client_name", "class", "reason", "model"} {
			if v := series.Metric[label]; v != "" {
				what = append(what, v)
			}
		}
		first, last := stamp(series.Values[0]), stamp(series.Values[len(series.Values)-1])
		for i := range scenes {
			s := &scenes[i]
			over := end
			if i+1 < len(scenes) {
				over = scenes[i+1].Begin
			}
			if first.After(over) || last.Before(s.Begin) {
				continue
			}
			f := s.alert(name, series.Metric["severity"], strings.Join(what, ", "))
			from := "before"
			if !first.Before(s.Begin) {
				from = since(s.Begin, first)
			}
			if state == "pending" {
				f.Pending = from
				continue
			}
			f.Firing = from
			if f.Ended = "goes on"; last.Add(15 * time.Second).Before(over) {
				f.Ended = since(s.Begin, last)
			}
		}
	}
	for i := range scenes {
		d.judge(&scenes[i])
	}
	d.write(filepath.Join("..", "..", "docs", "game-day.md"))
}

func stamp(v [2]any) time.Time { return time.Unix(int64(v[0].(float64)), 0) }

func (s *scene) alert(name, severity, what string) *firing {
	for i := range s.Alerts {
		if f := &s.Alerts[i]; f.Name == name && f.What == what {
			return f
		}
	}
	s.Alerts = append(s.Alerts, firing{Name: name, Severity: severity, What: what})
	return &s.Alerts[len(s.Alerts)-1]
}

// judge says whether a scene raised the alerts that it is there for.
func (d *gameDay) judge(s *scene) {
	slices.SortStableFunc(s.Alerts, func(a, b firing) int { return strings.Compare(a.Severity+a.Name, b.Severity+b.Name) })
	for _, want := range s.wants {
		if !slices.ContainsFunc(s.Alerts, func(f firing) bool { return f.Name == want && f.Firing != "" }) {
			d.t.Errorf("%s: %s did not fire", s.Title, want)
		}
	}
	if s.quiet && len(s.Alerts) > 0 {
		d.t.Errorf("%s: %+v", s.Title, s.Alerts)
	}
}

func (d *gameDay) write(path string) {
	text, err := os.ReadFile(filepath.Join("testdata", "game-day.md.tmpl"))
	if err != nil {
		d.t.Fatal(err)
	}
	page, err := template.New("page").Funcs(template.FuncMap{
		"minutes":  func(s scene) int { return int(s.length.Minutes()) },
		"recorded": func() string { return scenes[0].Begin.Format(time.DateOnly) },
	}).Parse(string(text))
	if err != nil {
		d.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, scenes); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil { //nolint:gosec // a page of the project
		d.t.Fatal(err)
	}
}
