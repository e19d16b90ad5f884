// Package trace is the only importer of OpenTelemetry. It sees the house from outside, by decorators around its ports and its HTTP
// ends, so that without it nothing is there that could cost:
//
//	Route           a request of ours, with the traceparent that it came with     server span
//	Engine          a question: how the cache took part, how it ended             internal
//	Embedders, Retriever, Evidence, Generator   its stages                        internal and client
//	Transport       each attempt on a model host; traceparent goes on             client
//
// Names follow the semantic conventions of HTTP and generative AI in version 1.41. What was asked and answered is never in a span.
// Spans go out behind those who ask, in OTLP over HTTP; what cannot be sent is dropped, and the log says so once a minute.
package trace
