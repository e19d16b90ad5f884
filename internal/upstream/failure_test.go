package upstream

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

func TestABreakerThatOpensSaysWhatFailed(t *testing.T) {
	srv := ollamatest.New(t)
	var mu sync.Mutex
	var told []string
	var c *Client
	cfg := quick(t, srv.URL)
	cfg.MaxRetries = 0
	cfg.OnChange = func(change breaker.Change, f Failure) {
		s := c.Stats()[0] // whoever is told may look
		mu.Lock()
		defer mu.Unlock()
		told = append(told, change.Name+" "+change.To.String()+": "+f.Text)
		if change.To == breaker.Open && (f.At.IsZero() || f.At.After(change.At)) {
			t.Errorf("the failure %+v is not before the change %+v; %+v", f, change, s.LastFailure)
		}
	}
	c = client(t, cfg)
	ask := func() {
		_, _, _ = post(t.Context(), c, "/api/chat", chatBody)
	}
	srv.FailPath("/api/chat", 4, ollamatest.Status(500, `{"error":"llama runner process has terminated: exit status 2"}`))
	for range 4 {
		ask()
	}
	srv.Refuse()
	c.CloseIdleConnections()
	ask()
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"ollama_client open: connection refused"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if m := c.Stats()[0].Models[0]; m.LastFailure.Text != "status 500: llama runner process has terminated: exit status 2" {
		t.Errorf("the model's last failure is %+v", m.LastFailure)
	}
}

func TestTheLastFailureIsKeptWhenAllIsWellAgain(t *testing.T) {
	srv := ollamatest.New(t)
	c := client(t, quick(t, srv.URL))
	srv.FailPath("/api/chat", 1, ollamatest.Status(502))
	if status, _, err := post(t.Context(), c, "/api/chat", chatBody); status != http.StatusOK || err != nil {
		t.Fatal(status, err)
	}
	s := c.Stats()[0]
	if s.Breaker.ConsecutiveFailures != 0 || !strings.HasPrefix(s.LastFailure.Text, "status 502") || s.LastFailure.At.After(s.Breaker.LastSuccess) {
		t.Errorf("%+v, %+v", s.LastFailure, s.Breaker)
	}
}

func TestAModelThatFailsAloneLeavesTheHostsLastFailureAsItIs(t *testing.T) {
	srv := ollamatest.New(t, ollamatest.ChatModel("llama3.1:8b"), ollamatest.ChatModel("other:latest"))
	cfg := quick(t, srv.URL)
	cfg.MaxRetries = 0
	c := client(t, cfg)
	fail := func(text string) {
		srv.FailPath("/api/chat", 1, ollamatest.Status(500, `{"error":"`+text+`"}`))
		_, _, _ = post(t.Context(), c, "/api/chat", chatBody)
	}
	fail("first")
	_, _, _ = post(t.Context(), c, "/api/chat", strings.Replace(chatBody, "llama3.1:8b", "other", 1))
	fail("second")
	s := c.Stats()[0]
	if s.LastFailure.Text != "status 500: first" || s.Models[0].LastFailure.Text != "status 500: second" {
		t.Errorf("host %+v, model %+v", s.LastFailure, s.Models[0].LastFailure)
	}
}

func TestAServersWordsAreKeptShortAndWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"model requires more system memory (5.6 GiB) than is available (1.2 GiB)": "model requires more system memory (5.6 GiB) than is available (1.2 GiB)",
		"a\n\tb\x00c":     "a b c",
		`model "a" gone`:  `model "a" gone`,
		"it can't be had": "it can't be had",
		"no way to http://me:secret@host:1/a or https://me@host":                                  "no way to http://host:1/a or https://host",
		`error parsing tool call: raw='{"city":"where the treasure of the pirates lies"}', err=x`: "error parsing tool call: raw=…",
		`bad prompt: "where does the treasure of all the pirates lie`:                             "bad prompt:…",
		strings.Repeat("é", 300): strings.Repeat("é", 200) + "…",
		strings.Repeat("é", 200): strings.Repeat("é", 200),
		"\xff":                   "?",
		"":                       "",
	} {
		if got := said(text); got != want {
			t.Errorf("%q is kept as %q, want %q", text, got, want)
		}
	}
}

func TestAnErrorInAStreamIsKeptInItsWords(t *testing.T) {
	for stream, want := range map[string]string{
		`{"error":"out of \"memory\" é \u00e9"}` + "\n": `an error in the middle of the answer: out of "memory" é é`,
		`{"error":{"message":"x"}}` + "\n":              "an error in the middle of the answer",
		`{"error":"a"}` + "\n" + `{"error":"b"}` + "\n": "an error in the middle of the answer: b",
		`{"error":"cut \`:                               "an error in the middle of the answer",
	} {
		if got := judged(stream).why(); got != want {
			t.Errorf("%s: %q, want %q", stream, got, want)
		}
	}
}
