package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// limit is the cause that an attempt is stopped with when it has waited long enough.
type limit struct {
	name  string // what was waited for
	d     time.Duration
	total bool // it was the whole call's: no fault of the server
	place bool // it was a place among our own connections: nothing was asked of the server
}

func (l *limit) Error() string { return fmt.Sprintf("waited %v for %s", l.d, l.name) }

func isLimit(err error) bool {
	_, ok := errors.AsType[*limit](err)
	return ok
}

// isTotal says that an attempt was stopped because the whole answer took too long.
func isTotal(err error) bool {
	l, ok := errors.AsType[*limit](err)
	return ok && l.total
}

// isPlace says that an attempt was stopped while it waited for a connection of ours to become free.
func isPlace(err error) bool {
	l, ok := errors.AsType[*limit](err)
	return ok && l.place
}

// openError says that no host may be asked now.
func openError(c *Client, refused error) *rag.Error {
	e := &rag.Error{Kind: rag.Unavailable, Code: rag.CodeCircuitOpen, Err: refused}
	what := c.cfg.Server + " at " + names(c.hosts)
	if open, ok := errors.AsType[*breaker.OpenError](refused); ok {
		e.RetryAfter = open.RetryAfter
		if _, model, ok := strings.Cut(open.Name, "#"); ok && model != "" {
			what = model + " on " + what
		}
	}
	e.Detail = fmt.Sprintf("%s failed too often and is left in peace for now; it is tried again in %v",
		what, max(time.Second, e.RetryAfter.Round(time.Second)))
	return e
}

// callError turns what stopped an attempt into a sentence for the one who can help. A caller who went away gets its own
// context's error.
func callError(caller context.Context, h *host, cause, err error) error {
	switch callerErr := caller.Err(); {
	case errors.Is(callerErr, context.DeadlineExceeded):
		return rag.Errorf(rag.Timeout, rag.CodeTimeout, "the time limit for the whole answer passed").Because(callerErr)
	case callerErr != nil:
		return callerErr
	}
	if l, ok := errors.AsType[*limit](cause); ok && l.place {
		return rag.Errorf(rag.Overloaded, rag.CodeQueueFull, "every connection to %s was in use for %v: raise OLLAMA_POOL_MAXSIZE", h.name(), l.d).Because(err)
	} else if ok && l.total {
		return rag.Errorf(rag.Timeout, rag.CodeTimeout, "%s had not finished its answer after %v: raise OLLAMA_TOTAL_TIMEOUT", h.name(), l.d).Because(err)
	} else if ok {
		return rag.Errorf(rag.Timeout, rag.CodeTimeout, "%s sent nothing: waited %v for %s", h.name(), l.d, l.name).
			Because(err)
	}
	switch {
	case isTLS(err):
		return rag.Errorf(rag.Unavailable, rag.CodeUnreachable,
			"no secure connection to %s: check its certificate, or whether it should be http://", h.name()).Because(err)
	case isDial(err):
		return rag.Errorf(rag.Unavailable, rag.CodeUnreachable, "no %s: %s", strings.Replace(h.name(), " at ", " answers at ", 1), h.advice).Because(err)
	}
	return rag.Errorf(rag.BadUpstream, "", "%s closed the connection before it answered", h.name()).Because(err)
}

// bodyError is callError for an answer that had begun.
func bodyError(caller context.Context, h *host, cause, err error) error {
	if caller.Err() != nil || isLimit(cause) {
		return callError(caller, h, cause, err)
	}
	return rag.Errorf(rag.BadUpstream, "", "%s broke off in the middle of its answer", h.name()).Because(err)
}

const unfinished = "the stream ended without its final message"

// errUnfinished is the cause of a stream that ended in good order but without its last word.
var errUnfinished = fmt.Errorf("%s: %w", unfinished, io.ErrUnexpectedEOF)

func isTLS(err error) bool {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.HostnameError](err)
	return ok
}

func names(hosts []*host) string {
	s := ""
	for i, h := range hosts {
		if i > 0 {
			s += ", "
		}
		s += h.shown
	}
	return s
}
