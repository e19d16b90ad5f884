// Package upstream is the way to the model servers: an http.RoundTripper that chooses a host, tries again where that
// can help, and never asks a host that is known to be down.
//
//	RoundTrip ─▶ hosts ─▶ (queue) ─▶ retry ─▶ breaker ─▶ pooled transport ─▶ Ollama
//	             pick                budget   Allow/done   counts, limits
//
// Callers build requests against any base, http://ollama/api/chat; scheme, host, base path and the Host header become
// those of the chosen host, and Origin is dropped, since Ollama answers 403 to strangers' names. A status is an answer:
// 404 and 503 come back as responses. Errors are *rag.Error, except that a caller who went away gets its own context's.
//
// One attempt asks one breaker for leave and reports one outcome (see classify.go, the only place that judges). An
// attempt holds its place, and its outcome stays open, until the answer's body is read to its end or closed: a stream
// that breaks after an hour is a failure of that hour. Nothing is tried again once an answer's header has come.
//
// It knows Ollama's routes well enough to tell inference, which is tried again and judged by status, from look-ups,
// which are asked once and fail only if no answer comes. It does not know models, knowledge bases or metrics: whoever
// counts reads Stats, where every figure is an atomic, kept where the thing itself happens.
package upstream
