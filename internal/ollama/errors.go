package ollama

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// statusError turns a refusal into a fault with advice. Ollama's own words are kept: they name the field or model.
func statusError(resp *http.Response, body []byte, model string) *rag.Error {
	text := errorText(body)
	cause := fmt.Errorf("ollama: %s: %s", resp.Status, text)
	switch status := resp.StatusCode; {
	case status == http.StatusNotFound && model != "":
		return rag.Errorf(rag.NotFound, rag.CodeModelNotFound, "Ollama has no model %q: get it with `ollama pull %s`",
			model, model).Because(cause)
	case status == http.StatusNotFound:
		return rag.Errorf(rag.BadUpstream, "", "what answers is not an Ollama that is new enough: %s",
			orStatus(text, resp)).Because(cause)
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		e := rag.Errorf(rag.Overloaded, rag.CodeQueueFull, "Ollama is busy: %s", orStatus(text, resp)).Because(cause)
		e.RetryAfter = retryAfter(resp.Header)
		return e
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return rag.Errorf(rag.BadUpstream, "", "Ollama refuses us (%s): check OLLAMA_BASE_URL and OLLAMA_ORIGINS",
			resp.Status).Because(cause)
	case status < 500 || clientsFault(text):
		return rag.Errorf(rag.OutOfBounds, "", "Ollama does not accept the request: %s", orStatus(text, resp)).Because(cause)
	}
	return rag.Errorf(rag.BadUpstream, "", "Ollama failed: %s", orStatus(text, resp)).Because(cause)
}

// clientsFault says whether a 500 speaks of the request, as Ollama does for options of the wrong type and unknown formats.
func clientsFault(text string) bool {
	return strings.HasPrefix(text, `option "`) || strings.HasPrefix(text, "invalid format")
}

// errorText is the message of an error's body, "" if it has none.
func errorText(body []byte) string {
	var e wire.ErrorResponse
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	return e.Error
}

func orStatus(text string, resp *http.Response) string {
	if text == "" {
		return resp.Status
	}
	return text
}
