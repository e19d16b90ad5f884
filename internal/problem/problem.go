// Package problem turns errors into what HTTP clients see: one table from the kind of a fault to its status code, for every
// API of the house alike, and RFC 9457 problem details. It reads errors by the small Fault interface, so that it imports
// nothing of the house.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// ContentType is the media type of a problem, by RFC 9457, section 3.
const ContentType = "application/problem+json"

// statuses maps each kind of fault to its status code.
var statuses = map[string]int{
	"malformed":     http.StatusBadRequest,
	"unauthorized":  http.StatusUnauthorized,
	"forbidden":     http.StatusForbidden,
	"not_found":     http.StatusNotFound,
	"conflict":      http.StatusConflict,
	"too_large":     http.StatusRequestEntityTooLarge,
	"unreadable":    http.StatusUnsupportedMediaType,
	"out_of_bounds": http.StatusUnprocessableEntity,
	"rate_limited":  http.StatusTooManyRequests,
	"bad_upstream":  http.StatusBadGateway,
	"unavailable":   http.StatusServiceUnavailable,
	"overloaded":    http.StatusServiceUnavailable,
	"timeout":       http.StatusGatewayTimeout,
	"internal":      http.StatusInternalServerError,
}

// StatusClientGone is what the log calls a request whose client left before it was answered. It is never sent.
const StatusClientGone = 499

// Fault is an error that says what kind of fault it is and what to tell the client.
type Fault interface {
	error
	ProblemKind() string
	ProblemCode() string
	ProblemDetail() string
	ProblemRetryAfter() time.Duration
}

// Problem is an RFC 9457 problem detail with our two members, code and request_id.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id,omitempty"`

	RetryAfter time.Duration `json:"-"`
}

// defaultRetryAfter is sent with 429 and 503 where nobody knows a better time.
const defaultRetryAfter = 5 * time.Second

// From makes a problem of any error. An error that is no Fault becomes a 500 that gives nothing away.
func From(err error, requestID string) Problem {
	p := Problem{Type: "about:blank", Status: http.StatusInternalServerError, Code: "internal", Detail: "a fault of the server; its log says more under this request id", RequestID: requestID}
	if f, ok := errors.AsType[Fault](err); ok {
		p.Status, p.Code, p.Detail, p.RetryAfter = statuses[f.ProblemKind()], f.ProblemCode(), f.ProblemDetail(), f.ProblemRetryAfter()
		if p.Status == 0 {
			p.Status = http.StatusInternalServerError
		}
	} else if errors.Is(err, context.Canceled) {
		p.Status, p.Code, p.Detail = StatusClientGone, "client_gone", "the client left"
	}
	if p.RetryAfter <= 0 && (p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable) {
		p.RetryAfter = defaultRetryAfter
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// Write answers with the problem. Retry-After is in whole seconds, rounded up (RFC 9110, section 10.2.3).
func (p Problem) Write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that left is nobody to tell
}
