package ollamatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// CiteFirst answers with the first sentence of the passage that follows a line's "[1]" in the messages, and cites it.
// Without such a passage it says that it does not know.
func CiteFirst(messages []wire.Message) string {
	for _, m := range slices.Backward(messages) {
		if sentence := firstPassage(m.Content); sentence != "" {
			return sentence + " [1]."
		}
	}
	return "I do not know."
}

// firstPassage finds the first sentence of the passage [1]; the line with the number is its heading, unless it is all
// there is.
func firstPassage(prompt string) string {
	_, rest, found := strings.Cut("\n"+prompt, "\n[1]")
	if !found {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "\n\n")
	heading, text, _ := strings.Cut(rest, "\n")
	if strings.TrimSpace(text) == "" {
		text = heading
	}
	sentence, _, _ := strings.Cut(strings.Join(strings.Fields(text), " "), ". ")
	return strings.TrimRight(sentence, ". ")
}

// pieces cuts a text as a model would write it: blanks go with the word after them.
func pieces(text string) []string {
	var out []string
	start := 0
	for i := 1; i < len(text); i++ {
		if text[i] == ' ' && text[i-1] != ' ' {
			out = append(out, text[start:i])
			start = i
		}
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}

// settings are the parts of a request that both routes check alike.
type settings struct {
	Stream  *bool
	Format  json.RawMessage
	Options map[string]json.RawMessage
}

// check refuses what Ollama refuses, with its 500.
func (x *exchange) check(s settings) (limit int, ok bool) {
	if f := string(s.Format); f != "" && f != "null" && f != `""` && f != `"json"` && !strings.HasPrefix(f, "{") {
		x.fail(http.StatusInternalServerError, "invalid format: %q; expected \"json\" or a valid JSON Schema object", f)
		return 0, false
	}
	for _, name := range []string{"num_predict", "num_ctx", "num_thread", "seed"} {
		var n float64
		raw, given := s.Options[name]
		if given && json.Unmarshal(raw, &n) != nil {
			x.fail(http.StatusInternalServerError, "option %q must be of type integer", name)
			return 0, false
		}
		if name == "num_predict" {
			limit = int(n)
		}
	}
	return limit, true
}

func (x *exchange) chat() {
	var in struct {
		Model    string
		Messages []wire.Message
		settings
	}
	if !x.decode(&in) {
		return
	}
	if _, ok := x.use(in.Model, "completion", "chat", "model '%s' not found"); !ok {
		return
	}
	limit, ok := x.check(in.settings)
	if !ok {
		return
	}
	x.s.mu.Lock()
	answer, thinking := x.s.answer, x.s.thinking
	x.s.mu.Unlock()
	frame := func(p piece) any {
		f := wire.ChatResponse{Model: in.Model, CreatedAt: time.Now().UTC(), Done: p.done, DoneReason: p.reason, Metrics: p.metrics}
		f.Message = wire.Message{Role: "assistant", Content: p.text, Thinking: p.thought}
		return f
	}
	x.write(plan(answer(in.Messages), thinking, limit), in.Stream, frame)
}

func (x *exchange) generate() {
	var in struct {
		Model, Prompt, System string
		settings
	}
	if !x.decode(&in) {
		return
	}
	if _, ok := x.use(in.Model, "completion", "generate", "model '%s' not found"); !ok {
		return
	}
	limit, ok := x.check(in.settings)
	if !ok {
		return
	}
	x.s.mu.Lock()
	answer := x.s.answer
	x.s.mu.Unlock()
	frame := func(p piece) any {
		f := wire.GenerateResponse{
			Model: in.Model, CreatedAt: time.Now().UTC(), Response: p.text, Done: p.done, DoneReason: p.reason, Metrics: p.metrics,
		}
		if p.done {
			f.Context = []int{1, 2, 3}
		}
		return f
	}
	messages := []wire.Message{{Role: "system", Content: in.System}, {Role: "user", Content: in.Prompt}}
	x.write(plan(answer(messages), "", limit), in.Stream, frame)
}

// piece is one line's worth of an answer.
type piece struct {
	text, thought string
	done          bool
	reason        string
	metrics       wire.Metrics
}

// plan cuts an answer into lines: thoughts, text up to the limit, the final message.
func plan(text, thinking string, limit int) []piece {
	var out []piece
	for _, t := range pieces(thinking) {
		out = append(out, piece{thought: t})
	}
	words, reason := pieces(text), "stop"
	if limit > 0 && len(words) > limit {
		words, reason = words[:limit], "length"
	}
	for _, w := range words {
		out = append(out, piece{text: w})
	}
	return append(out, piece{done: true, reason: reason, metrics: wire.Metrics{
		TotalDuration: 12849234, LoadDuration: 9496942, PromptEvalCount: 10, PromptEvalDuration: 427096,
		EvalCount: len(words), EvalDuration: 209432,
	}})
}

// write answers in lines, or at once where the client wants it so.
func (x *exchange) write(all []piece, stream *bool, frame func(piece) any) {
	if stream != nil && !*stream {
		last := all[len(all)-1]
		for _, p := range all {
			if !p.done {
				last.text += p.text
				last.thought += p.thought
			}
		}
		x.value(frame(last))
		return
	}
	x.w.Header().Set("Content-Type", "application/x-ndjson")
	x.w.WriteHeader(http.StatusOK)
	for i, p := range all {
		if x.fault != nil && x.fault.End != Whole && (i == x.fault.After || p.done) {
			x.end(p, frame)
			return
		}
		if x.fault != nil && x.fault.PerPiece > 0 && !x.wait(x.fault.PerPiece) {
			return
		}
		if !x.line(frame(p)) {
			return
		}
	}
}

// end is how a stream goes wrong.
func (x *exchange) end(p piece, frame func(piece) any) {
	switch x.fault.End {
	case MidLine:
		data, _ := json.Marshal(frame(p))
		_, _ = x.w.Write(data[:len(data)/2])
		_ = http.NewResponseController(x.w).Flush()
		panic(http.ErrAbortHandler)
	case ErrorLine:
		_, _ = fmt.Fprintln(x.w, errorBodies[500])
	case Stall:
		x.pause(nil)
	case Loop:
		for range 40 {
			if !x.line(frame(piece{text: " again"})) {
				return
			}
		}
	}
}

// line sends one line as one chunk; false if nobody listens any more.
func (x *exchange) line(v any) bool {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	if _, err := x.w.Write(append(data, '\n')); err != nil {
		return false
	}
	return http.NewResponseController(x.w).Flush() == nil && x.r.Context().Err() == nil
}
