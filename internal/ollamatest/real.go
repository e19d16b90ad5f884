package ollamatest

import "testing"

// RealVariable names the environment variable with the folder that scripts/real-ollama.sh install made.
const RealVariable = "OLLAMA_RAG_REAL_OLLAMA"

// The models of the real server.
const (
	RealChatModel      = "smollm2:135m"
	RealEmbeddingModel = "all-minilm:latest" // 384 dimensions
)

// RealServer is a real Ollama that runs for the tests of this process.
type RealServer struct {
	URL string
}

// Real gives the running real server with its models, and ends it when the last test that wanted it is over. It skips
// the test where RealVariable is not set.
func Real(t testing.TB) *RealServer {
	t.Helper()
	return shareReal(t)
}
