package upstream

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func TestModelAndClassOfACallAreWhatItSaysElseWhatItsBodySays(t *testing.T) {
	cfg := DefaultConfig()
	deep := `{"options":{"model":"no"},"messages":[{"model":"no"},"model"],"x":"model","model" : "Llama3.1"}`
	for name, c := range map[string]struct {
		path, body string
		said       rag.Call
		model      string
		class      rag.Class
	}{
		"said":          {"/api/embed", `{"model":"other"}`, rag.Call{Model: "all-minilm", Class: rag.ClassIngest}, "all-minilm:latest", rag.ClassIngest},
		"in the body":   {"/api/chat", chatBody, rag.Call{}, "llama3.1:8b", rag.ClassChat},
		"after others":  {"/api/generate", deep, rag.Call{}, "llama3.1:latest", rag.ClassChat},
		"embedding":     {"/v1/embeddings", `{"input":"x","model":"m:1"}`, rag.Call{}, "m:1", rag.ClassEmbedding},
		"show":          {"/api/show", `{"model":"m:1"}`, rag.Call{}, "m:1", rag.ClassChat},
		"none":          {"/api/chat", `{"messages":[]}`, rag.Call{}, "", rag.ClassChat},
		"no string":     {"/api/chat", `{"model":5,"a":"b"}`, rag.Call{}, "", rag.ClassChat},
		"broken":        {"/api/chat", `{"model":"m`, rag.Call{}, "", rag.ClassChat},
		"escaped":       {"/api/chat", `{"model":"a\u003ab"}`, rag.Call{}, "a:b", rag.ClassChat},
		"with a folder": {"/api/chat", `{"model":"hf.co:80/a/b"}`, rag.Call{}, "hf.co:80/a/b:latest", rag.ClassChat},
	} {
		for _, again := range []bool{true, false} {
			ctx := context.Background()
			if c.said.Model != "" {
				ctx = rag.WithCall(ctx, c.said)
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://ollama"+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if !again {
				req.GetBody = nil
			}
			got, err := newCall(req, &cfg)
			if err != nil || got.model != c.model || got.class != c.class {
				t.Errorf("%s (again %v): model %q, class %v, %v", name, again, got.model, got.class, err)
			}
			body, err := got.body()
			if err != nil {
				t.Fatal(err)
			}
			if data, _ := io.ReadAll(body); string(data) != c.body {
				t.Errorf("%s: the body became %q", name, data)
			}
		}
	}
}

func FuzzModelInAgreesWithADecoder(f *testing.F) {
	f.Add(`{"model":"a","x":{"model":"b"}}`)
	f.Add(`{"a":["model",{"model":1}],"model":"\"\\"}`)
	f.Fuzz(func(t *testing.T, text string) {
		modelIn([]byte(text)) // anything at all must not panic
		var m map[string]any
		if json.Unmarshal([]byte(text), &m) != nil {
			return
		}
		canonical, err := json.Marshal(m) // each key once
		if err != nil {
			return
		}
		want, _ := m["model"].(string)
		if got := modelIn(canonical); got != want {
			t.Errorf("%s: %q", canonical, got)
		}
	})
}
