package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// call is one request of a caller, through all of its attempts.
type call struct {
	req    *http.Request
	infer  bool
	lookup bool
	tagged bool   // models have tags, as Ollama's do
	model  string // full name in lower case, as Ollama compares names; "" if none is named
	class  rag.Class
	body   func() (io.ReadCloser, error) // the request's body, afresh each time; nil if it has none
	once   bool                          // body gives the body only once
	tried  []*host                       // each as often as it was
	avoid  []*host                       // for the next attempt
	waits  int                           // so far
	over   func()                        // called at the end of an attempt; may be nil
	start  time.Time                     // of the whole call
}

// newCall reads the body of an inference that cannot be given again by itself. That a body is read before it is sent
// is also what keeps a server that answers early from cutting the exchange short.
func newCall(req *http.Request, cfg *Config) (*call, error) {
	maxReplay := cfg.MaxReplayBytes
	c := &call{req: req, tagged: cfg.ollama(), infer: inference(req), lookup: lookup(req), class: classOf(req.URL.Path), start: time.Now()}
	if said, ok := rag.CallOf(req.Context()); ok {
		c.name(said.Model)
		c.class = said.Class
	}
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return c, nil
	case req.GetBody != nil:
		_ = req.Body.Close()
		c.body = req.GetBody
		if c.names() && c.model == "" {
			return c, c.peek(maxReplay)
		}
	case !c.names() || req.ContentLength > maxReplay:
		c.once, c.body = true, func() (io.ReadCloser, error) { return req.Body, nil }
	default:
		return c, c.buffer(maxReplay)
	}
	return c, nil
}

// names says whether the request's body names a model.
func (c *call) names() bool { return c.infer || c.req.URL.Path == showPath }

func (c *call) name(model string) {
	if c.tagged {
		model = wire.FullName(model)
	}
	c.model = strings.ToLower(model)
}

// peek finds the model in a body that can be had again.
func (c *call) peek(most int64) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, most))
	if err != nil {
		return rag.Errorf(rag.Malformed, "", "the request's body broke off while it was read").Because(err)
	}
	c.name(modelIn(data))
	return nil
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
	if c.model == "" {
		c.name(modelIn(data))
	}
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

// avoids says whether the host is not to be asked this time.
func (c *call) avoids(h *host) bool { return slices.Contains(c.avoid, h) }
