package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
)

// again says where a call may be tried again.
type again int

const (
	never     again = iota
	elsewhere       // on a host that was not tried yet
	anywhere        // elsewhere, else here after a wait
)

// The reasons for a retry: a closed set, they are label values.
const (
	reasonConnect   = "connect"   // no connection came about
	reasonReset     = "reset"     // the connection ended before the answer
	reasonTimeout   = "timeout"   // no answer in time
	reasonStatus    = "status"    // 500, 502, 504 and their like
	reasonSaturated = "saturated" // 503, 429
	reasonMissing   = "missing"   // 404 here, perhaps not elsewhere
)

var reasons = [...]string{reasonConnect, reasonReset, reasonTimeout, reasonStatus, reasonSaturated, reasonMissing}

// verdict is what one attempt means: for the breaker, for the next attempt, for the figures.
type verdict struct {
	outcome breaker.Outcome
	ofHost  bool // it happened on the way to the host, before any model was concerned
	pending bool // the body decides; outcome is void until then
	again   again
	reason  string
	wait    time.Duration // the server's Retry-After, 0 where it gave none
}

// judgeStatus judges an answer by its status. body is the beginning of an error's body.
func judgeStatus(infer bool, path string, status int, header http.Header, body []byte) verdict {
	switch {
	case status < 400:
		return verdict{outcome: breaker.Neutral, pending: infer}
	case !infer && path == showPath && status == http.StatusNotFound:
		return verdict{again: elsewhere, reason: reasonMissing}
	case !infer:
		return verdict{outcome: breaker.Neutral}
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return verdict{again: anywhere, reason: reasonSaturated, wait: retryAfter(header)}
	case status == http.StatusNotFound:
		return verdict{again: elsewhere, reason: reasonMissing}
	case status == http.StatusNotImplemented || status < 500:
		return verdict{}
	case status == http.StatusInternalServerError && clientsFault(body):
		return verdict{}
	}
	return verdict{outcome: breaker.Failure, again: anywhere, reason: reasonStatus}
}

// clientsFault says whether a 500 speaks of the request and not of the server: Ollama answers 500 to an option of the
// wrong type and to a format it cannot read.
func clientsFault(body []byte) bool {
	text := errorIn(body)
	return strings.HasPrefix(text, `option "`) || strings.HasPrefix(text, "invalid format")
}

// judgeError judges an attempt that brought no answer. caller is the call's own context, cause why the attempt was
// stopped, if it was.
func judgeError(caller context.Context, cause, err error, infer bool) verdict {
	if caller.Err() != nil {
		return verdict{}
	}
	v := verdict{outcome: breaker.Failure, ofHost: true, again: anywhere, reason: reasonReset}
	switch {
	case isTotal(cause):
		return verdict{}
	case isPlace(cause):
		return verdict{again: elsewhere, reason: reasonSaturated}
	case isLimit(cause):
		// Asking the same host again would make the caller wait as long again.
		v.again, v.reason, v.ofHost = elsewhere, reasonTimeout, false
	case isDial(err):
		v.reason = reasonConnect
	}
	if !infer {
		v.again = elsewhere
	}
	return v
}

// isDial says whether no connection came about.
func isDial(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok || isTLS(err) {
		return true
	}
	// No deadline is set on a connection in use: what times out by itself is a handshake.
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// retryAfter reads the header, in seconds or as a date; 0 if there is none that can be read.
func retryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
