// Package upstream is the way to the model servers: an http.RoundTripper that chooses a host, waits for room on it, tries again
// where that can help, and never asks a host that is known to be down.
//
//	RoundTrip ─▶ hosts ─▶ queue ─▶ retry ─▶ breakers ─▶ pooled transport ─▶ Ollama
//	             who has   a place   budget    host and     counts, limits
//	             the model                     model
//
// Callers build requests against any base, http://ollama/api/chat; scheme, host, base path and the Host header become
// those of the chosen host, and Origin is dropped, since Ollama answers 403 to strangers' names. A status is an answer:
// 404 and 503 come back as responses. Errors are *rag.Error, except that a caller who went away gets its own context's.
// A stream that breaks ends in such an error from Read, never in io.EOF; the one exception is a server that said itself, as
// the stream's last word, what went wrong.
//
// What a call is for its context says (rag.WithCall), else its body and path. A call for a model needs a place: each host
// does only so many at once, the limiter finds out how many, the others wait in line here, chat before embedding before
// ingest (queue.go, limiter.go). Of several hosts the one that holds the model in memory is asked first (know.go). A call holds
// its place, and its outcome stays open, until the answer's body is read to its end or closed: a stream that breaks
// after an hour is a failure of that hour. Nothing is tried again once an answer's header has come.
//
// One attempt asks leave of two breakers, the host's and the model's on this host, and reports one outcome (see classify.go, the
// only place that judges, and lane.go for what it means to the two).
//
// It knows Ollama's routes well enough to tell inference, which is tried again and judged by status, from look-ups,
// which are asked once and fail only if no answer comes; lists are those of all hosts together (union.go). It does not know
// knowledge bases or metrics: whoever counts reads Stats and Queue, where every figure is kept where the thing itself happens.
package upstream
