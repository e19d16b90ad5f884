// Package gateway is Ollama's own API, and the others that Ollama speaks (OpenAI's, Anthropic's), on our address: a client
// changes its address and loses nothing.
//
//	client -> body read, bounded -> whose model? -> builtin: the embedder in the binary
//	                                             -> any other: an http.RoundTripper, byte for byte
//	                                                where switched on: Keeper first, and one call for all who ask the same
//
// What a model server says is passed on as it is: status, headers, bytes, one chunk a line of NDJSON or event of SSE, each
// flushed. Nothing is decoded and encoded again; a request's body is looked into for the names of model and stream only,
// unless its answer may be kept: then all of it decides what it means.
//
// It does not know hosts, breakers or queues: those are behind the RoundTripper, which is told what a request is for by
// rag.WithCall. Nor does it know keys and limits of clients: those are before it.
package gateway
