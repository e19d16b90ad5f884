package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// debugIndex says what there is.
const debugIndex = `ollama-rag: for its operator, on this machine alone

GET  /debug/pprof/               profiles: go tool pprof http://ADDR/debug/pprof/profile
POST /breakers/reset             close every circuit breaker
GET  /log-level                  the least level of log lines
POST /log-level?level=debug      change it until the next start
`

// debugHandler serves profiles and what only an operator does. A browser has no business here.
func (h *house) debugHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("POST /breakers/reset", func(w http.ResponseWriter, _ *http.Request) {
		h.upstream.Reset()
		if h.openai != nil {
			h.openai.Reset()
		}
		h.log.Warn("circuit breakers were reset by hand")
		fmt.Fprintln(w, "closed")
	})
	mux.HandleFunc("GET /log-level", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, h.logLevel.Level()) })
	mux.HandleFunc("POST /log-level", func(w http.ResponseWriter, r *http.Request) {
		var level slog.Level
		if err := level.UnmarshalText([]byte(r.FormValue("level"))); err != nil {
			http.Error(w, "level: one of debug, info, warn, error is allowed", http.StatusBadRequest)
			return
		}
		h.logLevel.Set(level)
		fmt.Fprintln(w, level)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, debugIndex) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") == "cross-site" || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this is for tools on this machine, not for web pages", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// serveDebug listens where DEBUG_ADDR says, and gives the way to end that; nil where nothing is said.
func (h *house) serveDebug() (stop func() error, err error) {
	if h.config.DebugAddr == "" {
		return func() error { return nil }, nil
	}
	listener, err := net.Listen("tcp", h.config.DebugAddr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on DEBUG_ADDR %s: %w", h.config.DebugAddr, err)
	}
	srv := &http.Server{Handler: h.debugHandler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(listener) }() // ends with Close
	h.log.Info("profiles and operator's routes", "addr", listener.Addr().String())
	return srv.Close, nil
}
