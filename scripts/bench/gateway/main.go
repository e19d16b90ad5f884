// Command gateway measures what a gateway in front of Ollama costs: a scripted server, asked directly, through nginx, through
// a plain Go reverse proxy and through ollama-rag, in interleaved rounds. `make bench-gateway` runs it.
//
// Server, proxies and load are processes of their own. CPU and memory are those of the proxy's process (nginx: master and
// workers), from /proc. It prints a table in Markdown.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	pieces   = 50                   // of a stream
	interval = 2 * time.Millisecond // between two pieces
	clients  = 32
	reading  = 4 // streams at a time: as many as a host gets from ollama-rag's queue before it has shown that it can do more
)

func main() {
	role := flag.String("role", "bench", "bench, upstream or proxy: what this process is")
	target := flag.String("target", "", "what the role proxy stands before")
	program := flag.String("program", "bin/ollama-rag", "the program that is measured")
	rounds := flag.Int("rounds", 7, "rounds, each of which measures every way once")
	requests := flag.Int("requests", 1500, "requests of one client, and of 32 clients together, a round and way")
	streams := flag.Int("streams", 128, "streams a round and way")
	flag.Parse()
	var err error
	switch *role {
	case "upstream":
		err = serve(http.HandlerFunc(upstream))
	case "proxy":
		err = serve(plainProxy(*target))
	default:
		err = bench(*program, *rounds, *requests, *streams)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-gateway:", err)
		os.Exit(1)
	}
}

// serve prints its address and serves until its standard input ends, which is when its parent does.
func serve(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(l, h) //nolint:gosec // for the length of a measurement, on loopback
}

const answer = `{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"The breaker opens after five failures."},"done":true,"done_reason":"stop","total_duration":1000000,"load_duration":1,"prompt_eval_count":9,"eval_count":7}`

// upstream answers chats, in one piece or in fifty.
func upstream(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if !bytes.Contains(body, []byte(`"stream":true`)) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, answer)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	control := http.NewResponseController(w)
	for i := range pieces {
		if i > 0 {
			time.Sleep(interval)
		}
		fmt.Fprintf(w, `{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":" token%d"},"at":%d,"done":%t}`+"\n", i, time.Now().UnixNano(), i == pieces-1)
		_ = control.Flush()
	}
}

func plainProxy(target string) http.Handler {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(u) },
		FlushInterval: -1,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 2 * clients, DisableCompression: true},
	}
}

// way is one way to the server.
type way struct {
	name string
	url  string
	pid  int // of the proxy; 0: there is none
	http *http.Client

	one, many      []time.Duration // latencies of one client, of many
	manyTime       time.Duration
	cpu            time.Duration // of the proxy, while many asked
	first, gaps    []time.Duration
	lag            []time.Duration // from the server's write of a piece to its arrival
	streams, cut   int
	oneP50, oneP99 []time.Duration // by round
}

func bench(program string, rounds, requests, streams int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ways, stop, err := start(ctx, program)
	defer stop()
	if err != nil {
		return err
	}
	for _, w := range ways {
		w.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients, DisableCompression: true}}
		if _, err := w.run(200, clients); err != nil { // warm
			return err
		}
	}
	for round := range rounds {
		for i := range ways {
			if err := ways[(i+round)%len(ways)].measure(requests, streams); err != nil {
				return err
			}
		}
	}
	report(ways)
	return nil
}

func (w *way) measure(requests, streams int) error {
	one, err := w.run(requests, 1)
	if err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	w.one = append(w.one, one...)
	w.oneP50, w.oneP99 = append(w.oneP50, quantile(one, .5)), append(w.oneP99, quantile(one, .99))
	before, begun := cpu(w.pid), time.Now()
	many, err := w.run(requests*2, clients)
	if err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	w.many, w.manyTime, w.cpu = append(w.many, many...), w.manyTime+time.Since(begun), w.cpu+cpu(w.pid)-before
	w.stream(streams)
	return nil
}

const chat = `{"model":"m","messages":[{"role":"user","content":"How many failures open the breaker?"}],"stream":`

// run sends requests from so many clients and gives how long each took.
func (w *way) run(requests, clients int) ([]time.Duration, error) {
	took := make([]time.Duration, requests)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := c; i < requests && errs[c] == nil; i += clients {
				begun := time.Now()
				resp, err := w.http.Post(w.url+"/api/chat", "application/json", strings.NewReader(chat+"false}"))
				if err != nil {
					errs[c] = err
					return
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || string(body) != answer {
					errs[c] = errors.Join(fmt.Errorf("%s: %.200s", resp.Status, body), err)
				}
				took[i] = time.Since(begun)
			}
		})
	}
	wg.Wait()
	return took, errors.Join(errs...)
}

// stream reads streams, a few at a time.
func (w *way) stream(streams int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range reading {
		wg.Go(func() {
			for range streams / reading {
				first, gaps, lag, whole := w.read()
				mu.Lock()
				w.streams++
				if !whole {
					w.cut++
				}
				w.first, w.gaps, w.lag = append(w.first, first), append(w.gaps, gaps...), append(w.lag, lag...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func (w *way) read() (first time.Duration, gaps, lag []time.Duration, whole bool) {
	begun := time.Now()
	resp, err := w.http.Post(w.url+"/api/chat", "application/json", strings.NewReader(chat+"true}"))
	if err != nil {
		return 0, nil, nil, false
	}
	defer resp.Body.Close()
	last := begun
	n := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); n++ {
		now := time.Now()
		var piece struct {
			At   int64
			Done bool
		}
		if json.Unmarshal(lines.Bytes(), &piece) != nil {
			return first, gaps, lag, false
		}
		if n == 0 {
			first = now.Sub(begun)
		} else {
			gaps = append(gaps, now.Sub(last))
		}
		lag = append(lag, time.Duration(now.UnixNano()-piece.At))
		last, whole = now, piece.Done
	}
	return first, gaps, lag, whole && n == pieces
}

func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// added is the median over the rounds of how much later a way is than the direct one of the same round.
func added(w, direct []time.Duration) time.Duration {
	var all []time.Duration
	for i := range w {
		all = append(all, w[i]-direct[i])
	}
	return quantile(all, .5)
}

func report(ways []*way) {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.3f", float64(d)/1e6) }
	us := func(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/1e3) }
	row := func(name string, f func(*way) string) {
		fmt.Printf("| %s |", name)
		for _, w := range ways {
			fmt.Printf(" %s |", f(w))
		}
		fmt.Println()
	}
	proxies := func(f func(*way) string) func(*way) string {
		return func(w *way) string {
			if w.pid == 0 {
				return ""
			}
			return f(w)
		}
	}
	direct := ways[0]
	row("", func(w *way) string { return w.name })
	row("---", func(*way) string { return "---" })
	row("1 client: p50, ms", func(w *way) string { return ms(quantile(w.one, .5)) })
	row("added p50, ms (median of the rounds)", proxies(func(w *way) string { return ms(added(w.oneP50, direct.oneP50)) }))
	row("added p99, ms (median of the rounds)", proxies(func(w *way) string { return ms(added(w.oneP99, direct.oneP99)) }))
	row("1 client: requests/s", func(w *way) string { return fmt.Sprintf("%.0f", float64(len(w.one))/sum(w.one).Seconds()) })
	row("32 clients: requests/s", func(w *way) string { return fmt.Sprintf("%.0f", float64(len(w.many))/w.manyTime.Seconds()) })
	row("32 clients: p50, p99, ms", func(w *way) string { return ms(quantile(w.many, .5)) + ", " + ms(quantile(w.many, .99)) })
	row("32 clients: CPU a request, µs", proxies(func(w *way) string { return us(w.cpu / time.Duration(len(w.many))) }))
	row("streams: first byte p50, p99, ms", func(w *way) string { return ms(quantile(w.first, .5)) + ", " + ms(quantile(w.first, .99)) })
	row("streams: between pieces p50, p99, ms", func(w *way) string { return ms(quantile(w.gaps, .5)) + ", " + ms(quantile(w.gaps, .99)) })
	row("streams: a piece's way p50, p99, ms", func(w *way) string { return ms(quantile(w.lag, .5)) + ", " + ms(quantile(w.lag, .99)) })
	row("streams cut", func(w *way) string { return fmt.Sprintf("%d of %d", w.cut, w.streams) })
	row("memory at the end, MB", proxies(func(w *way) string { return fmt.Sprintf("%.0f", float64(memory(w.pid))/1e6) }))
	if i := slices.IndexFunc(ways, func(w *way) bool { return w.name == "nginx" }); i >= 0 {
		base := ways[i]
		row("added p50, times nginx's", proxies(func(w *way) string {
			return fmt.Sprintf("%.2f", float64(added(w.oneP50, direct.oneP50))/float64(added(base.oneP50, direct.oneP50)))
		}))
		row("CPU, times nginx's", proxies(func(w *way) string {
			return fmt.Sprintf("%.2f", float64(w.cpu)*float64(len(base.many))/float64(base.cpu)/float64(len(w.many)))
		}))
	} else {
		fmt.Println("\nnginx is not installed (Debian's nginx-light): its column is missing.")
	}
}

func sum(all []time.Duration) (total time.Duration) {
	for _, d := range all {
		total += d
	}
	return total
}

// start starts every process; the function that ends them is never nil.
func start(ctx context.Context, program string) (ways []*way, stop func(), err error) {
	dir, err := os.MkdirTemp("", "bench-gateway")
	if err != nil {
		return nil, func() {}, err
	}
	var running []*exec.Cmd
	stop = func() {
		for _, cmd := range slices.Backward(running) {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
		_ = os.RemoveAll(dir)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, stop, err
	}
	child := func(args ...string) (string, int, error) {
		cmd := exec.CommandContext(ctx, self, args...)
		if _, err := cmd.StdinPipe(); err != nil {
			return "", 0, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return "", 0, err
		}
		if err := cmd.Start(); err != nil {
			return "", 0, err
		}
		running = append(running, cmd)
		line, err := bufio.NewReader(out).ReadString('\n')
		return strings.TrimSpace(line), cmd.Process.Pid, err
	}
	server, _, err := child("-role", "upstream")
	if err != nil {
		return nil, stop, err
	}
	ways = append(ways, &way{name: "direct", url: server})
	if path := nginxPath(); path != "" {
		cmd, address, err := startNginx(ctx, path, dir, server)
		if err != nil {
			return nil, stop, err
		}
		running = append(running, cmd)
		ways = append(ways, &way{name: "nginx", url: address, pid: cmd.Process.Pid})
	}
	proxy, pid, err := child("-role", "proxy", "-target", server)
	if err != nil {
		return nil, stop, err
	}
	ways = append(ways, &way{name: "Go ReverseProxy", url: proxy, pid: pid})

	cmd := exec.CommandContext(ctx, program, "serve", "--addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "OLLAMA_BASE_URL="+server, "OLLAMA_RAG_DATA_DIR="+dir)
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, stop, err
	}
	if err := cmd.Start(); err != nil {
		return nil, stop, fmt.Errorf("%w: run `make build` first", err)
	}
	running = append(running, cmd)
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, stop, fmt.Errorf("%s did not start: %s", program, line)
		}
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, lines) }()
			return append(ways, &way{name: "ollama-rag", url: address, pid: cmd.Process.Pid}), stop, nil
		}
	}
}

func nginxPath() string {
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

const nginxConf = `daemon off; worker_processes auto; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  keepalive_requests 1000000000;
  upstream ollama { server %[2]s; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen %[3]s;
    location / { proxy_pass http://ollama; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; client_max_body_size 64m; proxy_read_timeout 900s; }
  }
}
`

// startNginx starts nginx as one would put it in front of Ollama: connections kept, nothing buffered.
func startNginx(ctx context.Context, path, dir, server string) (*exec.Cmd, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	address := l.Addr().String()
	_ = l.Close()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, strings.TrimPrefix(server, "http://"), address), 0o600); err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, path, "-c", conf, "-e", filepath.Join(dir, "nginx.log"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	for range 200 {
		if conn, err := net.Dial("tcp", address); err == nil {
			return cmd, "http://" + address, conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return cmd, "", errors.New("nginx does not listen")
}

// family is a process and its children.
func family(pid int) []int {
	all := []int{pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // not every kernel lists a process's children
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // has ended
		}
		if fields := afterName(data); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// afterName are the fields of a stat file that follow the program's name, which may hold anything.
func afterName(stat []byte) []string {
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

const tick = 10 * time.Millisecond // of /proc/PID/stat: USER_HZ is 100 on every Linux that Go runs on

// cpu is the processor time that a process and its children have used.
func cpu(pid int) (total time.Duration) {
	if pid == 0 {
		return 0
	}
	for _, p := range family(pid) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		for _, field := range afterName(data)[11:13] { // user, system
			n, _ := strconv.Atoi(field)
			total += time.Duration(n) * tick
		}
	}
	return total
}

// memory is what a process and its children hold resident, in bytes.
func memory(pid int) (total int64) {
	for _, p := range family(pid) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(data), "VmRSS:")
		if fields := strings.Fields(rest); len(fields) > 0 {
			kib, _ := strconv.ParseInt(fields[0], 10, 64)
			total += kib << 10
		}
	}
	return total
}
