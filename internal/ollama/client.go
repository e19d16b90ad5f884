package ollama

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// base is what requests are built against; the RoundTripper puts a real host in its place.
const base = "http://ollama"

// Limits of what is read into memory.
const (
	maxJSON      = 64 << 20 // an answer that is not streamed: vectors of a full batch, a model's long description
	maxErrorBody = 64 << 10
)

// Options are settings that go with every call. Zero leaves them to the server.
type Options struct {
	NumThread int  // processor threads a model uses; a change reloads the model
	NumGPU    *int // layers on the GPU; 0 is a setting
}

// Client speaks to Ollama through a RoundTripper. Its methods may be called from anywhere, any time.
type Client struct {
	rt        http.RoundTripper
	opts      Options
	catalogue catalogue

	mu        sync.Mutex
	embedders map[string]*Embedder // by full name
}

// New makes a client. Nothing is sent before the first call.
func New(rt http.RoundTripper, opts Options) *Client {
	c := &Client{rt: rt, opts: opts, embedders: map[string]*Embedder{}}
	c.catalogue.load = c.lookUp
	c.catalogue.shown = map[string]shown{}
	return c
}

// do sends one request and gives the response of a 2xx; anything else is an error. in may be nil.
func (c *Client) do(ctx context.Context, method, path, model string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", path, err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.rt.RoundTrip(req)
	if err != nil {
		return nil, transportError(ctx, err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		return nil, statusError(resp, text, model)
	}
	return resp, nil
}

// ask is do for an answer that is one JSON object.
func (c *Client) ask(ctx context.Context, method, path, model string, in, out any) error {
	resp, err := c.do(ctx, method, path, model, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxJSON+1))
	switch {
	case err != nil:
		return transportError(ctx, err)
	case len(data) > maxJSON:
		return rag.Errorf(rag.BadUpstream, "", "Ollama's answer to %s is larger than %d MiB", path, maxJSON>>20)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return rag.Errorf(rag.BadUpstream, "", "Ollama's answer to %s is not the JSON it should be", path).Because(err)
	}
	return nil
}

// Version is the server's version.
func (c *Client) Version(ctx context.Context) (string, error) {
	var v wire.VersionResponse
	err := c.ask(ctx, http.MethodGet, "/api/version", "", nil, &v)
	return v.Version, err
}

// transportError gives rag errors and the caller's own context errors as they are, and names everything else.
func transportError(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*rag.Error](err); ok {
		return err
	}
	switch ctxErr := ctx.Err(); {
	case errors.Is(ctxErr, context.DeadlineExceeded):
		return rag.Errorf(rag.Timeout, rag.CodeTimeout, "the time limit for the model's answer passed").Because(err)
	case ctxErr != nil:
		return ctxErr
	}
	return rag.Errorf(rag.Unavailable, rag.CodeUnreachable,
		"Ollama could not be asked: start it with `ollama serve` or set OLLAMA_BASE_URL").Because(err)
}

// retryAfter is the header's wait in seconds; Ollama itself sends none.
func retryAfter(h http.Header) time.Duration {
	d, err := time.ParseDuration(h.Get("Retry-After") + "s")
	if err != nil || d < 0 {
		return 0
	}
	return d
}
