package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

const (
	chatURL      = "http://openai/v1/chat/completions" // the RoundTripper puts the real host in its place
	maxErrorBody = 64 << 10
)

// Client asks one server.
type Client struct {
	rt    http.RoundTripper
	key   string
	model string
}

// New makes a client. key may be empty, for servers that want none; model answers where a question names none. Nothing is
// sent before the first call.
func New(rt http.RoundTripper, key, model string) *Client {
	return &Client{rt: rt, key: key, model: model}
}

// ChatModel is wanted, else the client's own model. Whether the server has it, only asking it tells.
func (c *Client) ChatModel(_ context.Context, wanted string) (rag.Model, error) {
	if wanted == "" {
		wanted = c.model
	}
	return rag.Model{Name: wanted}, nil
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type chatRequest struct {
	Model         string    `json:"model"`
	Messages      []message `json:"messages"`
	Stream        bool      `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Temperature float64 `json:"temperature"`
	MaxTokens   int     `json:"max_tokens,omitempty"`
	Seed        *int    `json:"seed,omitempty"`
}

type chunk struct {
	Choices []struct {
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// Generate streams the model's answer to p. It ends with a chunk that is Done, or with an error: a stream that ends without
// [DONE] is a fault of kind BadUpstream. A consumer that stops stops the model. NumCtx has no meaning here.
func (c *Client) Generate(ctx context.Context, p rag.Prompt) iter.Seq2[rag.Chunk, error] {
	return func(yield func(rag.Chunk, error) bool) {
		s := stream{model: p.Model, start: time.Now()}
		resp, err := c.send(ctx, p)
		if err != nil {
			yield(rag.Chunk{}, err)
			return
		}
		defer resp.Body.Close()
		s.lines = wire.NewLineReader(resp.Body, wire.MaxLineBytes)
		for {
			out, err := s.next(ctx)
			if err != nil {
				yield(rag.Chunk{}, err)
				return
			}
			if out.Text == "" && !out.Done {
				continue
			}
			if !yield(out, nil) || out.Done {
				return
			}
		}
	}
}

// send gives the response of a 2xx; anything else is an error.
func (c *Client) send(ctx context.Context, p rag.Prompt) (*http.Response, error) {
	in := chatRequest{Model: p.Model, Stream: true, Temperature: p.Temperature, MaxTokens: p.MaxTokens, Seed: p.Seed}
	in.StreamOptions.IncludeUsage = true
	for _, m := range p.Messages {
		in.Messages = append(in.Messages, message{m.Role, m.Content})
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode the prompt: %w", err)
	}
	ctx = rag.WithCall(ctx, rag.Call{Model: p.Model, Class: p.Class})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, chatURL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.rt.RoundTrip(req)
	if err != nil {
		return nil, transportError(ctx, err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		return nil, statusError(resp, text, p.Model)
	}
	return resp, nil
}

// stream reads one answer.
type stream struct {
	lines  *wire.LineReader
	model  string
	start  time.Time
	first  time.Duration // until the first text
	reason string
	usage  rag.Usage
}

// next reads one line. What is no data (comments, names of events) is an empty chunk.
func (s *stream) next(ctx context.Context) (rag.Chunk, error) {
	line, err := s.lines.Next()
	switch {
	case errors.Is(err, io.EOF):
		return rag.Chunk{}, rag.Errorf(rag.BadUpstream, "", "%s ended its answer without finishing it", s.model)
	case errors.Is(err, wire.ErrLineTooLong):
		return rag.Chunk{}, rag.Errorf(rag.BadUpstream, "", "the OpenAI-compatible server sent a line of more than %d MiB", wire.MaxLineBytes>>20).Because(err)
	case err != nil:
		return rag.Chunk{}, transportError(ctx, err)
	}
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		return rag.Chunk{}, nil
	}
	data = bytes.TrimSpace(data)
	if string(data) == "[DONE]" {
		return rag.Chunk{Done: true, DoneReason: s.reason, Usage: s.times()}, nil
	}
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		return rag.Chunk{}, rag.Errorf(rag.BadUpstream, "", "the OpenAI-compatible server sent an event that is no JSON").Because(err)
	}
	if len(c.Error) > 0 && string(c.Error) != "null" {
		return rag.Chunk{}, rag.Errorf(rag.BadUpstream, "", "%s failed in the middle of its answer: %s", s.model, errorText(data))
	}
	return s.take(c), nil
}

func (s *stream) take(c chunk) rag.Chunk {
	if c.Usage != nil {
		s.usage.InputTokens, s.usage.OutputTokens = c.Usage.PromptTokens, c.Usage.CompletionTokens
	}
	if len(c.Choices) == 0 {
		return rag.Chunk{}
	}
	choice := c.Choices[0]
	if choice.FinishReason != "" {
		s.reason = choice.FinishReason
	}
	if choice.Delta.Content != "" && s.first == 0 {
		s.first = time.Since(s.start)
	}
	return rag.Chunk{Text: choice.Delta.Content}
}

// times is the usage with the times that were seen here: the API tells none.
func (s *stream) times() rag.Usage {
	total := time.Since(s.start)
	s.usage.TotalSeconds, s.usage.PromptSeconds, s.usage.OutputSeconds = total.Seconds(), s.first.Seconds(), (total - s.first).Seconds()
	return s.usage
}

// transportError gives rag errors and the caller's own context errors as they are, and names everything else.
func transportError(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*rag.Error](err); ok {
		return err
	}
	switch ctxErr := ctx.Err(); {
	case errors.Is(ctxErr, context.DeadlineExceeded):
		return rag.Errorf(rag.Timeout, rag.CodeTimeout, "the time limit for the model's answer passed").Because(err)
	case ctxErr != nil:
		return ctxErr
	}
	return rag.Errorf(rag.BadUpstream, "", "the OpenAI-compatible server broke off").Because(err)
}

// statusError turns a refusal into a fault with advice.
func statusError(resp *http.Response, body []byte, model string) *rag.Error {
	text := errorText(body)
	if text == "" {
		text = resp.Status
	}
	cause := fmt.Errorf("%s", resp.Status)
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return rag.Errorf(rag.BadUpstream, "", "the OpenAI-compatible server refuses the key (%s): check OPENAI_API_KEY and OPENAI_BASE_URL", resp.Status).Because(cause)
	case status == http.StatusNotFound:
		return rag.Errorf(rag.NotFound, rag.CodeModelNotFound, "the OpenAI-compatible server has no model %q, or no such API: check OPENAI_MODEL and OPENAI_BASE_URL", model).Because(cause)
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		e := rag.Errorf(rag.Overloaded, rag.CodeQueueFull, "the OpenAI-compatible server is busy: %s", text).Because(cause)
		if seconds, err := strconv.ParseFloat(resp.Header.Get("Retry-After"), 64); err == nil && seconds > 0 && seconds < 1e6 {
			e.RetryAfter = time.Duration(seconds * float64(time.Second))
		}
		return e
	case status < 500:
		return rag.Errorf(rag.OutOfBounds, "", "the OpenAI-compatible server does not accept the request: %s", text).Because(cause)
	}
	return rag.Errorf(rag.BadUpstream, "", "the OpenAI-compatible server failed: %s", text).Because(cause)
}

// maxErrorText is how many bytes of a server's own words a fault repeats.
const maxErrorText = 300

// errorText is the message of an error's body, "" if it has none: {"error":{"message":...}}, or {"error":"..."} as some have it.
func errorText(body []byte) string {
	var e struct{ Error json.RawMessage }
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	var text string
	if json.Unmarshal(e.Error, &text) != nil {
		var long struct{ Message string }
		_ = json.Unmarshal(e.Error, &long)
		text = long.Message
	}
	if len(text) > maxErrorText {
		text = string(bytes.ToValidUTF8([]byte(text[:maxErrorText]), nil)) + "..."
	}
	return text
}
