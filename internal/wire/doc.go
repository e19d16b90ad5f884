// Package wire holds the words of Ollama's HTTP API: the JSON bodies that this house writes and reads, and the reader
// of its line-by-line streams. It knows no HTTP and makes no decisions.
//
// The types name what is used here, not everything Ollama can say: whoever passes bodies through must pass the bytes,
// since decoding and encoding again would lose fields and change escapes. Durations are nanoseconds, as on the wire.
package wire
