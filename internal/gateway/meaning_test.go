package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const (
	hello   = `"messages":[{"role":"user","content":"hello"}]`
	greedy  = `"options":{"temperature":0}`
	nativeQ = `{"model":"m",` + hello + `,` + greedy + `}`
	v1Q     = `{"model":"m",` + hello + `,"temperature":0}`
)

func contentOf(t *testing.T, path, body string) string {
	t.Helper()
	m, ok := meaningOf(path, []byte(body))
	if !ok {
		t.Fatalf("%s %s is not read", path, body)
	}
	return string(m.content)
}

func TestTheSameMeaningIsTheSameHoweverItIsWritten(t *testing.T) {
	for _, c := range [][2]string{ // of /api/chat, but where a path stands before it
		{nativeQ, `{ "options" : {"temperature":0.0}, "messages":[{"content":"hello","role":"user"}], "model":"m" }`},
		{nativeQ, `{"model":"m",` + hello + `,"options":{"temperature":-0e3},"stream":false,"keep_alive":"10m","format":null,"think":null,"tools":[ ]}`},
		{nativeQ, `{"model":"m",` + hello + `,"options":{"temperature":0,"top_p":0.5,"top_k":3},"stream":true}`},
		{nativeQ, strings.Replace(nativeQ, "hello", `hell\u006f`, 1)},
		{nativeQ, chatV1Path + " " + v1Q},
		{nativeQ, chatV1Path + ` {"model":"m",` + hello + `,"temperature":0,"stream":true,"stream_options":{"include_usage":true},"top_p":1}`},
		{`{"model":"m",` + hello + `,"options":{"temperature":0,"seed":7,"num_predict":12,"stop":["a"]}}`, chatV1Path + ` {"model":"m",` + hello + `,"temperature":0,"seed":7,"max_tokens":12,"stop":"a"}`},
	} {
		path, body, other := chatPath, c[1], strings.HasPrefix(c[1], "/")
		if other {
			path, body, _ = strings.Cut(c[1], " ")
		}
		if a, b := contentOf(t, chatPath, c[0]), contentOf(t, path, body); a != b {
			t.Errorf("%s\n%s", a, b)
		}
	}
}

func TestEveryChangeOfMeaningMisses(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []string{
		chatPath + " " + nativeQ,
		chatPath + ` {"model":"n",` + hello + `,` + greedy + `}`,
		chatPath + ` {"model":"m","messages":[{"role":"user","content":"hello "}],` + greedy + `}`,
		chatPath + ` {"model":"m","messages":[{"role":"system","content":"hello"}],` + greedy + `}`,
		chatPath + ` {"model":"m","messages":[{"role":"user","content":"hello","images":["aGk="]}],` + greedy + `}`,
		chatPath + ` {"model":"m","messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"hello"}],` + greedy + `}`,
		chatPath + ` {"model":"m",` + hello + `,"options":{"temperature":0,"num_predict":12}}`,
		chatPath + ` {"model":"m",` + hello + `,"options":{"temperature":0,"num_ctx":2048}}`,
		chatPath + ` {"model":"m",` + hello + `,"options":{"temperature":0.1,"seed":1}}`,
		chatPath + ` {"model":"m",` + hello + `,"options":{"temperature":0.1,"seed":2}}`,
		chatPath + ` {"model":"m",` + hello + `,"options":{"temperature":0.1,"seed":9007199254740993}}`,
		chatPath + ` {"model":"m",` + hello + `,"options":{"temperature":0.1,"seed":9007199254740992}}`,
		chatPath + ` {"model":"m",` + hello + `,"options":{"temperature":0.1,"seed":1,"top_p":0.5}}`,
		chatV1Path + ` {"model":"m",` + hello + `,"temperature":0.1,"seed":1}`,
		chatPath + ` {"model":"m",` + hello + `,` + greedy + `,"think":true}`,
		chatPath + ` {"model":"m",` + hello + `,` + greedy + `,"format":"json"}`,
		chatPath + ` {"model":"m",` + hello + `,` + greedy + `,"format":{"a":1,"b":2}}`,
		chatPath + ` {"model":"m",` + hello + `,` + greedy + `,"format":{"b":2,"a":1}}`, // the model writes in this order
		chatPath + ` {"model":"m",` + hello + `,` + greedy + `,"tools":[{"type":"function"}]}`,
		chatPath + ` {"model":"m",` + hello + `,` + greedy + `,"nobody_knows":1}`,
		chatV1Path + ` {"model":"m",` + hello + `,"temperature":0,"tools":[{"type":"function"}]}`,
		chatV1Path + ` {"model":"m",` + hello + `,"temperature":0,"n":2}`,
		chatV1Path + ` {"model":"m",` + hello + `,"temperature":0,"response_format":{"type":"json_object"}}`,
		chatV1Path + ` {"model":"m",` + hello + `,"temperature":0,"presence_penalty":1}`,
		chatV1Path + ` {"model":"m",` + hello + `,"temperature":0,"logprobs":true}`,
		chatV1Path + ` {"model":"m",` + hello + `,"temperature":0,"max_completion_tokens":4}`,
		chatV1Path + ` {"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hello"}]}],"temperature":0}`,
		generatePath + ` {"model":"m","prompt":"hello",` + greedy + `}`,
		generatePath + ` {"model":"m","prompt":"hello","system":"x",` + greedy + `}`,
		generatePath + ` {"model":"m","prompt":"hello","raw":true,` + greedy + `}`,
		generatePath + ` {"model":"m","prompt":"hello","context":[1,2],` + greedy + `}`,
		completionV1Path + ` {"model":"m","prompt":"hello","temperature":0}`,
		completionV1Path + ` {"model":"m","prompt":"hello","temperature":0,"suffix":"x"}`,
	} {
		path, body, _ := strings.Cut(c, " ")
		content := contentOf(t, path, body)
		if other, ok := seen[content]; ok {
			t.Errorf("the same:\n%s\n%s", other, c)
		}
		seen[content] = c
	}
	m, _ := meaningOf(chatPath, []byte(nativeQ))
	if m.keyOf("d", "a") == m.keyOf("d", "b") || m.keyOf("d", "a") == m.keyOf("e", "a") || m.keyOf("da", "") == m.keyOf("d", "a") {
		t.Error("digest and caller are part of the key")
	}
}

func TestWhatCanBeReadInTwoWaysIsNotRead(t *testing.T) {
	for _, body := range []string{
		``, `{`, `[]`, `null`, nativeQ + `x`, nativeQ + nativeQ, `{"Model":"m",` + hello + `}`, `{"model":"m","model":"n",` + hello + `}`, `{"model":"m","MODEL":"n",` + hello + `}`,
		`{"model":"m",` + hello + `,"options":{"seed":1},"options":{"temperature":0}}`, `{"model":"m",` + hello + `,"options":{"seed":1,"Seed":2}}`, `{"model":"m",` + hello + `,"options":[]}`,
		`{"model":"m",` + hello + `,"stream":"no"}`, `{"model":"m","messages":[]}`, `{"model":"m"}`, `{"model":"m","messages":"hello"}`, "{\"model\":\"m\",\"\u212aeep_alive\":0,\"keep_alive\":1," + hello + `}`,
		strings.Repeat("[", 100000), `{"model":"m",` + hello + `,"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		if m, ok := meaningOf(chatPath, []byte(body)); ok {
			t.Errorf("%.100s is read as %.200s", body, m.content)
		}
	}
	for _, body := range []string{`{"model":"m","keep_alive":0}`, `{"model":"m","prompt":""}`, `{"model":"m","prompt":["a"]}`} {
		if _, ok := meaningOf(generatePath, []byte(body)); ok {
			t.Errorf("%s is no wish for an answer", body)
		}
	}
	for _, body := range []string{`{"model":"m",` + hello + `,"stream_options":true}`, `{"model":"m",` + hello + `,"stream_options":{"include_usage":true,"x":1}}`} {
		if _, ok := meaningOf(chatV1Path, []byte(body)); ok {
			t.Errorf("%s", body)
		}
	}
}

func TestLaw7WhatChanceDecidesIsKnown(t *testing.T) {
	for body, sampled := range map[string]bool{
		`{"model":"m",` + hello + `}`: true, nativeQ: false, `{"model":"m",` + hello + `,"options":{"temperature":0.8}}`: true, `{"model":"m",` + hello + `,"options":{"temperature":0.8,"seed":7}}`: false,
		`{"model":"m",` + hello + `,"options":{"seed":0}}`: false, `{"model":"m",` + hello + `,"options":{"seed":-1}}`: true, `{"model":"m",` + hello + `,"options":{"seed":-99999999999999999999}}`: true,
		`{"model":"m",` + hello + `,"options":{"temperature":null}}`: true, `{"model":"m",` + hello + `,"options":null}`: true, `{"model":"m",` + hello + `,"options":{"temperature":"0"}}`: true,
		`{"model":"m",` + hello + `,"temperature":0}`: true, // is no field of Ollama's
	} {
		if m, ok := meaningOf(chatPath, []byte(body)); !ok || m.sampled != sampled {
			t.Errorf("%s: %t, %t", body, ok, m.sampled)
		}
	}
	for body, sampled := range map[string]bool{`{"model":"m",` + hello + `}`: true, v1Q: false, `{"model":"m",` + hello + `,"temperature":1,"seed":3}`: false} {
		if m, ok := meaningOf(chatV1Path, []byte(body)); !ok || m.sampled != sampled {
			t.Errorf("%s: %t, %t", body, ok, m.sampled)
		}
	}
}

// shuffled writes JSON with the fields of objects in another order; what is ordered stays as it is.
func shuffled(rng *rand.Rand, data []byte) ([]byte, bool) {
	data = bytes.TrimSpace(data)
	var fields map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case bytes.HasPrefix(data, []byte("{")) && json.Unmarshal(data, &fields) == nil:
		names := slices.Collect(maps.Keys(fields))
		slices.Sort(names)
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		out := []byte("{ ")
		for i, name := range names {
			v := []byte(fields[name])
			if !slices.Contains(ordered, name) {
				v, _ = shuffled(rng, v)
			}
			if i > 0 {
				out = append(out, " ,"...)
			}
			quoted, _ := json.Marshal(name)
			out = fmt.Appendf(out, "%s : %s", quoted, v)
		}
		return append(out, '}'), true
	case bytes.HasPrefix(data, []byte("[")) && json.Unmarshal(data, &list) == nil:
		out := []byte("[")
		for i, v := range list {
			v, _ := shuffled(rng, v)
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, v...)
		}
		return append(out, ']'), false
	}
	return data, false
}

func FuzzTheOrderOfFieldsIsNoMeaning(f *testing.F) {
	for _, body := range []string{nativeQ, v1Q, `{"model":"m","prompt":"x","options":{"seed":1e3,"stop":["a","b"],"x":{"b":[1,{"c":2,"a":3}],"a":null}},"format":{"b":1,"a":2}}`, `{"model":"m","messages":[{"tool_calls":[{"b":1,"a":2}],"role":"user"}]}`} {
		f.Add([]byte(body), uint64(1))
	}
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		for _, path := range []string{chatPath, generatePath, chatV1Path, completionV1Path} {
			m, ok := meaningOf(path, body)
			if !ok {
				continue
			}
			if !json.Valid(m.content) {
				t.Fatalf("%s means %s", body, m.content)
			}
			again, _ := shuffled(rand.New(rand.NewPCG(seed, 0)), body)
			other, ok := meaningOf(path, again)
			if !ok || other.sampled != m.sampled || other.stream != m.stream || !bytes.Equal(other.content, m.content) {
				t.Fatalf("%s: %s\n%s: %s", body, m.content, again, other.content)
			}
		}
	})
}
