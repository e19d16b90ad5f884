package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// said is a whole answer of a model, in no API's form. What it cannot hold is not kept.
type said struct {
	Model     string
	ID        string `json:",omitempty"` // of OpenAI's form
	Created   string // RFC 3339
	Text      string
	Thinking  string            `json:",omitempty"`
	ToolCalls []json.RawMessage `json:",omitempty"` // in the form of the API that they came by
	Context   json.RawMessage   `json:",omitempty"` // of /api/generate
	Metrics   wire.Metrics
}

// stopReason is the only end of an answer that is kept: by itself.
const stopReason = "stop"

type nativeMessage struct {
	Role      string            `json:"role"`
	Content   string            `json:"content"`
	Thinking  string            `json:"thinking,omitempty"`
	ToolCalls []json.RawMessage `json:"tool_calls,omitempty"`
}

// nativeFrame is a line of /api/chat (Message) or /api/generate (Response).
type nativeFrame struct {
	Model      string          `json:"model"`
	CreatedAt  string          `json:"created_at"`
	Message    *nativeMessage  `json:"message,omitempty"`
	Response   *string         `json:"response,omitempty"`
	Thinking   string          `json:"thinking,omitempty"`
	Done       bool            `json:"done"`
	DoneReason string          `json:"done_reason,omitempty"`
	Context    json.RawMessage `json:"context,omitempty"`
	wire.Metrics
}

type messageV1 struct {
	Role      string            `json:"role,omitempty"`
	Content   *string           `json:"content"`
	Reasoning string            `json:"reasoning,omitempty"`
	ToolCalls []json.RawMessage `json:"tool_calls,omitempty"`
}

type choiceV1 struct {
	Text         *string    `json:"text,omitempty"`
	Index        int        `json:"index"`
	Message      *messageV1 `json:"message,omitempty"`
	Delta        *messageV1 `json:"delta,omitempty"`
	FinishReason *string    `json:"finish_reason"`
}

type usageV1 struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// frameV1 is an answer of /v1/chat/completions or /v1/completions (Text), or a chunk of one.
type frameV1 struct {
	ID          string     `json:"id"`
	Object      string     `json:"object"`
	Created     int64      `json:"created"` // Unix seconds
	Model       string     `json:"model"`
	Fingerprint string     `json:"system_fingerprint"`
	Choices     []choiceV1 `json:"choices"`
	Usage       *usageV1   `json:"usage,omitempty"`
}

const fingerprint = "fp_ollama"

// hearing makes a whole answer of its frames.
type hearing struct {
	said     said // but for the two:
	text     strings.Builder
	thinking strings.Builder
	chat, v1 bool
	start    time.Time
	first    time.Time // of the first frame
	odd      bool      // it has something that said cannot hold, or goes wrong
	ended    bool      // by itself
	counted  bool      // its usage is known
	closed   bool      // by OpenAI's last event; all others need none
	over     bool      // the stream has said that it ends
}

func hear(path string, stream bool) *hearing {
	v1 := apiOf(path) == openai
	return &hearing{chat: path == chatPath || path == chatV1Path, v1: v1, counted: !v1, closed: !v1 || !stream, start: time.Now()}
}

// take takes one frame, and says whether it tells of usage alone.
func (h *hearing) take(frame []byte) (usage bool) {
	if h.first.IsZero() {
		h.first = time.Now()
	}
	frame = bytes.TrimSpace(frame)
	if h.v1 {
		if data, event := bytes.CutPrefix(frame, []byte("data:")); event {
			frame = bytes.TrimSpace(data)
		}
		if string(frame) == "[DONE]" {
			h.closed, h.over = true, true
			return false
		}
		return h.takeV1(frame)
	}
	h.takeNative(frame)
	return false
}

func (h *hearing) takeNative(frame []byte) {
	var f nativeFrame
	if h.ended || !strict(frame, &f) || h.chat != (f.Message != nil) || h.chat == (f.Response != nil) || h.chat && f.Message.Role != "assistant" {
		h.odd = true
		return
	}
	s := &h.said
	if h.chat {
		h.add(f.Message.Content, f.Message.Thinking, f.Message.ToolCalls)
	} else {
		h.add(*f.Response, f.Thinking, nil)
	}
	s.Model, s.Created = f.Model, f.CreatedAt
	if f.Done {
		h.over = true
		h.ended, s.Context, s.Metrics = f.DoneReason == stopReason, f.Context, f.Metrics
		h.odd = h.odd || !h.ended
	}
}

func (h *hearing) add(text, thinking string, calls []json.RawMessage) {
	h.text.WriteString(text)
	h.thinking.WriteString(thinking)
	h.said.ToolCalls = append(h.said.ToolCalls, calls...)
}

func (h *hearing) takeV1(frame []byte) (usage bool) {
	var f frameV1
	if !strict(frame, &f) || len(f.Choices) > 1 || f.Fingerprint != fingerprint || h.ended && len(f.Choices) > 0 {
		h.odd = true
		return false
	}
	s := &h.said
	s.Model, s.ID, s.Created = f.Model, f.ID, time.Unix(f.Created, 0).UTC().Format(time.RFC3339)
	if f.Usage != nil {
		h.counted = true
		s.Metrics.PromptEvalCount, s.Metrics.EvalCount = f.Usage.PromptTokens, f.Usage.CompletionTokens
	}
	for _, c := range f.Choices {
		message := c.Delta
		if message == nil {
			message = c.Message
		}
		if h.chat != (message != nil) || h.chat == (c.Text != nil) || c.Index != 0 {
			h.odd = true
			return false
		}
		if h.chat {
			if message.Content != nil {
				h.add(*message.Content, "", nil)
			}
			h.add("", message.Reasoning, message.ToolCalls)
		} else {
			h.add(*c.Text, "", nil)
		}
		if c.FinishReason != nil {
			h.ended = *c.FinishReason == stopReason || *c.FinishReason == "tool_calls"
			h.odd = h.odd || !h.ended
		}
	}
	return len(f.Choices) == 0 && f.Usage != nil
}

// strict reads JSON that has no field which v lacks.
func strict(data []byte, v any) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v) == nil && !d.More()
}

// whole is the answer, nil where it is not whole and good. Tools are called only by who was given some.
func (h *hearing) whole(tools bool) *said {
	s := &h.said
	s.Text, s.Thinking = h.text.String(), h.thinking.String()
	if h.odd || !h.ended || !h.counted || !h.closed || len(s.ToolCalls) > 0 && !tools || strings.TrimSpace(s.Text) == "" && len(s.ToolCalls) == 0 {
		return nil
	}
	if h.v1 { // which tells no times: these are what was seen from here
		now := time.Now()
		s.Metrics.TotalDuration, s.Metrics.PromptEvalDuration, s.Metrics.EvalDuration = now.Sub(h.start), h.first.Sub(h.start), now.Sub(h.first)
	}
	return s
}

// frames is the answer as a route says it: in one piece, or as a stream's frames.
func (s *said) frames(path string, m meaning) (contentType string, frames [][]byte) {
	if apiOf(path) == openai {
		return s.framesV1(path == chatV1Path, m)
	}
	say := func(text, thinking string, calls []json.RawMessage, end bool) {
		f := nativeFrame{Model: s.Model, CreatedAt: s.Created, Done: end}
		if path == chatPath {
			f.Message = &nativeMessage{"assistant", text, thinking, calls}
		} else {
			f.Response, f.Thinking = &text, thinking
		}
		if end {
			f.DoneReason, f.Context, f.Metrics = stopReason, s.Context, s.Metrics
		}
		frames = append(frames, encode(f))
	}
	if !m.stream {
		say(s.Text, s.Thinking, s.ToolCalls, true)
		return jsonType, frames
	}
	s.pieces(func(text, thinking string, calls []json.RawMessage) { say(text, thinking, calls, false) })
	say("", "", nil, true)
	for i := range frames {
		frames[i] = append(frames[i], '\n')
	}
	return "application/x-ndjson", frames
}

// pieces are the parts of an answer in the order in which models say them.
func (s *said) pieces(say func(text, thinking string, calls []json.RawMessage)) {
	if s.Thinking != "" {
		say("", s.Thinking, nil)
	}
	if s.Text != "" {
		say(s.Text, "", nil)
	}
	if len(s.ToolCalls) > 0 {
		say("", "", s.ToolCalls)
	}
}

func (s *said) framesV1(chat bool, m meaning) (contentType string, frames [][]byte) {
	created, _ := time.Parse(time.RFC3339, s.Created) // an answer of a time that cannot be read is as old as can be
	f := frameV1{ID: s.ID, Object: "text_completion", Created: created.Unix(), Model: s.Model, Fingerprint: fingerprint}
	if chat {
		f.Object = "chat.completion"
	}
	if f.ID == "" { // as Ollama numbers them
		f.ID = "chatcmpl-" + strconv.Itoa(created.Nanosecond()%1000)
	}
	reason := stopReason
	if len(s.ToolCalls) > 0 {
		reason = "tool_calls"
	}
	message := func(text, thinking string, calls []json.RawMessage) *messageV1 {
		return &messageV1{"assistant", &text, thinking, calls}
	}
	usage := &usageV1{s.Metrics.PromptEvalCount, s.Metrics.EvalCount, s.Metrics.PromptEvalCount + s.Metrics.EvalCount}
	if !m.stream {
		c := choiceV1{FinishReason: &reason, Text: &s.Text}
		if chat {
			c.Text, c.Message = nil, message(s.Text, s.Thinking, s.ToolCalls)
		}
		f.Choices, f.Usage = []choiceV1{c}, usage
		return openaiType, [][]byte{append(encode(f), '\n')}
	}
	event := func(data []byte) { frames = append(frames, fmt.Appendf(nil, "data: %s\n\n", data)) }
	say := func(text, thinking string, calls []json.RawMessage, end *string) {
		c := choiceV1{FinishReason: end, Text: &text}
		if chat {
			c.Text, c.Delta = nil, message(text, thinking, calls)
		}
		f.Choices = []choiceV1{c}
		event(encode(f))
	}
	if chat {
		f.Object += ".chunk"
	}
	s.pieces(func(text, thinking string, calls []json.RawMessage) { say(text, thinking, calls, nil) })
	say("", "", nil, &reason)
	if m.usage {
		f.Choices, f.Usage = []choiceV1{}, usage
		event(encode(f))
	}
	event([]byte("[DONE]"))
	return "text/event-stream", frames
}
