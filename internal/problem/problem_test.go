package problem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// kinds reads the constants of type Kind from the source of package rag, so that a new one cannot be forgotten.
func kinds(t *testing.T) (out []rag.Kind) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../rag/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if name, ok := v.Type.(*ast.Ident); ok && name.Name == "Kind" {
				text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, rag.Kind(text))
			}
		}
		return true
	})
	return out
}

func TestEveryKindOfFaultHasItsStatus(t *testing.T) {
	want := map[rag.Kind]int{
		rag.Malformed: 400, rag.Unauthorized: 401, rag.Forbidden: 403, rag.NotFound: 404, rag.Conflict: 409, rag.TooLarge: 413, rag.Unreadable: 415,
		rag.OutOfBounds: 422, rag.RateLimited: 429, rag.BadUpstream: 502, rag.Unavailable: 503, rag.Overloaded: 503, rag.Timeout: 504, rag.Internal: 500,
	}
	all := kinds(t)
	if len(all) != len(want) {
		t.Errorf("package rag has the kinds %v", all)
	}
	for _, kind := range all {
		p := problem.From(rag.Errorf(kind, "", "what to do"), "id")
		if p.Status != want[kind] || p.Code != string(kind) || p.Detail != "what to do" || p.Title == "" || p.Type != "about:blank" || p.RequestID != "id" {
			t.Errorf("%s: %+v, want status %d", kind, p, want[kind])
		}
		if wait := p.RetryAfter > 0; wait != (p.Status == 429 || p.Status == 503) {
			t.Errorf("%s: retry after %s", kind, p.RetryAfter)
		}
	}
	if p := problem.From(rag.Errorf("new", "", "x"), ""); p.Status != 500 || p.Code != "new" {
		t.Errorf("a kind that the table lacks: %+v", p)
	}
}

func TestAFaultIsFoundUnderWhateverWrapsIt(t *testing.T) {
	fault := rag.Errorf(rag.Conflict, "db_exists", "choose another").Because(errors.New("/secret/path"))
	for name, err := range map[string]error{
		"alone": fault, "wrapped": fmt.Errorf("stage: %w", fault), "joined": errors.Join(errors.New("other"), fault), "both": fmt.Errorf("a: %w", errors.Join(fmt.Errorf("b: %w", fault), context.Canceled)),
	} {
		if p := problem.From(err, ""); p.Status != 409 || p.Code != "db_exists" || p.Detail != "choose another" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestAnUnknownErrorGivesNothingAway(t *testing.T) {
	for _, err := range []error{errors.New("open /secret/path: denied"), fmt.Errorf("x: %w", errors.New("secret")), context.DeadlineExceeded, nil} {
		p := problem.From(err, "id")
		data, _ := json.Marshal(p)
		if p.Status != 500 || p.Code != "internal" || strings.Contains(string(data), "secret") || p.RequestID != "id" {
			t.Errorf("%v: %s", err, data)
		}
	}
	if p := problem.From(fmt.Errorf("generate: %w", context.Canceled), ""); p.Status != problem.StatusClientGone || p.Code != "client_gone" {
		t.Errorf("a client that left: %+v", p)
	}
}

func TestRetryAfterIsInWholeSecondsRoundedUp(t *testing.T) {
	for wait, want := range map[time.Duration]string{0: "5", -time.Second: "5", 1: "1", time.Second: "1", 1001 * time.Millisecond: "2", 30 * time.Second: "30", 24 * time.Hour: "86400"} {
		fault := rag.Errorf(rag.Unavailable, "circuit_open", "wait")
		fault.RetryAfter = wait
		w := httptest.NewRecorder()
		problem.From(fault, "id").Write(w)
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("%s: %q, want %q", wait, got, want)
		}
	}
}

func TestAProblemIsWrittenAsRFC9457Says(t *testing.T) {
	w := httptest.NewRecorder()
	problem.From(rag.Errorf(rag.NotFound, "unknown_db", "no \"kb\" <here>"), "id").Write(w)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusNotFound || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Retry-After") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	want := map[string]any{"type": "about:blank", "title": "Not Found", "status": 404., "code": "unknown_db", "detail": "no \"kb\" <here>", "request_id": "id"}
	if fmt.Sprint(body) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", body, want)
	}
}
