package rag

import "context"

// Class orders calls of a model server: where a host has too little room, a lower class is served first.
type Class int

const (
	ClassChat      Class = iota // somebody reads along
	ClassEmbedding              // a question waits for its vector, or a client of the gateway for many
	ClassIngest                 // passages of documents: uses the room that the others leave
)

// String is the class as metrics and logs name it.
func (c Class) String() string {
	switch c {
	case ClassChat:
		return "chat"
	case ClassEmbedding:
		return "embedding"
	case ClassIngest:
		return "ingest"
	}
	return "unknown"
}

// Call says what a request to a model server is for. It travels in the request's context, so that whoever sends the
// request and whoever finds room for it need not know each other.
type Call struct {
	Model string // as the model server names it
	Class Class
}

type callKey struct{}

// WithCall says what requests under ctx are for.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallOf is what WithCall said; false if nothing was.
func CallOf(ctx context.Context) (Call, bool) {
	c, ok := ctx.Value(callKey{}).(Call)
	return c, ok
}

type callerKey struct{}

// WithCaller says who asks: a digest of the key that a request came with.
func WithCaller(ctx context.Context, caller string) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerOf is what WithCaller said; empty for those who came without a key.
func CallerOf(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}
