// Package server is the native HTTP API: it decodes, bounds and authorises requests, hands them to the parts behind its
// ports, and writes what they answer. It holds no policy of retrieval or answering.
//
//	request -> id, log, security headers -> origin, host -> key and role -> body limit -> handler -> one place for errors
//
// An error before the first byte is a status and an RFC 9457 problem, after it an error frame; the kinds of error and their
// status codes are those of package problem. A stream writes one frame an event and flushes it; its end is always explicit.
package server
