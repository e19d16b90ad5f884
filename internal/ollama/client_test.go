package ollama

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

var (
	_ rag.Embedder  = (*Embedder)(nil)
	_ rag.Generator = (*Client)(nil)
	_ rag.Models    = (*Client)(nil)
)

// to sends everything to one server, as upstream does, and adds nothing.
type to struct {
	host string
	rt   http.RoundTripper
}

func (d to) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = d.host, d.host
	return d.rt.RoundTrip(r)
}

func clientTo(t testing.TB, base string) *Client {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return New(to{u.Host, transport}, Options{})
}

func prompt(model string) rag.Prompt {
	return rag.Prompt{Model: model, Messages: []rag.Message{{Role: "system", Content: "be brief"}, {Role: "user", Content: "x"}}}
}

// collect reads a whole answer.
func collect(ctx context.Context, c *Client, p rag.Prompt) (text string, last rag.Chunk, err error) {
	for chunk, err := range c.Generate(ctx, p) {
		if err != nil {
			return text, last, err
		}
		text += chunk.Text
		last = chunk
	}
	return text, last, nil
}

func TestAnswerStreamsToItsFinalMessageWithItsFigures(t *testing.T) {
	srv := ollamatest.New(t)
	srv.SetText("Five failures\nopen it <b>☕</b>.")
	srv.SetThinking("Hmm, let me think.")
	seed := 7
	p := prompt("llama3.1:8b")
	p.NumCtx, p.MaxTokens, p.Seed = 4096, 256, &seed
	text, last, err := collect(t.Context(), clientTo(t, srv.URL), p)
	if err != nil || text != "Five failures\nopen it <b>☕</b>." {
		t.Fatalf("got %q, %v", text, err)
	}
	if !last.Done || last.DoneReason != "stop" || last.Usage.InputTokens != 10 || last.Usage.TotalSeconds != 0.012849234 {
		t.Errorf("got %+v", last)
	}
	got := string(srv.Requests("/api/chat")[0].Body)
	want := `{"model":"llama3.1:8b","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"x"}],` +
		`"stream":true,"options":{"num_ctx":4096,"num_predict":256,"temperature":0,"seed":7}}`
	if got != want {
		t.Errorf("sent %s\nwant %s", got, want)
	}
}

func TestConfiguredOptionsGoWithEveryCall(t *testing.T) {
	srv := ollamatest.New(t)
	gpu := 0
	c := clientTo(t, srv.URL)
	c.opts = Options{NumThread: 2, NumGPU: &gpu}
	if _, _, err := collect(t.Context(), c, prompt("llama3.1:8b")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Embedder("all-minilm").Embed(t.Context(), rag.ForPassage, []string{"x"}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/chat", "/api/embed"} {
		if body := string(srv.Requests(path)[0].Body); !strings.Contains(body, `"num_thread":2,"num_gpu":0`) {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestAnswerThatIsNotWholeIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		fault ollamatest.Fault
		kind  rag.Kind
		code  string
		says  string
	}{
		"error line":     {ollamatest.Ends(ollamatest.ErrorLine, 1), rag.BadUpstream, "bad_upstream", "unexpected EOF"},
		"no done":        {ollamatest.Ends(ollamatest.NoDone, 1), rag.BadUpstream, "bad_upstream", "without finishing"},
		"repeats itself": {ollamatest.Ends(ollamatest.Loop, 1), rag.BadUpstream, "bad_upstream", "repeats itself"},
		"cut in a line":  {ollamatest.Ends(ollamatest.MidLine, 1), rag.BadUpstream, "bad_upstream", "broke off"},
		"busy":           {ollamatest.Busy(7 * time.Second), rag.Overloaded, rag.CodeQueueFull, "busy"},
		"500":            {ollamatest.Status(500), rag.BadUpstream, "bad_upstream", "an error was encountered"},
		"502":            {ollamatest.Status(502, "<html>"), rag.BadUpstream, "bad_upstream", "502"},
		"no model":       {ollamatest.Status(404, `{"error":"model 'm' not found"}`), rag.NotFound, rag.CodeModelNotFound, "ollama pull"},
		"400":            {ollamatest.Status(400, `{"error":"\"m\" does not support chat"}`), rag.OutOfBounds, "out_of_bounds", "does not support chat"},
		"bad option":     {ollamatest.Status(500, `{"error":"option \"x\" must be"}`), rag.OutOfBounds, "out_of_bounds", "option"},
		"forbidden":      {ollamatest.Status(403, " "), rag.BadUpstream, "bad_upstream", "OLLAMA_ORIGINS"},
	} {
		srv := ollamatest.New(t)
		srv.Fail(1, c.fault)
		_, last, err := collect(t.Context(), clientTo(t, srv.URL), prompt("llama3.1:8b"))
		if rag.KindOf(err) != c.kind || rag.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) || last.Done {
			t.Errorf("%s: %v (%s, %s)", name, err, rag.KindOf(err), rag.CodeOf(err))
		}
		if e, _ := errors.AsType[*rag.Error](err); name == "busy" && e.RetryAfter != 7*time.Second {
			t.Errorf("%s: retry after %v", name, e.RetryAfter)
		}
	}
}

func TestServerThatIsAwayIsNamedWithAdvice(t *testing.T) {
	srv := ollamatest.New(t)
	srv.Refuse()
	_, _, err := collect(t.Context(), clientTo(t, srv.URL), prompt("m"))
	if rag.KindOf(err) != rag.Unavailable || rag.CodeOf(err) != rag.CodeUnreachable || !strings.Contains(err.Error(), "ollama serve") {
		t.Errorf("got %v", err)
	}
}

func TestErrorsOfTheRoundTripperPassThrough(t *testing.T) {
	open := rag.Errorf(rag.Unavailable, rag.CodeCircuitOpen, "open")
	c := New(roundTrip(func(*http.Request) (*http.Response, error) { return nil, open }), Options{})
	if _, _, err := collect(t.Context(), c, prompt("m")); err != open {
		t.Errorf("got %v", err)
	}
	if _, err := c.ChatModel(t.Context(), ""); err != open {
		t.Errorf("got %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestConsumerThatStopsStopsTheModel(t *testing.T) {
	srv := ollamatest.New(t)
	srv.Fail(1, ollamatest.Ends(ollamatest.Stall, 2))
	srv.SetText("one two three")
	for chunk, err := range clientTo(t, srv.URL).Generate(t.Context(), prompt("llama3.1:8b")) {
		if err != nil || chunk.Text != "one" {
			t.Fatalf("got %+v, %v", chunk, err)
		}
		break
	}
	if path, err := srv.AwaitDisconnect(t.Context()); err != nil || path != "/api/chat" {
		t.Errorf("%q, %v", path, err)
	}
}

func TestCallerThatLeavesGetsItsOwnError(t *testing.T) {
	srv := ollamatest.New(t)
	srv.Fail(1, ollamatest.Ends(ollamatest.Stall, 1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range clientTo(t, srv.URL).Generate(ctx, prompt("llama3.1:8b")) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v", last)
	}
}

func TestVectorsAreUnitsInOrderAndInBatches(t *testing.T) {
	srv := ollamatest.New(t)
	srv.SetVector(func(text string, n int) []float32 {
		v := ollamatest.WordVector(text, n)
		for i := range v {
			v[i] *= 3
		}
		return v
	})
	var texts []string
	for i := range 2*BatchTexts + 1 {
		texts = append(texts, strings.Repeat("word ", i))
	}
	texts = append(texts, strings.Repeat("x", BatchBytes+1), "after")
	e := clientTo(t, srv.URL).Embedder("all-minilm")
	got, err := e.Embed(t.Context(), rag.ForQuestion, texts)
	if err != nil || len(got) != len(texts) {
		t.Fatalf("%d vectors, %v", len(got), err)
	}
	for i, v := range got {
		want := ollamatest.WordVector(texts[i], 384)
		for j := range v {
			if math.Abs(float64(v[j]-want[j])) > 1e-6 {
				t.Fatalf("text %d differs at %d", i, j)
			}
		}
	}
	if n := srv.Count("/api/embed"); n != 5 { // 32, 32, 1, the large one, the rest
		t.Errorf("%d requests", n)
	}
	if body := string(srv.Requests("/api/embed")[0].Body); !strings.Contains(body, `"model":"all-minilm:latest"`) || !strings.Contains(body, `"truncate":true`) {
		t.Errorf("sent %.80s", body)
	}
	if none, err := e.Embed(t.Context(), rag.ForQuestion, nil); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}

func TestWrongVectorsAreNeverGiven(t *testing.T) {
	for name, body := range map[string]string{
		"too few":       `{"embeddings":[[1,0]]}`,
		"too many":      `{"embeddings":[[1,0],[1,0],[1,0]]}`,
		"two dimension": `{"embeddings":[[1,0],[1,0,0]]}`,
		"empty":         `{"embeddings":[[],[]]}`,
		"zero":          `{"embeddings":[[1,0],[0,0]]}`,
		"null":          `{"embeddings":[[null,null],[1,0]]}`,
		"not a number":  `{"embeddings":[["NaN",0],[1,0]]}`,
		"beyond float":  `{"embeddings":[[1e60,0],[1,0]]}`,
		"no JSON":       `<html>`,
	} {
		srv := ollamatest.New(t)
		srv.Fail(1, ollamatest.Status(200, body))
		e := clientTo(t, srv.URL).Embedder("all-minilm")
		want := rag.BadUpstream
		if name == "zero" || name == "null" {
			want = rag.OutOfBounds // about the text: another one may have a vector
		}
		if v, err := e.Embed(t.Context(), rag.ForPassage, []string{"a", "b"}); rag.KindOf(err) != want || v != nil {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	for _, v := range [][]float32{{0, 0}, {float32(math.NaN()), 1}, {float32(math.Inf(1)), 1}, {}} {
		if normalise(v) {
			t.Errorf("%v is taken", v)
		}
	}
}

func TestEmbedderIsIdentifiedByNameDigestAndDimension(t *testing.T) {
	srv := ollamatest.New(t)
	c := clientTo(t, srv.URL)
	want := rag.EmbedderID{Name: "all-minilm:latest", Digest: ollamatest.EmbeddingModel("all-minilm:latest", 384).Digest, Dimension: 384}
	for _, name := range []string{"all-minilm", "all-minilm:latest"} {
		if id, err := c.Embedder(name).Identity(t.Context()); err != nil || id != want {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	if _, err := c.Embedder("nope").Identity(t.Context()); rag.CodeOf(err) != rag.CodeModelNotFound {
		t.Errorf("got %v", err)
	}
}

func at(m ollamatest.Model, hour int, loaded bool) ollamatest.Model {
	m.ModifiedAt, m.Loaded = time.Date(2026, 5, 1, hour, 0, 0, 0, time.UTC), loaded
	return m
}

func TestChatModelIsChosenByTheRuling(t *testing.T) {
	chat, embed := ollamatest.ChatModel, ollamatest.EmbeddingModel
	for name, c := range map[string]struct {
		models       []ollamatest.Model
		wanted       string
		want         string
		code, advice string
	}{
		"the default where present": {[]ollamatest.Model{at(chat("new:1b"), 9, true), at(chat("llama3.1:8b"), 1, false)}, "", "llama3.1:8b", "", ""},
		"else the loaded one":       {[]ollamatest.Model{at(chat("new:1b"), 9, false), at(chat("old:1b"), 1, true)}, "", "old:1b", "", ""},
		"else the newest":           {[]ollamatest.Model{at(chat("old:1b"), 1, false), at(chat("new:1b"), 9, false)}, "", "new:1b", "", ""},
		"never an embedding model":  {[]ollamatest.Model{at(chat("old:1b"), 1, false), at(embed("e:latest", 8), 9, true)}, "", "old:1b", "", ""},
		"none at all":               {[]ollamatest.Model{embed("e:latest", 8)}, "", "", rag.CodeNoModel, "ollama pull llama3.1:8b"},
		"wanted":                    {[]ollamatest.Model{chat("llama3.1:8b"), chat("m:latest")}, "m", "m:latest", "", ""},
		"wanted with its tag":       {[]ollamatest.Model{chat("llama3.1:8b"), chat("m:latest")}, "m:latest", "m:latest", "", ""},
		"wanted but missing":        {[]ollamatest.Model{chat("llama3.1:8b"), chat("m:latest")}, "q:7b", "", rag.CodeModelNotFound, "llama3.1:8b, m:latest"},
		"wanted but nothing there":  {nil, "q:7b", "", rag.CodeModelNotFound, "ollama pull q:7b"},
	} {
		srv := ollamatest.New(t)
		srv.SetModels(c.models...)
		m, err := clientTo(t, srv.URL).ChatModel(t.Context(), c.wanted)
		if m.Name != c.want || rag.CodeOf(err) != c.code || err != nil && !strings.Contains(err.Error(), c.advice) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		if err == nil && (m.ContextLength != 8192 || len(m.Digest) != 64) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestModelsSayWhatTheyCan(t *testing.T) {
	srv := ollamatest.New(t)
	srv.FailPath("/api/show", 1, ollamatest.Status(500)) // one broken model does not hide the others, and is taken for what its name says
	c := clientTo(t, srv.URL)
	models, err := c.Models(t.Context())
	if err != nil || len(models) != 2 || models[0].Name != "llama3.1:8b" || !models[0].Can(Completion) || !models[1].Can(Embedding) {
		t.Errorf("%+v, %v", models, err)
	}
	for name, want := range map[string]bool{"all-minilm": true, "all-minilm:latest": true, "nope": false} {
		if has, err := c.Has(t.Context(), name); has != want || err != nil {
			t.Errorf("%s: %v, %v", name, has, err)
		}
	}
	if v, err := c.Version(t.Context()); v != ollamatest.Version || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if _, err := c.Embedder("all-minilm").Embed(t.Context(), rag.ForPassage, []string{"x"}); err != nil {
		t.Fatal(err)
	}
	loaded, err := c.Loaded(t.Context())
	if err != nil || !slices.ContainsFunc(loaded, func(r wire.Running) bool { return r.Name == "all-minilm:latest" }) {
		t.Errorf("%+v, %v", loaded, err)
	}
}

func TestContextLengthIsFoundForAnyArchitecture(t *testing.T) {
	info := map[string]json.RawMessage{"general.name": json.RawMessage(`"x"`), "qwen3.context_length": json.RawMessage(`40960`)}
	if got := contextLength(info); got != 40960 {
		t.Errorf("got %d", got)
	}
}

func TestTextThatOllamaStillFindsTooLongIsCutAndTheOthersStayWhole(t *testing.T) {
	srv := ollamatest.New(t)
	tooLong := ollamatest.Status(http.StatusBadRequest, `{"error":"the input length exceeds the context length"}`)
	srv.FailPath("/api/embed", 2, tooLong) // the batch, then its first text alone
	e := clientTo(t, srv.URL).Embedder("all-minilm")
	vectors, err := e.Embed(t.Context(), rag.ForPassage, []string{strings.Repeat("ư", 1000), "short"})
	if err != nil || len(vectors) != 2 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	if n := srv.Count("/api/embed"); n != 4 {
		t.Errorf("%d requests, want 4: the batch, the long one whole, cut, the short one", n)
	}
	srv.FailPath("/api/embed", 1000, tooLong)
	if _, err := e.Embed(t.Context(), rag.ForPassage, []string{"never short enough"}); rag.KindOf(err) != rag.OutOfBounds {
		t.Errorf("a text that is always too long: %v", err)
	}
}

// asked notes what each request says of itself.
type asked struct {
	to
	calls *[]rag.Call
}

func (a asked) RoundTrip(r *http.Request) (*http.Response, error) {
	if call, ok := rag.CallOf(r.Context()); ok {
		*a.calls = append(*a.calls, call)
	}
	return a.to.RoundTrip(r)
}

func TestEveryCallOfAModelSaysWhatItIsFor(t *testing.T) {
	srv := ollamatest.New(t)
	var calls []rag.Call
	c := clientTo(t, srv.URL)
	c.rt = asked{c.rt.(to), &calls}
	if _, _, err := collect(t.Context(), c, prompt("llama3.1:8b")); err != nil {
		t.Fatal(err)
	}
	for _, purpose := range []rag.Purpose{rag.ForQuestion, rag.ForPassage} {
		if _, err := c.Embedder("all-minilm").Embed(t.Context(), purpose, []string{"x"}); err != nil {
			t.Fatal(err)
		}
	}
	want := []rag.Call{{Model: "llama3.1:8b", Class: rag.ClassChat}, {Model: "all-minilm:latest", Class: rag.ClassEmbedding}, {Model: "all-minilm:latest", Class: rag.ClassIngest}}
	if !slices.Equal(calls, want) {
		t.Errorf("said %v", calls)
	}
}
