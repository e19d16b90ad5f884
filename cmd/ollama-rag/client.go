package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/store"
)

// api speaks to the HTTP API, over the network or inside this process.
type api struct {
	base   string
	token  string
	client *http.Client
	close  func() error
}

// connect reaches the server that holds the data folder, or opens the folder in this process.
func connect(cmd *cobra.Command) (*api, error) {
	c, _, err := settings(cmd)
	if err != nil {
		return nil, err
	}
	c.LogLevel = max(c.LogLevel, slog.LevelWarn) // a command's output is its own
	h, err := openHouse(cmd.Context(), c, newLogger(c, c.LogLevel))
	if held, ok := errors.AsType[*store.InUseError](err); ok && held.Server.URL != "" {
		return &api{base: held.Server.URL, token: held.Server.Token, client: &http.Client{}, close: func() error { return nil }}, nil
	}
	if err != nil {
		return nil, err
	}
	return &api{base: "http://ollama-rag", token: h.token, client: &http.Client{Transport: inProcess{h.handler(nil)}}, close: h.close}, nil
}

// withAPI runs a command against the API and closes what was opened for it.
func withAPI(cmd *cobra.Command, f func(a *api) error) error {
	a, err := connect(cmd)
	if err != nil {
		return err
	}
	return errors.Join(f(a), a.close())
}

// do sends a request; an answer that is a problem becomes an error with its sentence.
func (a *api) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, reader)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+a.token)
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	var p problem.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Detail == "" {
		return nil, fmt.Errorf("the server answers %s", resp.Status)
	}
	return nil, errors.New(p.Detail)
}

// get sends a request and decodes its answer.
func (a *api) get(ctx context.Context, method, path string, body, into any) error {
	resp, err := a.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// inProcess lets a handler answer a client of the same process, streams included.
type inProcess struct{ handler http.Handler }

// RoundTrip runs the handler beside the reader of its answer.
func (t inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	served := req.Clone(ctx)
	served.RequestURI = req.URL.RequestURI()
	served.Host = req.URL.Host
	if served.Body == nil {
		served.Body = http.NoBody
	}
	r, w := io.Pipe()
	answer := &pipeWriter{header: http.Header{}, pipe: w, ready: make(chan struct{})}
	go func() {
		defer cancel()
		t.handler.ServeHTTP(answer, served)
		answer.WriteHeader(http.StatusOK)
		_ = w.Close()
	}()
	select {
	case <-answer.ready:
	case <-req.Context().Done():
		cancel()
		_ = r.CloseWithError(req.Context().Err())
		return nil, req.Context().Err()
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", answer.status, http.StatusText(answer.status)), StatusCode: answer.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: answer.sent, Body: &cancelBody{r, cancel}, ContentLength: -1, Request: req,
	}, nil
}

type pipeWriter struct {
	header http.Header
	sent   http.Header
	status int
	pipe   *io.PipeWriter
	ready  chan struct{}
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
	close(w.ready)
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(p)
}

// Flush does nothing: a pipe holds nothing back.
func (w *pipeWriter) Flush() {}

// cancelBody stops the handler when its reader leaves.
type cancelBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelBody) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}

// wantJSON says whether --json was given.
func wantJSON(cmd *cobra.Command) bool {
	v, _ := cmd.Flags().GetBool("json")
	return v
}

// printJSON prints a value for machines.
func printJSON(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
