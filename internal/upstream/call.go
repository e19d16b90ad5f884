package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// call is one request of a caller, through all of its attempts.
type call struct {
	req    *http.Request
	infer  bool
	lookup bool
	body   func() (io.ReadCloser, error) // the request's body, afresh each time; nil if it has none
	once   bool                          // body gives the body only once
	tried  []*host
	waits  int // so far
}

// newCall reads the body of an inference that cannot be given again by itself. That a body is read before it is sent
// is also what keeps a server that answers early from cutting the exchange short.
func newCall(req *http.Request, maxReplay int64) (*call, error) {
	c := &call{req: req, infer: inference(req), lookup: lookup(req)}
	switch {
	case req.Body == nil || req.Body == http.NoBody:
	case req.GetBody != nil:
		_ = req.Body.Close()
		c.body = req.GetBody
	case !c.infer || req.ContentLength > maxReplay:
		c.once, c.body = true, func() (io.ReadCloser, error) { return req.Body, nil }
	default:
		return c, c.buffer(maxReplay)
	}
	return c, nil
}

// buffer keeps the body for later attempts, unless it turns out to be too large.
func (c *call) buffer(maxReplay int64) error {
	data, err := io.ReadAll(io.LimitReader(c.req.Body, maxReplay+1))
	if err != nil {
		_ = c.req.Body.Close()
		if ctxErr := c.req.Context().Err(); ctxErr != nil {
			return ctxErr
		}
		return rag.Errorf(rag.Malformed, "", "the request's body broke off while it was read").Because(err)
	}
	if int64(len(data)) > maxReplay {
		rest := &resumed{Reader: io.MultiReader(bytes.NewReader(data), c.req.Body), Closer: c.req.Body}
		c.once, c.body = true, func() (io.ReadCloser, error) { return rest, nil }
		return nil
	}
	_ = c.req.Body.Close()
	c.req = c.req.Clone(c.req.Context())
	c.req.ContentLength, c.req.TransferEncoding = int64(len(data)), nil
	c.body = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	c.req.GetBody = c.body
	return nil
}

var errSpent = errors.New("upstream: the request's body was sent already")

// request is the request for one attempt.
func (c *call) request(ctx context.Context) (*http.Request, error) {
	r := c.req.Clone(ctx)
	if c.body == nil {
		return r, nil
	}
	if c.once && len(c.tried) > 0 {
		return nil, errSpent
	}
	var err error
	r.Body, err = c.body()
	return r, err
}

// has says whether the host was tried already.
func (c *call) has(h *host) bool {
	for _, t := range c.tried {
		if t == h {
			return true
		}
	}
	return false
}
