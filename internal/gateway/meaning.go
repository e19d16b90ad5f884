package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
)

// The routes whose answers can be kept.
const (
	chatPath         = "/api/chat"
	generatePath     = "/api/generate"
	chatV1Path       = "/v1/chat/completions"
	completionV1Path = "/v1/completions"
)

// meaning is what a request asks for, apart from how it is written.
type meaning struct {
	content []byte // JSON of all that decides the answer, the same for the same meaning
	stream  bool   // in pieces
	usage   bool   // with a chunk of usage at the end
	tools   bool   // the model may call tools
	sampled bool   // chance decides the answer
}

// meaningOf reads a request of one of the routes above. It is false where the answer cannot be kept: a request that the model
// server would read in more than one way, refuse, or take for something else than the wish for an answer.
//
// Nothing is left out but what changes the form alone, and what is of no effect at temperature 0. A request of OpenAI's chat that
// Ollama itself turns into one of its own means the same as that; with anything that has no equal, each API has its own meaning.
func meaningOf(path string, body []byte) (m meaning, ok bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, ok := canonical(d, 0)
	fields, object := v.(map[string]any)
	if _, err := d.Token(); !ok || !object || !errors.Is(err, io.EOF) {
		return m, false
	}
	for name, v := range fields {
		if name != fold(name) {
			return m, false // Ollama reads Model as model
		}
		if v == nil {
			delete(fields, name)
		}
	}
	v1 := apiOf(path) == openai
	if m.stream, ok = truth(fields, "stream", !v1); !ok {
		return m, false
	}
	settings := fields
	if v1 {
		if m.usage, ok = usageWish(fields); !ok {
			return m, false
		}
	} else if settings, ok = fields["options"].(map[string]any); !ok && fields["options"] != nil {
		return m, false
	}
	delete(fields, "keep_alive")
	messages, _ := fields["messages"].([]any)
	prompt, _ := fields["prompt"].(string)
	if chat := path == chatPath || path == chatV1Path; chat && len(messages) == 0 || !chat && prompt == "" {
		return m, false // loads or unloads the model
	}
	if raw, _ := fields["tools"].(json.RawMessage); len(bytes.Trim(raw, "[] \t\r\n")) == 0 {
		delete(fields, "tools") // none, as Ollama's client for Python says it
	}
	_, m.tools = fields["tools"]
	greedy := settings["temperature"] == 0.
	m.sampled = !greedy && !seeded(settings["seed"])
	if greedy {
		for _, name := range []string{"top_p", "top_k", "min_p", "typical_p"} { // the likeliest token is that of any choice
			delete(settings, name)
		}
	}
	if path == chatV1Path && greedy && plain(fields) {
		path, fields = chatPath, asNative(fields)
	}
	m.content, _ = json.Marshal([]any{path, fields}) // what was JSON can be
	return m, true
}

// truth reads a field that is true, false or left out, and takes it away.
func truth(fields map[string]any, name string, otherwise bool) (value, ok bool) {
	v, given := fields[name]
	if !given {
		return otherwise, true
	}
	delete(fields, name)
	value, ok = v.(bool)
	return value, ok
}

// usageWish takes stream_options away and reads the one that Ollama knows.
func usageWish(fields map[string]any) (usage, ok bool) {
	v, given := fields["stream_options"]
	if !given {
		return false, true
	}
	delete(fields, "stream_options")
	options, ok := v.(map[string]any)
	if !ok {
		return false, false
	}
	usage, ok = truth(options, "include_usage", false)
	return usage, ok && len(options) == 0
}

// seeded says whether a seed makes chance repeatable: Ollama takes a negative one for none.
func seeded(seed any) bool {
	switch seed := seed.(type) {
	case float64:
		return seed >= 0
	case json.Number:
		return seed[0] != '-'
	}
	return false
}

// plain says whether a request of OpenAI's chat has nothing that Ollama's own has no equal for.
func plain(fields map[string]any) bool {
	for name, v := range fields {
		switch name {
		case "model", "messages", "temperature":
		case "seed", "max_tokens":
			if _, ok := v.(float64); !ok {
				return false
			}
		case "stop":
			list, ok := v.([]any)
			if !ok {
				list = []any{v}
			}
			if slices.ContainsFunc(list, func(v any) bool { _, text := v.(string); return !text }) {
				return false
			}
		default:
			return false
		}
	}
	for _, v := range fields["messages"].([]any) {
		message, _ := v.(map[string]any)
		role, _ := message["role"].(string)
		if _, text := message["content"].(string); !text || len(message) != 2 || !slices.Contains([]string{"system", "user", "assistant"}, role) {
			return false
		}
	}
	return true
}

// asNative is the request that Ollama makes of one for OpenAI's chat.
func asNative(fields map[string]any) map[string]any {
	options := map[string]any{"temperature": 0.}
	for name, v := range fields {
		switch name {
		case "seed":
			options[name] = v
		case "max_tokens":
			options["num_predict"] = v
		case "stop":
			if text, one := v.(string); one {
				v = []any{text}
			}
			options[name] = v
		}
	}
	return map[string]any{"model": fields["model"], "messages": fields["messages"], "options": options}
}

// maxNesting is how deep a request may be nested that is looked into.
const maxNesting = 64

// ordered are the fields within which the order of fields is part of what the model reads or writes.
var ordered = []string{"tools", "tool_calls", "format", "response_format"}

// canonical reads a value so that what means the same is the same. It is false for what is no JSON, or names a field twice: which of
// the two counts depends on who reads.
func canonical(d *json.Decoder, depth int) (any, bool) {
	token, err := d.Token()
	if err != nil || depth > maxNesting {
		return nil, false
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, ok := canonical(d, depth+1)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err == nil
	case json.Delim('{'):
		fields, seen := map[string]any{}, map[string]bool{}
		for d.More() {
			token, err := d.Token()
			name, text := token.(string)
			if err != nil || !text || seen[fold(name)] {
				return nil, false
			}
			seen[fold(name)] = true
			var ok bool
			if slices.Contains(ordered, name) {
				var raw json.RawMessage
				ok = d.Decode(&raw) == nil
				if fields[name] = raw; string(raw) == "null" {
					fields[name] = nil
				}
			} else {
				fields[name], ok = canonical(d, depth+1)
			}
			if !ok {
				return nil, false
			}
		}
		_, err := d.Token()
		return fields, err == nil
	}
	if n, ok := token.(json.Number); ok {
		return number(n), true
	}
	return token, true
}

// number makes one of all spellings of a number that a float64 tells apart from its neighbours.
func number(n json.Number) any {
	f, err := n.Float64()
	if err != nil || math.Abs(f) >= 1<<53 {
		return n
	}
	return f + 0 // no negative zero
}

// fold makes one of the names that Go's JSON takes for the same.
func fold(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// keyOf is the key of an answer: what was asked for, of which model, by whom.
func (m meaning) keyOf(digest, caller string) string {
	h := sha256.New()
	for _, part := range []string{digest, caller, string(m.content)} {
		_, _ = h.Write([]byte{byte(len(part)), byte(len(part) >> 8), byte(len(part) >> 16), byte(len(part) >> 24)})
		_, _ = h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}
