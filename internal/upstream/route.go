package upstream

import (
	"net/http"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

const showPath = "/api/show"

// inference says whether a request makes a model work: only such requests count for or against a host, and only they
// are tried again.
func inference(r *http.Request) bool {
	return r.Method == http.MethodPost && inferencePath(r.URL.Path)
}

func inferencePath(path string) bool {
	switch path {
	case "/api/chat", "/api/generate", "/api/embed", "/api/embeddings",
		"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages":
		return true
	}
	return false
}

// lookup says whether a request only asks what is there, which no model load can delay.
func lookup(r *http.Request) bool {
	switch r.URL.Path {
	case showPath, "/v1/models", "/api/tags", "/api/ps", "/api/version":
		return true
	}
	return strings.HasPrefix(r.URL.Path, "/v1/models/")
}

// classOf is the class of an inference that does not say its own.
func classOf(path string) rag.Class {
	switch path {
	case "/api/embed", "/api/embeddings", "/v1/embeddings":
		return rag.ClassEmbedding
	}
	return rag.ClassChat
}

// isList says whether a request asks for what all hosts have together.
func isList(r *http.Request) bool {
	return r.Method == http.MethodGet && listKeys[r.URL.Path] != [2]string{}
}
