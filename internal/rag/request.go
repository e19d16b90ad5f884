package rag

import (
	"context"
	"sync/atomic"
	"time"
)

// RequestInfo is what the parts that one client's request passes through tell each other of it, for log, traces and metrics. The
// handler's goroutine alone sets the fields.
type RequestInfo struct {
	ID       string
	Trace    string // id of its trace in hexadecimal; "": none is kept
	Question string // what was asked, for a log that may have it
	Broken   bool   // its answer had begun when an error ended it
	Degraded Reason // why its answer is degraded; "": it is not
	Notice   string // the same in words, as the reader of the answer has it

	away atomic.Int64
}

// AddAway adds a time that the request spent on its way to model servers, in their queue, or waiting for their bytes.
func (i *RequestInfo) AddAway(d time.Duration) {
	if i != nil {
		i.away.Add(int64(d))
	}
}

// Away is the sum of those times.
func (i *RequestInfo) Away() time.Duration { return time.Duration(i.away.Load()) }

type requestKey struct{}

// WithRequest says whose request it is.
func WithRequest(ctx context.Context, info *RequestInfo) context.Context {
	return context.WithValue(ctx, requestKey{}, info)
}

// RequestOf is what WithRequest said, nil if nothing was.
func RequestOf(ctx context.Context) *RequestInfo {
	info, _ := ctx.Value(requestKey{}).(*RequestInfo)
	return info
}
