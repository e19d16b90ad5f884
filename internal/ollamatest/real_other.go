//go:build !unix

package ollamatest

import "testing"

func shareReal(t testing.TB) *RealServer {
	t.Helper()
	t.Skipf("%s: the real Ollama is started on Unix only", RealVariable)
	return nil
}
