package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

const (
	heldFrame  = 64 << 10 // of a line or event that is not whole yet; a longer one is passed on in pieces
	heldAnswer = 1 << 20  // of an answer in one piece; what breaks before is a status, what breaks after is cut
)

// busyRetry is the Retry-After of a model server's 503 that has none, in seconds. Ollama's never has.
const busyRetry = "5"

// hopByHop are the headers that end at each connection (RFC 9110, section 7.6.1, and those that proxies know beside it).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// relay sends a request to a model server, and its answer to the client as it comes. Closing the answer's body, or the end of
// the client's connection, stops the model.
func (g *Gateway) relay(w http.ResponseWriter, r *http.Request, body []byte, p peeked) error {
	var content io.Reader
	if len(body) > 0 {
		content = bytes.NewReader(body)
	}
	return g.forward(w, r, content, p)
}

func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, body io.Reader, p peeked) error {
	out, err := outgoing(r, body, p)
	if err != nil {
		return err
	}
	return g.tell(newAnswer(w, apiOf(r.URL.Path)).patientFor(p), out)
}

// tell sends a request as outgoing made it, and its answer to a client that nothing but signs of life went to.
func (g *Gateway) tell(a *answer, out *http.Request) error {
	resp, err := g.Upstream.RoundTrip(out)
	if err != nil {
		return a.fail(err)
	}
	defer resp.Body.Close()
	switch kind := resp.Header.Get("Content-Type"); {
	case out.Method == http.MethodHead:
		a.start(resp)
		return nil
	case strings.HasPrefix(kind, "application/x-ndjson"):
		return a.stream(resp, "\n")
	case strings.HasPrefix(kind, "text/event-stream"):
		return a.stream(resp, "\n\n")
	}
	return a.whole(resp)
}

// outgoing is the request as a model server gets it.
func outgoing(r *http.Request, body io.Reader, p peeked) (*http.Request, error) {
	ctx := rag.WithCall(r.Context(), rag.Call{Model: p.Model, Class: classOf(r.URL.Path)})
	out, err := http.NewRequestWithContext(ctx, r.Method, "http://ollama"+r.URL.RequestURI(), body)
	if err != nil {
		return nil, rag.Errorf(rag.Malformed, "", "the request's path cannot be passed on").Because(err)
	}
	copyHeader(out.Header, r.Header)
	out.Header.Del("Content-Length")  // is what was read
	out.Header.Del("Expect")          // was answered here
	out.Header.Del("Accept-Encoding") // Ollama ignores it, and frames are looked for in plain bytes
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // or net/http would name itself
	}
	return out, nil
}

func classOf(path string) rag.Class {
	switch path {
	case "/api/embed", "/api/embeddings", "/v1/embeddings":
		return rag.ClassEmbedding
	}
	return rag.ClassChat
}

// copyHeader copies what is meant for the other end.
func copyHeader(to, from http.Header) {
	skip := hopByHop
	for _, list := range from["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			skip = append(slices.Clip(skip), http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for name, values := range from {
		if !slices.Contains(skip, name) {
			to[name] = values
		}
	}
}

// answer is what goes to one client.
type answer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	api     *api
	life    life

	wrote bool // something went out, signs of life aside
	open  bool // what was written last is half a frame
}

func newAnswer(w http.ResponseWriter, api *api) *answer {
	return &answer{w: w, control: http.NewResponseController(w), api: api}
}

// start sends status and header as they are, unless signs of life took the status already: then it says so. Afterwards it does
// nothing.
func (a *answer) start(resp *http.Response) (taken bool) {
	if a.wrote {
		return false
	}
	a.wrote = true
	if a.life.end() {
		return true
	}
	h := a.w.Header()
	copyHeader(h, resp.Header)
	if _, ok := resp.Header["Content-Type"]; !ok {
		h["Content-Type"] = nil // or net/http would guess
	}
	if resp.StatusCode == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", busyRetry)
	}
	a.w.WriteHeader(resp.StatusCode)
	return false
}

var errLeft = fmt.Errorf("the client left: %w", context.Canceled)

// write sends bytes at once.
func (a *answer) write(p []byte) error {
	patience(a.control)
	if _, err := a.w.Write(p); err != nil {
		return errLeft
	}
	if a.control.Flush() != nil {
		return errLeft
	}
	return nil
}

// whole passes an answer in one piece on. It is read to its end first, as far as there is room, so that one that breaks is a
// status.
func (a *answer) whole(resp *http.Response) error {
	start, err := readAll(io.LimitReader(resp.Body, heldAnswer), resp.ContentLength)
	if err != nil {
		return a.fail(err)
	}
	if a.start(resp) {
		return a.late(resp, start)
	}
	patience(a.control)
	if _, err := a.w.Write(start); err != nil {
		return errLeft
	}
	if resp.ContentLength < 0 && len(start) > 0 && a.control.Flush() != nil { // in chunks, as it came
		return errLeft
	}
	if len(start) < heldAnswer {
		return nil
	}
	if _, err = io.Copy(patient{a.w, a.control}, resp.Body); err != nil {
		// Nothing that a client would understand can follow: the connection ends, so that half an answer does not look whole.
		panic(fmt.Errorf("%w: %w", http.ErrAbortHandler, err))
	}
	return nil
}

// late passes on an answer in one piece to a client that was shown signs of life, and so got its status.
func (a *answer) late(resp *http.Response, body []byte) error {
	if resp.StatusCode < http.StatusBadRequest {
		return a.fail(rag.Errorf(rag.BadUpstream, "", "the model server did not stream its answer"))
	}
	return a.write(a.api.event(body))
}

var buffers = sync.Pool{New: func() any { return new([heldFrame]byte) }}

// stream passes an answer on frame by frame, each as soon as it is whole; end is what a frame ends with. Of an answer that
// breaks off no half frame goes out: its end is an error in the form of the API.
func (a *answer) stream(resp *http.Response, end string) error {
	buf := buffers.Get().(*[heldFrame]byte)
	defer buffers.Put(buf)
	held := 0 // bytes in buf, after the frames that were written
	for {
		n, err := resp.Body.Read(buf[held:])
		from := max(0, held-len(end)+1) // what is before was looked at
		held += n
		left, failed := a.frames(resp, buf[:held], from, end)
		if failed != nil {
			return failed
		}
		held = copy(buf[:], left)
		switch {
		case errors.Is(err, io.EOF):
			a.start(resp)
			if held == 0 {
				return nil
			}
			return a.write(buf[:held])
		case err != nil:
			return a.fail(err)
		case held == len(buf):
			a.start(resp)
			if err := a.write(buf[:held]); err != nil {
				return err
			}
			held, a.open = 0, true
		}
	}
}

// frames writes the whole frames in p, of which those before from were looked at, and gives what is left.
func (a *answer) frames(resp *http.Response, p []byte, from int, end string) ([]byte, error) {
	for {
		i := bytes.Index(p[from:], []byte(end))
		if i < 0 {
			return p, nil
		}
		frame := p[:from+i+len(end)]
		a.start(resp)
		if err := a.write(frame); err != nil {
			return nil, err
		}
		p, from, a.open = p[len(frame):], 0, false
	}
}

// fail ends an answer that has begun with an error in its API's form, and gives the error to be a status where none has.
func (a *answer) fail(err error) error {
	p := problem.From(err, "")
	if taken := a.life.end(); !a.wrote && !taken || p.Status == problem.StatusClientGone {
		return err
	}
	_, body := a.api.shape(p.Status, p.Code, p.Detail)
	event := a.api.event(body)
	if a.open {
		event = append([]byte(a.api.after), event...) // what was half said ends here
	}
	_ = a.write(event) // a client that left is nobody to tell
	return err
}
