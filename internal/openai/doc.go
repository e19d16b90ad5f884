// Package openai is a typed client of a server that speaks OpenAI's chat API: OpenAI itself, or one of the many that have the
// same routes under /v1. It implements rag.Generator and rag.Models.
//
// It sends requests for http://openai/v1/... through an http.RoundTripper, which knows the real address and is told what a
// request is for by rag.WithCall; of the answer it reads server-sent events up to [DONE]. Errors are *rag.Error with a
// sentence for the one who can help, except that a caller who went away gets its own context's. The key is in the
// requests' headers and nowhere else: what a server says about a refused key is not repeated, since it may quote it.
package openai
