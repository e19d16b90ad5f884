// Package ollamatest is Ollama for tests: one that does as it is told, and the real one.
//
// Server is scripted. It answers like Ollama where this house asks, with Ollama's headers, error bodies and way of
// streaming, counts what it is asked, and fails on demand in every way that was seen in a real one: it refuses, resets,
// hangs, is slow, answers with any status, breaks off in mid-line, sends an error under status 200, ends without its
// final message. Its vectors are made of words, so texts that share words lie close.
//
// Real is the real server with small real models, for what only the real one can prove. It runs where
// OLLAMA_RAG_REAL_OLLAMA names the folder that scripts/real-ollama.sh made; elsewhere its tests are skipped.
//
// The package is for tests only.
package ollamatest
