package upstream

import (
	"encoding/json"
	"strings"
	"testing"
)

func judged(s string) *streamJudge {
	j := &streamJudge{}
	for len(s) > 0 { // in small bites, as a network might
		n := min(3, len(s))
		j.watch([]byte(s[:n]))
		s = s[n:]
	}
	return j
}

func TestStreamIsJudgedByItsOwnWordsOnly(t *testing.T) {
	frame := func(text string) string {
		return `{"message":{"role":"assistant","content":` + text + `},"done":false}` + "\n"
	}
	for name, c := range map[string]struct {
		stream                string
		done, failed, looping bool
	}{
		"whole":                      {frame(`" a"`) + `{"response":"","done":true,"context":[1,2]}` + "\n", true, false, false},
		"unfinished":                 {frame(`" a"`) + frame(`" b"`), false, false, false},
		"final message without line": {`{"done":true}`, true, false, false},
		"blanks":                     {`{ "done" : true }`, true, false, false},
		"done in the text":           {frame(`"\"done\":true"`), false, false, false},
		"done in a tool call":        {`{"message":{"tool_calls":[{"arguments":{"done":true}}]},"done":false}` + "\n", false, false, false},
		"done as a value":            {`{"response":"done","x":true,"done":false}` + "\n", false, false, false},
		"error line":                 {frame(`" a"`) + `{"error":"unexpected EOF"}` + "\n", false, true, false},
		"error in the text":          {frame(`"{\"error\":\"x\"}"`), false, false, false},
		"error deep inside":          {`{"message":{"error":"x"},"done":true}` + "\n", true, false, false},
		"no error":                   {`{"error":null,"done":true}` + "\n", true, false, false},
		"event stream":               {"data: {\"choices\":[{\"delta\":{\"content\":\"Done\"}}]}\n\ndata: [DONE]\n\n", true, false, false},
		"event stream cut":           {"data: {\"choices\":[{\"delta\":{\"content\":\"DONE [DONE]\"}}]}\n\n", false, false, false},
		"event stream with error":    {"data: {\"error\":{\"message\":\"x\"}}\n\n", false, true, false},
		"loop":                       {frame(`" a"`) + strings.Repeat(frame(`" tick"`), 31), false, false, true},
		"loop with other blanks":     {strings.Repeat(frame(`" tick"`)+frame(`"tick "`), 15), false, false, true},
		"loop of two":                {strings.Repeat(frame(`" tick"`)+frame(`" tock"`), 40), false, false, false},
		"loop that ended":            {strings.Repeat(frame(`" tick"`), 31) + frame(`" tock"`), false, false, false},
		"line cut in a string":       {`{"response":"ab` + "\n" + `{"done":true}` + "\n", true, false, false},
		"too many brackets":          {`]]]}}}` + "\n" + `{"done":true}` + "\n", true, false, false},
	} {
		j := judged(c.stream)
		if j.done != c.done || j.failed != c.failed || j.looping() != c.looping {
			t.Errorf("%s: done %v, failed %v, looping %v", name, j.done, j.failed, j.looping())
		}
	}
}

func FuzzJudgeAgreesWithADecoder(f *testing.F) {
	for _, s := range []string{
		`{"done":true}`, `{"done":false,"message":{"content":"\"done\":true","error":"x"}}`, `{"error":{"a":[1]}}`, `{"a":[{"done":true}]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		judged(line) // anything at all must not panic
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) != nil {
			return
		}
		canonical, err := json.Marshal(m)
		if err != nil {
			return
		}
		j := judged(string(canonical) + "\n")
		failed := false
		switch m["error"].(type) {
		case string, map[string]any, []any:
			failed = true
		}
		if done := m["done"] == true; j.done != done || j.failed != failed {
			t.Errorf("%s: done %v, failed %v", canonical, j.done, j.failed)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	line := []byte(`{"model":"tiny-llm","created_at":"2026-11-23T21:32:58.65582379Z","message":{"role":"assistant","content":" The"},"done":false}` + "\n")
	j := &streamJudge{}
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		j.watch(line)
	}
}
