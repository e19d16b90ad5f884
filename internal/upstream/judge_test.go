package upstream

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
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
		"responses":                  {"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"error\":null}}\n\n", true, false, false},
		"responses cut":              {"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"response.completed\"}\n\n", false, false, false},
		"responses failed":           {"data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"x\"}}}\n\n", false, true, false},
		"messages":                   {"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", true, false, false},
		"messages failed":            {"data: {\"type\":\"error\",\"error\":{\"message\":\"x\"}}\n\n", false, true, false},
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

func TestFiguresAreThoseOfTheLastMessage(t *testing.T) {
	j := judged(`{"message":{"content":"load_duration\":7","load_duration":5},"done":false}` + "\n" + `{"done":true,"total_duration":9,"load_duration":123456,"prompt_eval_duration":7,"eval_duration":89}` + "\n")
	if j.load != 123456 || j.eval != 89 {
		t.Errorf("load %d, eval %d", j.load, j.eval)
	}
	if j = judged(`{"load_duration":99999999999999999999999999999999}`); time.Duration(j.load) != 24*time.Hour {
		t.Errorf("load %d", j.load)
	}
}
