package ollamatest

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// Version is what the scripted server says it is.
const Version = "0.17.4"

// Model is one model that the scripted server has.
type Model struct {
	Name          string // with tag
	Digest        string
	Size          int64
	ModifiedAt    time.Time
	Family        string
	Capabilities  []string // "completion", "embedding", ...
	ContextLength int
	Dimension     int  // of its vectors
	Loaded        bool // from the start; using a model loads it
}

// ChatModel is a chat model with plausible figures.
func ChatModel(name string) Model {
	return Model{
		Name: name, Digest: digest(name), Size: 4_920_753_328, ModifiedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Family: "llama", Capabilities: []string{"completion", "tools"}, ContextLength: 8192, Dimension: 384,
	}
}

// EmbeddingModel is an embedding model with plausible figures.
func EmbeddingModel(name string, dimension int) Model {
	return Model{
		Name: name, Digest: digest(name), Size: 45_960_996, ModifiedAt: time.Date(2026, 1, 1, 3, 4, 5, 0, time.UTC),
		Family: "bert", Capabilities: []string{"embedding"}, ContextLength: 256, Dimension: dimension,
	}
}

// Server is a scripted Ollama on a loopback port. Everything may be set while it runs.
type Server struct {
	URL string // "http://127.0.0.1:PORT", the same for the server's whole life

	mu          sync.Mutex
	http        *http.Server // nil while it refuses
	addr        string
	models      []Model
	answer      func([]wire.Message) string
	thinking    string
	vector      func(text string, dimension int) []float32
	scripts     []*script
	released    chan struct{} // closed and renewed by Release
	requests    []Request
	counts      map[string]int // by path; "" is all
	onlyCount   bool
	arrived     chan struct{} // closed and renewed with each request
	disconnects chan string
}

// Request is one request that was seen.
type Request struct {
	Method string
	Path   string
	Header http.Header
	Host   string
	Body   []byte
}

// New starts a server that has llama3.1:8b for chats and all-minilm for vectors, or the given models, and ends it with
// the test.
func New(t testing.TB, models ...Model) *Server {
	t.Helper()
	return newServer(t, "127.0.0.1:0", models)
}

// NewReturning is New for a server that refuses for longer and accepts again: its port is below those of outgoing connections, so
// that it is still free then.
func NewReturning(t testing.TB, models ...Model) *Server {
	t.Helper()
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if l, err := net.Listen("tcp", addr); err == nil && l.Close() == nil {
			return newServer(t, addr, models)
		}
	}
}

func newServer(t testing.TB, addr string, models []Model) *Server {
	t.Helper()
	if len(models) == 0 {
		models = []Model{ChatModel("llama3.1:8b"), EmbeddingModel("all-minilm:latest", 384)}
	}
	s := &Server{
		addr: addr, models: models, answer: CiteFirst, vector: WordVector,
		counts: map[string]int{}, released: make(chan struct{}), arrived: make(chan struct{}), disconnects: make(chan string, 10_000),
	}
	if err := s.listen(); err != nil {
		t.Fatal(err)
	}
	s.URL = "http://" + s.addr
	t.Cleanup(s.close)
	return s
}

func (s *Server) listen() error {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.addr = l.Addr().String()
	srv := &http.Server{Handler: http.HandlerFunc(s.serve), ErrorLog: log.New(io.Discard, "", 0)}
	s.http = srv
	go func() { _ = srv.Serve(l) }()
	return nil
}

func (s *Server) close() {
	s.Release()
	s.Refuse()
}

// Refuse closes the listener and every connection: from now on dials are refused.
func (s *Server) Refuse() {
	s.mu.Lock()
	srv := s.http
	s.http = nil
	s.mu.Unlock()
	if srv != nil {
		_ = srv.Close()
	}
}

// Accept listens again, on the same port.
func (s *Server) Accept(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		return
	}
	var err error
	for range 100 { // another process may have the port for a moment
		if err = s.listen(); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(err)
}

// SetModels replaces what the server has.
func (s *Server) SetModels(models ...Model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models = models
}

// SetAnswer makes the text of all answers depend on the messages; /api/generate counts as one message.
func (s *Server) SetAnswer(answer func([]wire.Message) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// SetText makes all answers the same.
func (s *Server) SetText(text string) { s.SetAnswer(func([]wire.Message) string { return text }) }

// SetThinking makes chats begin with thoughts, as reasoning models do.
func (s *Server) SetThinking(thoughts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thinking = thoughts
}

// SetVector replaces WordVector, for vectors that are wrong.
func (s *Server) SetVector(vector func(text string, dimension int) []float32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vector = vector
}

// Count is the number of requests seen for a path.
func (s *Server) Count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[path]
}

// OnlyCount makes the server keep no requests and no disconnects from now on, for tests that send very many.
func (s *Server) OnlyCount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onlyCount = true
}

// AwaitCount waits until at least n requests were seen for a path.
func (s *Server) AwaitCount(ctx context.Context, path string, n int) error {
	for {
		s.mu.Lock()
		arrived := s.arrived
		s.mu.Unlock()
		if s.Count(path) >= n {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d requests for %s came: %w", s.Count(path), n, path, ctx.Err())
		}
	}
}

// Total is the number of requests seen.
func (s *Server) Total() int { return s.Count("") }

// Requests are those seen for a path, in order; "" is all.
func (s *Server) Requests(path string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Request
	for _, r := range s.requests {
		if path == "" || r.Path == path {
			found = append(found, r)
		}
	}
	return found
}

// Forget empties the list of requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.counts = nil, map[string]int{}
}

// AwaitDisconnect waits until a client went away in the middle of an answer and says which path it had asked.
func (s *Server) AwaitDisconnect(ctx context.Context) (path string, err error) {
	select {
	case path = <-s.disconnects:
		return path, nil
	case <-ctx.Done():
		return "", fmt.Errorf("no client went away: %w", ctx.Err())
	}
}

// serve notes the request, lets the script interfere, and answers.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	fault, released := s.note(r, body)
	defer func() {
		s.mu.Lock()
		silent := s.onlyCount
		s.mu.Unlock()
		if r.Context().Err() != nil && !silent {
			s.disconnects <- r.URL.Path
		}
	}()
	if !localHost(r.Host) || r.Header.Get("Origin") != "" && !localOrigin(r.Header.Get("Origin")) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	x := &exchange{s: s, w: w, r: r, body: body, fault: fault, released: released}
	if fault != nil && fault.before(x) {
		return
	}
	x.route()
}

// note keeps the request and finds the fault that is due.
func (s *Server) note(r *http.Request, body []byte) (*Fault, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[r.URL.Path]++
	s.counts[""]++
	if !s.onlyCount {
		s.requests = append(s.requests, Request{r.Method, r.URL.Path, r.Header.Clone(), r.Host, body})
	}
	close(s.arrived)
	s.arrived = make(chan struct{})
	for _, script := range s.scripts {
		if script.meets(r.URL.Path) {
			return &script.fault, s.released
		}
	}
	return nil, s.released
}

func (s *Server) model(name string) (Model, bool) {
	if !strings.Contains(name, ":") {
		name += ":latest"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.models, func(m Model) bool { return strings.EqualFold(m.Name, name) })
	if i < 0 {
		return Model{}, false
	}
	return s.models[i], true
}

func localHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsPrivate())
}

func localOrigin(origin string) bool {
	for _, ok := range []string{"http://localhost", "https://localhost", "http://127.0.0.1", "https://127.0.0.1"} {
		if strings.HasPrefix(origin, ok) {
			return true
		}
	}
	return false
}
