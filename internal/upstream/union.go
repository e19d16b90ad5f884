package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// unionGrace is how long a list waits for further hosts once one has answered.
const unionGrace = 2 * time.Second

// listKeys are the lists that are put together from all hosts: the key of the list, and that of an entry's name.
var listKeys = map[string][2]string{
	"/api/tags": {"models", "name"}, "/api/ps": {"models", "name"}, "/v1/models": {"data", "id"},
}

// union answers with the lists of all hosts together, so that a model can be seen and used wherever it is. The entries'
// bytes are the hosts' own; of two entries with one name it is that of the model which stands for the name. It is the first
// host's answer that they are put into; hosts that do not answer are left out, and only if none does is it an error.
func (c *Client) union(req *http.Request) (*http.Response, error) {
	type answer struct {
		i    int
		resp *http.Response
		body []byte
		err  error
	}
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	asked, answers := 0, make(chan answer, len(c.hosts))
	there := slices.ContainsFunc(c.hosts, func(h *host) bool { return !h.open() && !h.know.away() })
	for i, h := range c.hosts {
		if h.open() || there && h.know.away() {
			continue
		}
		asked++
		go func() {
			r := c.attempt(&call{req: req.WithContext(ctx), lookup: true}, seat{host: h})
			a := answer{i: i, resp: r.resp, err: r.err}
			if a.err == nil {
				a.body, a.err = io.ReadAll(io.LimitReader(r.resp.Body, maxListed))
				r.discard()
			}
			answers <- a
		}()
	}
	if asked == 0 {
		h := c.soonest()
		return nil, openError(c, &breaker.OpenError{Name: h.label, State: breaker.Open, RetryAfter: h.breaker.Stats().RetryAfter})
	}
	lists := make([][]byte, len(c.hosts))
	var first, refused *http.Response
	var failed error
	for range asked {
		a := <-answers
		switch {
		case a.err != nil:
			if failed == nil || !errors.Is(a.err, context.Canceled) {
				failed = a.err
			}
		case a.resp.StatusCode != http.StatusOK:
			refused = a.resp
			refused.Body = io.NopCloser(bytes.NewReader(a.body))
		default:
			lists[a.i] = a.body
			if first == nil {
				first = a.resp
				time.AfterFunc(unionGrace, cancel) // harmless when all have answered by then
			}
		}
	}
	switch {
	case first != nil:
	case refused != nil:
		return refused, nil
	case req.Context().Err() != nil:
		return nil, callError(req.Context(), nil, nil, req.Context().Err())
	default:
		return nil, failed
	}
	merged, err := c.merge(req.URL.Path, lists)
	if err != nil {
		return nil, rag.Errorf(rag.BadUpstream, "", "%s answers %s with a list that cannot be read", c.cfg.Server, req.URL.Path).Because(err)
	}
	first.Body, first.ContentLength, first.TransferEncoding = io.NopCloser(bytes.NewReader(merged)), int64(len(merged)), nil
	first.Header.Set("Content-Length", strconv.Itoa(len(merged)))
	return first, nil
}

// merge puts lists together. A list that cannot be read is left out, unless there is no other.
func (c *Client) merge(path string, lists [][]byte) ([]byte, error) {
	key, id := listKeys[path][0], listKeys[path][1]
	var whole map[string]json.RawMessage
	var fault error
	entries, seen, end := [][]byte{}, map[string]bool{}, ""
	for _, list := range lists {
		if list == nil {
			continue
		}
		var one map[string]json.RawMessage
		var some []json.RawMessage
		if err := errors.Join(json.Unmarshal(list, &one), json.Unmarshal(one[key], &some)); err != nil {
			fault = err
			continue
		}
		if whole == nil {
			whole = one
			end = string(list[len(bytes.TrimRight(list, "\n")):])
		}
		for _, entry := range some {
			var fields map[string]any
			_ = json.Unmarshal(entry, &fields) // what is no object has no name, and is kept once
			name, _ := fields[id].(string)
			digest, _ := fields["digest"].(string)
			stands := c.digest(strings.ToLower(name))
			if seen[name] || digest != "" && stands != "" && digest != stands {
				continue
			}
			seen[name] = true
			entries = append(entries, entry)
		}
	}
	if whole == nil {
		return nil, fault
	}
	out := []byte("{")
	if object, ok := whole["object"]; ok {
		out = append(append(append(out, `"object":`...), object...), ',')
	}
	out = append(append(append(out, '"'), key...), `":[`...)
	out = append(out, bytes.Join(entries, []byte(","))...)
	return append(append(out, "]}"...), end...), nil
}
