package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// readTimeout is how long a client may take to send a body.
const readTimeout = 2 * time.Minute

// read takes a request's whole body, at most limit bytes. It is read before anything is asked of a model server: a proxy
// that reads while it answers cuts answers that come early.
func read(w http.ResponseWriter, r *http.Request, limit int64, setting string) ([]byte, error) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(readTimeout)) // where nothing knows deadlines, nothing is needed
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
	_ = control.SetReadDeadline(time.Time{}) // or a client past it would count as one that left
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, rag.Errorf(rag.TooLarge, "", "the request body is larger than %s, %d bytes", setting, limit)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, rag.Errorf(rag.Malformed, "", "the body did not come within %s", readTimeout).Because(err)
	case err != nil && r.Context().Err() != nil:
		return nil, r.Context().Err()
	case err != nil:
		return nil, rag.Errorf(rag.Malformed, "", "the request's body broke off while it was read").Because(err)
	}
	return body, nil
}

// peeked is all that the gateway wants to know of a request.
type peeked struct {
	Model  string
	Name   string // the older word for Model, on /api/show
	Stream bool
}

// peek reads as Ollama does. A body that is none of its requests names nothing: the model server will say what is wrong.
func peek(body []byte) peeked {
	var p struct {
		Model  json.RawMessage `json:"model"`
		Name   json.RawMessage `json:"name"`
		Stream json.RawMessage `json:"stream"`
	}
	var out peeked
	if json.Unmarshal(body, &p) == nil {
		_ = json.Unmarshal(p.Model, &out.Model)
		_ = json.Unmarshal(p.Name, &out.Name)
		_ = json.Unmarshal(p.Stream, &out.Stream)
	}
	return out
}
