package wire

import (
	"encoding/json"
	"time"
)

// Message is one turn of a chat.
type Message struct {
	Role     string `json:"role"`
	Content  string `json:"content"`
	Thinking string `json:"thinking,omitempty"` // what a reasoning model thought before it answered
}

// Options are the model's settings. Nil and zero leave a setting to the model, except where noted.
type Options struct {
	NumCtx      int      `json:"num_ctx,omitempty"`     // tokens; a change reloads the model
	NumPredict  int      `json:"num_predict,omitempty"` // most tokens to write
	NumThread   int      `json:"num_thread,omitempty"`  // a change reloads the model
	NumGPU      *int     `json:"num_gpu,omitempty"`     // layers on the GPU; 0 is a setting
	Temperature *float64 `json:"temperature,omitempty"` // 0 is a setting
	Seed        *int     `json:"seed,omitempty"`
}

// ChatRequest is the body of POST /api/chat. Without Stream Ollama streams.
type ChatRequest struct {
	Model     string          `json:"model"`
	Messages  []Message       `json:"messages"`
	Stream    *bool           `json:"stream,omitempty"`
	Format    json.RawMessage `json:"format,omitempty"`
	Options   *Options        `json:"options,omitempty"`
	KeepAlive json.RawMessage `json:"keep_alive,omitempty"`
	Think     json.RawMessage `json:"think,omitempty"`
}

// Metrics are the figures of a finished answer.
type Metrics struct {
	TotalDuration      time.Duration `json:"total_duration,omitempty"`
	LoadDuration       time.Duration `json:"load_duration,omitempty"`
	PromptEvalCount    int           `json:"prompt_eval_count,omitempty"`
	PromptEvalDuration time.Duration `json:"prompt_eval_duration,omitempty"`
	EvalCount          int           `json:"eval_count,omitempty"`
	EvalDuration       time.Duration `json:"eval_duration,omitempty"`
}

// ChatResponse is one line of a streamed chat, or all of one that is not streamed. Error comes alone, under status 200,
// when the answer breaks after its first byte.
type ChatResponse struct {
	Model      string    `json:"model"`
	CreatedAt  time.Time `json:"created_at"`
	Message    Message   `json:"message"`
	Done       bool      `json:"done"`
	DoneReason string    `json:"done_reason,omitempty"`
	Error      string    `json:"error,omitempty"`
	Metrics
}

// GenerateRequest is the body of POST /api/generate. Without Stream Ollama streams.
type GenerateRequest struct {
	Model     string          `json:"model"`
	Prompt    string          `json:"prompt"`
	System    string          `json:"system,omitempty"`
	Stream    *bool           `json:"stream,omitempty"`
	Format    json.RawMessage `json:"format,omitempty"`
	Options   *Options        `json:"options,omitempty"`
	KeepAlive json.RawMessage `json:"keep_alive,omitempty"`
}

// GenerateResponse is one line of a streamed completion, or all of one that is not streamed.
type GenerateResponse struct {
	Model      string    `json:"model"`
	CreatedAt  time.Time `json:"created_at"`
	Response   string    `json:"response"`
	Done       bool      `json:"done"`
	DoneReason string    `json:"done_reason,omitempty"`
	Context    []int     `json:"context,omitempty"`
	Error      string    `json:"error,omitempty"`
	Metrics
}

// EmbedRequest is the body of POST /api/embed. Truncate cuts texts that are too long for the model instead of refusing.
type EmbedRequest struct {
	Model     string          `json:"model"`
	Input     []string        `json:"input"`
	Truncate  *bool           `json:"truncate,omitempty"`
	Options   *Options        `json:"options,omitempty"`
	KeepAlive json.RawMessage `json:"keep_alive,omitempty"`
}

// EmbedResponse has one vector a text, in order, of unit length.
type EmbedResponse struct {
	Model           string        `json:"model"`
	Embeddings      [][]float32   `json:"embeddings"`
	TotalDuration   time.Duration `json:"total_duration,omitempty"`
	LoadDuration    time.Duration `json:"load_duration,omitempty"`
	PromptEvalCount int           `json:"prompt_eval_count,omitempty"`
}

// EmbeddingsRequest is the body of POST /api/embeddings, the older way: one text.
type EmbeddingsRequest struct {
	Model  string `json:"model"`
	Prompt string `json:"prompt"`
}

// EmbeddingsResponse is its answer, not normalised by Ollama itself.
type EmbeddingsResponse struct {
	Embedding []float64 `json:"embedding"`
}

// Details describe a model's file.
type Details struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"`
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
}

// Tag is one model on the server's disk.
type Tag struct {
	Name       string    `json:"name"` // with tag
	Model      string    `json:"model"`
	ModifiedAt time.Time `json:"modified_at"`
	Size       int64     `json:"size"`   // bytes
	Digest     string    `json:"digest"` // hex SHA-256 of the manifest
	Details    Details   `json:"details"`
}

// TagsResponse answers GET /api/tags.
type TagsResponse struct {
	Models []Tag `json:"models"`
}

// Running is one model in memory.
type Running struct {
	Name          string    `json:"name"`
	Model         string    `json:"model"`
	Size          int64     `json:"size"` // bytes in all
	Digest        string    `json:"digest"`
	Details       Details   `json:"details"`
	ExpiresAt     time.Time `json:"expires_at"`
	SizeVRAM      int64     `json:"size_vram"`      // bytes of Size in graphics memory
	ContextLength int       `json:"context_length"` // tokens it was loaded with
}

// PsResponse answers GET /api/ps.
type PsResponse struct {
	Models []Running `json:"models"`
}

// ShowRequest is the body of POST /api/show.
type ShowRequest struct {
	Model string `json:"model"`
}

// ShowResponse is the part of its answer that is used here.
type ShowResponse struct {
	Template     string                     `json:"template,omitempty"`
	Details      Details                    `json:"details"`
	ModelInfo    map[string]json.RawMessage `json:"model_info"`
	Capabilities []string                   `json:"capabilities"`
	ModifiedAt   time.Time                  `json:"modified_at"`
}

// VersionResponse answers GET /api/version.
type VersionResponse struct {
	Version string `json:"version"`
}

// ErrorResponse is the body of every refusal.
type ErrorResponse struct {
	Error string `json:"error"`
}
