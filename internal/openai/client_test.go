package openai

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answering(status int, body io.Reader, header ...string) roundTripper {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: h, Body: io.NopCloser(body)}, nil
	}
}

const whole = `: waiting

data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Five "},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":"[1]."},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}

data: [DONE]

`

// run collects an answer.
func run(ctx context.Context, c *Client) (text string, last rag.Chunk, err error) {
	for chunk, err := range c.Generate(ctx, rag.Prompt{Model: "m", Messages: []rag.Message{{Role: "user", Content: "x"}}, MaxTokens: 9}) {
		if err != nil {
			return text, last, err
		}
		text, last = text+chunk.Text, chunk
	}
	return text, last, nil
}

func TestAnAnswerIsReadToItsEnd(t *testing.T) {
	var got map[string]any
	rt := roundTripper(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		call, _ := rag.CallOf(r.Context())
		if r.URL.String() != "http://openai/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer secret" || call != (rag.Call{Model: "m", Class: rag.ClassChat}) {
			t.Errorf("%s %v %v", r.URL, r.Header, call)
		}
		return answering(200, iotest.OneByteReader(strings.NewReader(whole)))(r)
	})
	text, last, err := run(t.Context(), New(rt, "secret", "own"))
	if err != nil || text != "Five [1]." || !last.Done || last.DoneReason != "stop" || last.Usage.InputTokens != 12 || last.Usage.OutputTokens != 3 || last.Usage.TotalSeconds <= 0 {
		t.Errorf("%q %+v %v", text, last, err)
	}
	if got["model"] != "m" || got["stream"] != true || got["max_tokens"] != 9.0 || got["stream_options"].(map[string]any)["include_usage"] != true || got["temperature"] != 0.0 {
		t.Errorf("sent %v", got)
	}
}

func TestEveryFaultSaysWhatToDo(t *testing.T) {
	broken := whole[:strings.Index(whole, "data: {\"choices\":[{\"index\":0,\"delta\":{}")]
	for _, c := range []struct {
		name string
		rt   roundTripper
		kind rag.Kind
		code string
		says string
	}{
		{"no end", answering(200, strings.NewReader(broken)), rag.BadUpstream, "bad_upstream", "without finishing"},
		{"cut", answering(200, io.MultiReader(strings.NewReader(broken), iotest.ErrReader(io.ErrUnexpectedEOF))), rag.BadUpstream, "bad_upstream", "broke off"},
		{"error in the stream", answering(200, strings.NewReader(broken+`data: {"error":{"message":"out of memory"}}`+"\n\n")), rag.BadUpstream, "bad_upstream", "out of memory"},
		{"no JSON", answering(200, strings.NewReader("data: {\n\n")), rag.BadUpstream, "bad_upstream", "no JSON"},
		{"key", answering(401, strings.NewReader(`{"error":{"message":"Incorrect API key provided: sk-secret"}}`)), rag.BadUpstream, "bad_upstream", "OPENAI_API_KEY"},
		{"model", answering(404, strings.NewReader(`{"error":{"message":"no m"}}`)), rag.NotFound, rag.CodeModelNotFound, "OPENAI_MODEL"},
		{"busy", answering(429, strings.NewReader(`{"error":{"message":"quota"}}`), "Retry-After", "7"), rag.Overloaded, rag.CodeQueueFull, "quota"},
		{"field", answering(400, strings.NewReader(`{"error":"max_tokens is too large"}`)), rag.OutOfBounds, "out_of_bounds", "max_tokens is too large"},
		{"failed", answering(500, strings.NewReader(`<html>`)), rag.BadUpstream, "bad_upstream", "Internal Server Error"},
		{"unreachable", func(*http.Request) (*http.Response, error) {
			return nil, rag.Errorf(rag.Unavailable, rag.CodeCircuitOpen, "left in peace")
		}, rag.Unavailable, rag.CodeCircuitOpen, "left in peace"},
	} {
		_, _, err := run(t.Context(), New(c.rt, "sk-secret", "own"))
		if rag.KindOf(err) != c.kind || rag.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v %s %s", c.name, err, rag.KindOf(err), rag.CodeOf(err))
		}
		if strings.Contains(err.Error(), "sk-secret") {
			t.Errorf("%s: the key is in %q", c.name, err)
		}
		if e, ok := errors.AsType[*rag.Error](err); c.name == "busy" && (!ok || e.RetryAfter.Seconds() != 7) {
			t.Errorf("busy: %+v", e)
		}
	}
}

func TestACallerWhoLeavesGetsItsOwnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := run(ctx, New(roundTripper(func(r *http.Request) (*http.Response, error) { return nil, r.Context().Err() }), "", "own"))
	if !errors.Is(err, context.Canceled) || rag.KindOf(err) != rag.Internal {
		t.Error(err)
	}
}

func TestAConsumerThatStopsClosesTheAnswer(t *testing.T) {
	body := &closed{Reader: strings.NewReader(whole)}
	rt := roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: body}, nil
	})
	for range New(rt, "", "own").Generate(t.Context(), rag.Prompt{Model: "m"}) {
		break
	}
	if !body.yes {
		t.Error("the answer's body was left open: the model goes on")
	}
}

type closed struct {
	io.Reader
	yes bool
}

func (c *closed) Close() error {
	c.yes = true
	return nil
}

func TestTheOwnModelAnswersWhereNoneIsNamed(t *testing.T) {
	c := New(nil, "", "own")
	for wanted, want := range map[string]string{"": "own", "other": "other"} {
		if m, err := c.ChatModel(t.Context(), wanted); m.Name != want || err != nil {
			t.Errorf("%q: %v %v", wanted, m, err)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add(whole)
	f.Add("data: {\"choices\":[{\"delta\":null}],\"usage\":{}}\n\ndata: [DONE]")
	f.Add("data:[DONE]\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		text, last, err := run(t.Context(), New(answering(200, strings.NewReader(body)), "", "own"))
		if (err == nil) != last.Done {
			t.Errorf("%q: %v, done %v", text, err, last.Done)
		}
		if last.Done && !strings.Contains(body, "[DONE]") {
			t.Errorf("%q looks whole", body)
		}
	})
}
