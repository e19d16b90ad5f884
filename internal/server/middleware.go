package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func requestID(r *http.Request) string {
	if info := rag.RequestOf(r.Context()); info != nil {
		return info.ID
	}
	return ""
}

// recorder remembers what was answered, for the log, and whether anything was.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	err    error
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach Flush.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// withRequest gives the request its id, writes its one log line, and turns a panic into a 500.
func (s *Server) withRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := r.Header.Get("X-Request-ID")
		if !plainID(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-ID", id)
		rec := &recorder{ResponseWriter: w}
		r = r.WithContext(rag.WithRequest(r.Context(), &rag.RequestInfo{ID: id}))
		defer func() {
			p := recover()
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				rec.err = err
				defer panic(http.ErrAbortHandler) // net/http knows it by identity
			} else if p != nil {
				rec.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				if rec.status != 0 {
					defer panic(http.ErrAbortHandler) // or half an answer would end like a whole one
				} else {
					problem.From(rec.err, id).Write(rec)
				}
			}
			s.logRequest(r, rec, time.Since(start))
		}()
		next.ServeHTTP(rec, r)
	})
}

func plainID(id string) bool {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	return len(id) >= 1 && len(id) <= 128 && strings.IndexFunc(id, func(r rune) bool { return !plain(r) }) < 0
}

func (s *Server) logRequest(r *http.Request, rec *recorder, took time.Duration) {
	level, info := slog.LevelInfo, rag.RequestOf(r.Context())
	switch {
	case rag.CodeOf(rec.err) == rag.CodeNotCached: // what the client asked for, though HTTP has it a 504
	case rec.status >= 500, rec.status < 400 && rec.err != nil && !errors.Is(rec.err, context.Canceled): // the latter broke off
		level = slog.LevelError
	case s.modelFailed(info.Degraded):
		level = slog.LevelWarn
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && rec.status < 400:
		level = slog.LevelDebug // polls of page and monitoring
	}
	attrs := []any{"method", r.Method, "path", r.URL.Path, "status", rec.status, "bytes", rec.bytes, "seconds", took.Seconds(), "request_id", requestID(r)}
	if info.Trace != "" {
		attrs = append(attrs, "trace_id", info.Trace)
	}
	if s.LogQuestions && info.Question != "" {
		attrs = append(attrs, "question", info.Question)
	}
	if info.Degraded != "" {
		attrs = append(attrs, "degraded_reason", string(info.Degraded), "notice", info.Notice)
	}
	if rec.err != nil {
		if stage := rag.StageOf(rec.err); stage != "" {
			attrs = append(attrs, "stage", stage)
		}
		attrs = append(attrs, "error", rec.err)
	}
	s.Log.Log(r.Context(), level, "request", attrs...)
}

// modelFailed says whether an answer is degraded since a model that was there failed. Where no host has answered yet, nobody may have
// meant to run one, and every question would be a warning.
func (s *Server) modelFailed(reason rag.Reason) bool {
	if reason == "" || reason == rag.ReasonNoVectors {
		return false
	}
	return slices.ContainsFunc(s.Hosts(), func(h Host) bool { return h.Version != "" || h.Breaker.Successes > 0 })
}

// fail answers with a problem, if nothing was answered yet.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if rec := recorderOf(w); rec != nil {
		rec.err = err
		if rec.status != 0 {
			if info := rag.RequestOf(r.Context()); info != nil {
				info.Broken = r.Context().Err() == nil
			}
			return // the handler wrote an error frame itself
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = rag.Errorf(rag.TooLarge, "", "the request body is larger than MAX_BODY_BYTES, %d bytes", s.MaxBody)
	}
	p := problem.From(err, requestID(r))
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="ollama-rag"`)
	}
	if p.Status == problem.StatusClientGone {
		if rec := recorderOf(w); rec != nil {
			rec.status = p.Status
		}
		return
	}
	s.writerFor(r)(w, p)
}

// writerFor finds the shape of a request's errors: that of the API whose route it is, ours elsewhere.
func (s *Server) writerFor(r *http.Request) func(http.ResponseWriter, problem.Problem) {
	pattern := r.Pattern
	if pattern == "" { // refused before it found its route
		_, pattern = s.mux.Handler(r)
	}
	if route, ok := s.foreign[pattern]; ok {
		return route.Fail
	}
	return func(w http.ResponseWriter, p problem.Problem) { p.Write(w) }
}

func recorderOf(w http.ResponseWriter) *recorder {
	for {
		if rec, ok := w.(*recorder); ok {
			return rec
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
}

// contentPolicy lets the page load its own files and talk to its own server, and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ownHeaders keep browsers careful with what is ours.
var ownHeaders = []struct{ name, value string }{
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Content-Security-Policy", contentPolicy},
}

// withSecurity sets the headers that keep browsers careful, answers preflights, and refuses requests that a foreign page
// makes its visitor's browser send.
func (s *Server) withSecurity(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, own := range ownHeaders {
			h.Set(own.name, own.value)
		}
		origin := r.Header.Get("Origin")
		if slices.Contains(s.CORSOrigins, origin) && origin != "" {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "X-Request-ID, Retry-After, Cache-Status, Age")
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		h.Add("Vary", "Origin")
		if err := s.checkOrigin(r, origin); err != nil {
			s.fail(w, r, err)
			return
		}
		if r.Method == http.MethodOptions && origin != "" && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			// A trusted page may send what it likes: clients of other APIs have many headers of their own.
			h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
			h.Add("Vary", "Access-Control-Request-Headers")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if clean := path.Clean(r.URL.Path); clean != r.URL.Path && clean+"/" != r.URL.Path {
			// The mux would redirect to another path than was asked for.
			s.fail(w, r, rag.Errorf(rag.NotFound, "unknown_route", "nothing is served at a path with empty or dotted parts"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) checkOrigin(r *http.Request, origin string) error {
	if s.Loopback && !s.localHost(r.Host) {
		return rag.Errorf(rag.Forbidden, "foreign_host", "this server listens on loopback and was asked under another name: add the page's origin to CORS_ORIGINS")
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	foreign := r.Header.Get("Sec-Fetch-Site") == "cross-site"
	if origin != "" {
		u, err := url.Parse(origin)
		foreign = err != nil || u.Host != r.Host
	}
	if foreign && !slices.Contains(s.CORSOrigins, origin) {
		return rag.Errorf(rag.Forbidden, "foreign_origin", "a page of another site sent this request: add its origin to CORS_ORIGINS if it may")
	}
	return nil
}

// localHost keeps a foreign name that was made to resolve to this machine (DNS rebinding) from reading documents.
func (s *Server) localHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host) != nil {
		return true
	}
	return slices.ContainsFunc(s.CORSOrigins, func(o string) bool {
		u, err := url.Parse(o)
		return err == nil && u.Hostname() == host
	})
}

// role is how far a key reaches; each includes those before it.
type role int

const (
	open role = iota
	read
	write
	admin
)

var roles = map[string]role{"read": read, "write": write, "admin": admin}

type key struct {
	role   role
	digest [sha256.Size]byte
	local  bool
}

func parseKeys(list []string, localToken string) []key {
	var keys []key
	for _, item := range list {
		name, secret, _ := strings.Cut(item, ":")
		keys = append(keys, key{role: roles[name], digest: sha256.Sum256([]byte(secret))})
	}
	if localToken != "" {
		keys = append(keys, key{role: admin, digest: sha256.Sum256([]byte(localToken)), local: true})
	}
	return keys
}

// authorise checks the key of a request against the role that its route needs. Without keys configured anybody may do
// everything: the server then listens on loopback only, unless somebody insisted.
func (s *Server) authorise(r *http.Request, need role) error {
	if need == open || len(s.Keys) == 0 {
		return nil
	}
	have, _ := s.roleOf(r)
	switch {
	case have == open:
		return rag.Errorf(rag.Unauthorized, "", "an API key is needed: send it as `Authorization: Bearer KEY`")
	case have < need:
		return rag.Errorf(rag.Forbidden, "", "this key's role does not reach so far: this needs the role %s", roleName(need))
	}
	return nil
}

// roleOf compares the key with every key in constant time, so that the time tells nothing.
func (s *Server) roleOf(r *http.Request) (have role, local bool) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return open, false
	}
	digest := sha256.Sum256([]byte(secret))
	for _, k := range s.keys {
		if subtle.ConstantTimeCompare(digest[:], k.digest[:]) == 1 {
			have, local = max(have, k.role), local || k.local
		}
	}
	return have, local
}

func roleName(want role) string {
	for name, r := range roles {
		if r == want {
			return name
		}
	}
	return "none"
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request, allowed []string) error {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	p := problem.From(rag.Errorf(rag.Malformed, "method_not_allowed", "this path takes %s, not %s", strings.Join(allowed, ", "), r.Method), requestID(r))
	p.Status, p.Title = http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed)
	p.Write(w)
	return nil
}

// How long a client may take to send a body or one part of an upload, and to take what is written to it. A client that is
// slower holds nothing any longer.
const (
	readTimeout  = 2 * time.Minute
	writeTimeout = time.Minute
)

// allowRead gives the client time to send. Where the connection knows no deadlines (inside this process) nothing is needed.
func (s *Server) allowRead(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
}

// endRead takes the deadline back: a connection past one counts as a client that left.
func (s *Server) endRead(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}
