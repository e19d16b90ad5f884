// Package ollama speaks to an Ollama server on behalf of the domain: it embeds texts, streams answers, and says which
// models there are.
//
//	rag.Embedder  ◀─ Embedder ─┐
//	rag.Generator ◀─ Client  ──┼─▶ http.RoundTripper ─▶ one or many servers
//	rag.Models    ◀─ catalogue ┘
//
// It takes a RoundTripper and knows nothing of hosts, retries or breakers: errors of the RoundTripper that are rag
// errors pass through unchanged. What it adds is trust in what comes back: an answer counts only with its final
// message, vectors only if they are as many as the texts, of one dimension, finite and not zero.
//
// What models there are is looked up on first use and then at most every ten seconds while somebody asks, one look-up
// at a time. A server that is away costs a call nothing while the last failure is fresh, and leaves the last list in use
// for a while.
package ollama
