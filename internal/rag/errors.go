package rag

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of fault an error is. Package problem maps each kind to a status code, in one table.
type Kind string

// The kinds of fault. Adapters wrap whatever went wrong in an Error of one of them.
const (
	Malformed    Kind = "malformed"     // the request could not be read at all
	Unauthorized Kind = "unauthorized"  // no key, or one that nobody gave out
	Forbidden    Kind = "forbidden"     // the key's role does not reach this far
	NotFound     Kind = "not_found"     // no such knowledge base, document, job, model
	Conflict     Kind = "conflict"      // exists already, or is in use
	TooLarge     Kind = "too_large"     // beyond a size limit
	Unreadable   Kind = "unreadable"    // a file of a kind that cannot be read, or broken, or encrypted
	OutOfBounds  Kind = "out_of_bounds" // a field outside its bounds
	RateLimited  Kind = "rate_limited"  // too many requests
	BadUpstream  Kind = "bad_upstream"  // the model server spoke nonsense or failed
	Unavailable  Kind = "unavailable"   // no model server can be asked now
	Overloaded   Kind = "overloaded"    // every place is taken
	Timeout      Kind = "timeout"       // a named wait passed its limit
	Internal     Kind = "internal"      // a fault of ours
)

// Codes that name a fault more closely than its Kind does, where a caller acts on the difference.
const (
	CodeCircuitOpen   = "circuit_open"
	CodeQueueFull     = "queue_full"
	CodeTimeout       = "timeout"
	CodeNoModel       = "no_model"
	CodeModelNotFound = "model_not_found"
	CodeUnreachable   = "unreachable"
	CodeNotCached     = "not_cached"
)

// Error is a fault with a sentence for the person who can do something about it.
type Error struct {
	Kind       Kind
	Code       string        // snake_case; empty means the kind itself
	Detail     string        // what is wrong and what to do; never a path, key or another user's text
	RetryAfter time.Duration // when trying again makes sense; 0 means unknown
	Err        error         // the cause, for the log
}

// Errorf makes an Error whose Detail is formatted as fmt.Sprintf does.
func Errorf(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Error gives the detail, and the cause where there is one.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Detail + ": " + e.Err.Error()
	}
	return e.Detail
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Because returns e with its cause set.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// ProblemKind is the kind as package problem knows it. It and the next three let that package read an Error without importing rag.
func (e *Error) ProblemKind() string { return string(e.Kind) }

// ProblemCode is the machine-readable name of the fault.
func (e *Error) ProblemCode() string {
	if e.Code != "" {
		return e.Code
	}
	return string(e.Kind)
}

// ProblemDetail is the sentence for the client.
func (e *Error) ProblemDetail() string { return e.Detail }

// ProblemRetryAfter is the wait before another try makes sense, 0 if unknown.
func (e *Error) ProblemRetryAfter() time.Duration { return e.RetryAfter }

// KindOf finds the kind of err: Internal for errors that carry none, "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// CodeOf finds the code of err, "" where it carries none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.ProblemCode()
	}
	return ""
}
