// Package rag is the domain: the words of the trade, the ports through which the rest of the house serves it, and the
// Engine, which alone knows the order of a question:
//
//	recall exact -> embed -> recall near -> retrieve -> compose -> generate -> cite -> remember
//
// Every stage takes values and returns values. A stream of answer events is an iterator: a reader that stops stops the
// model. The package imports the standard library only; it knows neither HTTP, nor SQL, nor Ollama, nor Prometheus.
package rag
