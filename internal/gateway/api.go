package gateway

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/problem"
)

// api is one of the APIs, as far as they differ: in what an error looks like.
type api struct {
	shape  func(status int, code, message string) (contentType string, body []byte)
	events bool   // streams are server-sent events; else lines
	before string // an error in a stream: what stands before and after its body
	after  string
}

// The forms are those of Ollama 0.17, down to the line break at the end.
var (
	native    = &api{shape: nativeError, after: "\n"}
	openai    = &api{shape: openaiError, events: true, before: "data: ", after: "\n\n"}
	anthropic = &api{shape: anthropicError, events: true, before: "event: error\ndata: ", after: "\n\n"}
)

const (
	jsonType   = "application/json; charset=utf-8"
	openaiType = "application/json"
)

func apiOf(path string) *api {
	switch {
	case path == "/v1/messages":
		return anthropic
	case strings.HasPrefix(path, "/v1/"):
		return openai
	}
	return native
}

func nativeError(_ int, _, message string) (string, []byte) {
	return jsonType, encode(struct {
		Error string `json:"error"`
	}{message})
}

func openaiError(status int, code, message string) (string, []byte) {
	var e struct {
		Error struct {
			Message string  `json:"message"`
			Type    string  `json:"type"`
			Param   *string `json:"param"`
			Code    *string `json:"code"`
		} `json:"error"`
	}
	e.Error.Message, e.Error.Type = message, "api_error"
	if status == http.StatusBadRequest { // found by what stands before Ollama's own API, which has no codes
		e.Error.Type = "invalid_request_error"
		return jsonType, encode(e)
	}
	if code != "" {
		e.Error.Code = &code
	}
	return openaiType, append(encode(e), '\n')
}

var anthropicTypes = map[int]string{
	http.StatusBadRequest: "invalid_request_error", http.StatusUnauthorized: "authentication_error", http.StatusForbidden: "permission_error",
	http.StatusNotFound: "not_found_error", http.StatusRequestEntityTooLarge: "request_too_large", http.StatusServiceUnavailable: "overloaded_error",
}

func anthropicError(status int, _, message string) (string, []byte) {
	var e struct {
		Type  string `json:"type"`
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
	}
	e.Type, e.Error.Type, e.Error.Message = "error", anthropicTypes[status], message
	if e.Error.Type == "" {
		e.Error.Type = "api_error"
	}
	return openaiType, append(encode(e), '\n')
}

// encode is v as Ollama writes it. What is encoded here always can be.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// event is an error's body as a stream that has begun says it.
func (a *api) event(body []byte) []byte {
	body = bytes.ReplaceAll(bytes.TrimSpace(body), []byte("\n"), []byte(" "))
	return append(append([]byte(a.before), body...), a.after...)
}

// fail answers with a fault of ours. Retry-After is in whole seconds, rounded up.
func (a *api) fail(w http.ResponseWriter, p problem.Problem) {
	if p.RequestID != "" {
		w.Header().Set("X-Request-ID", p.RequestID) // the server's log says more under it
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
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
