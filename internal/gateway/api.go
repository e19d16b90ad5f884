package gateway

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"github.com/ollama-rag/ollama-rag/internal/problem"
)

// api is one of the APIs, as far as they differ: in what an error looks like.
type api struct {
	shape func(status int, code, message string) (contentType string, body []byte)
}

// The forms are those of Ollama 0.17, down to the line break at the end.
var (
	native = &api{shape: func(_ int, _, message string) (string, []byte) {
		return jsonType, encode(struct {
			Error string `json:"error"`
		}{message})
	}}
	openai = &api{shape: func(status int, code, message string) (string, []byte) {
		e := openaiError{Message: message, Type: "api_error"}
		if code != "" {
			e.Code = &code
		}
		if status == http.StatusBadRequest {
			e.Type = "invalid_request_error"
			return jsonType, encode(map[string]openaiError{"error": e})
		}
		return openaiType, append(encode(map[string]openaiError{"error": e}), '\n')
	}}
)

const (
	jsonType   = "application/json; charset=utf-8"
	openaiType = "application/json"
)

type openaiError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// encode is v as Ollama writes it. What is encoded here always can be.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// fail answers with a fault of ours. Retry-After is in whole seconds, rounded up.
func (a *api) fail(w http.ResponseWriter, p problem.Problem) {
	if p.RequestID != "" {
		w.Header().Set("X-Request-ID", p.RequestID) // the server's log says more under it
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	if p.Status == http.StatusBadRequest {
		p.Code = "" // as Ollama has it
	}
	a.refuse(w, p.Status, p.Code, p.Detail)
}

// refuse answers with an error in the API's own shape.
func (a *api) refuse(w http.ResponseWriter, status int, code, message string) {
	contentType, body := a.shape(status, code, message)
	write(w, status, contentType, body)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left is nobody to tell
}
