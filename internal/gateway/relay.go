package gateway

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// hopByHop are the headers that end at each connection (RFC 9110, section 7.6.1, and those that proxies know beside it).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// pass reads a request and passes it on.
func (g *Gateway) pass(w http.ResponseWriter, r *http.Request) error {
	body, err := g.read(w, r)
	if err != nil {
		return err
	}
	return g.relay(w, r, body, peek(body))
}

// relay sends a request to a model server, and its answer to the client as it comes.
func (g *Gateway) relay(w http.ResponseWriter, r *http.Request, body []byte, p peeked) error {
	out, err := outgoing(r, body, p)
	if err != nil {
		return err
	}
	resp, err := g.Upstream.RoundTrip(out)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	copyHeader(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		return err
	}
	return nil
}

// outgoing is the request as a model server gets it.
func outgoing(r *http.Request, body []byte, p peeked) (*http.Request, error) {
	ctx := rag.WithCall(r.Context(), rag.Call{Model: p.Model, Class: classOf(r.URL.Path)})
	var content io.Reader
	if len(body) > 0 {
		content = bytes.NewReader(body)
	}
	out, err := http.NewRequestWithContext(ctx, r.Method, "http://ollama"+r.URL.RequestURI(), content)
	if err != nil {
		return nil, rag.Errorf(rag.Malformed, "", "the request's path cannot be passed on").Because(err)
	}
	copyHeader(out.Header, r.Header)
	out.Header.Del("Content-Length")
	out.Header.Del("Expect") // was answered here: the body is read
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", "") // or net/http would name itself
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
	named := hopByHop
	for _, list := range from["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			named = append(slices.Clip(named), http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for name, values := range from {
		if !slices.Contains(named, name) {
			to[name] = values
		}
	}
}
