package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// cacheStatus asks and gives Cache-Status, the status code and the body.
func (h *testHouse) cacheStatus(body string, header ...string) (string, reply) {
	h.t.Helper()
	r := h.send("POST", "/api/query", body, header...)
	return r.header.Get("Cache-Status"), r
}

func TestLaw11TheWayOfAnAnswerIsSaidAndSteered(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	const question, paraphrase = `{"query":"How many failures open the breaker?"}`, `{"query":"The breaker: how many failures open?"}`
	for _, c := range []struct{ body, control, want string }{
		{question, "only-if-cached", ""},
		{question, "no-store", "ollama-rag; fwd=bypass"},
		{question, "", "ollama-rag; fwd=miss; stored"},
		{question, "", "detail=exact; similarity=1.000"},
		{question, "only-if-cached", "detail=exact"},
		{question, "max-age=3600", "detail=exact"},
		{question, "max-age=0, only-if-cached", ""},
		{question, "no-cache", "ollama-rag; fwd=bypass; stored"},
		{paraphrase, "", "detail=semantic"},
		{paraphrase, "only-if-cached", "detail=semantic"},
		{strings.Replace(paraphrase, "}", `,"cache_threshold":1}`, 1), "only-if-cached", ""}, // near, but not the same
		{strings.Replace(question, "}", `,"cache_threshold":1}`, 1), "only-if-cached", "detail=exact"},
	} {
		got, r := h.cacheStatus(c.body, "Cache-Control", c.control)
		if c.want == "" {
			if p := r.json(t); r.status != http.StatusGatewayTimeout || p["code"] != "not_cached" || !strings.Contains(fmt.Sprint(p["detail"]), "only-if-cached") {
				t.Errorf("%s with %q: %d %s", c.body, c.control, r.status, r.body)
			}
			continue
		}
		if r.status != http.StatusOK || !strings.Contains(got, c.want) {
			t.Errorf("%s with %q: %d, %q, want %q", c.body, c.control, r.status, got, c.want)
		}
		info := r.json(t)["cache"].(map[string]any)
		if hit := strings.Contains(got, "; hit;"); hit != (info["entry_id"] != nil) || hit != (r.header.Get("Age") != "") || hit && !strings.Contains(got, fmt.Sprintf("key=%q", info["entry_id"])) {
			t.Errorf("%s with %q: header %q, age %q, body %v", c.body, c.control, got, r.header.Get("Age"), info)
		}
	}
	stream := h.send("POST", "/api/stream_query", question)
	if got := stream.header.Get("Cache-Status"); !strings.Contains(got, "; hit;") || stream.header.Get("Age") != "0" {
		t.Errorf("stream: %q", got)
	}
}
