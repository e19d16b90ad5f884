package upstream

import (
	"encoding/json"
	"hash/maphash"
	"time"
)

// loopTokens is how often Ollama lets a model say the same token before it ends the stream without a final message.
const loopTokens = 30

// streamJudge watches an answer go by, byte for byte, and notes whether it came to its proper end. It decodes nothing:
// it follows strings and brackets, and so knows the keys of the outermost object and the text of each piece.
//
// A stream is whole when a line has "done":true (NDJSON), or the stream has its [DONE] or its closing event (server-sent events).
// It failed when a line has "error". Neither means a server that broke off, with one exception: a model that repeats one token
// is cut off by Ollama in just that way. A client can provoke that with a prompt, and a client's own fault never
// opens a breaker, so such an end is told apart by the run of equal tokens before it.
type streamJudge struct {
	depth    int
	inString bool
	escaped  bool
	word     [24]byte // beginning of the string that was read last, and its length
	wordLen  int
	key      word

	done   bool // the last word was said
	failed bool // an error was said

	said []byte // the beginning of the error's message, as JSON has it

	load, eval int64 // nanoseconds, as Ollama reports them: loading the model, writing the answer

	text      maphash.Hash // of this piece's text, blanks left out
	hasText   bool
	lastText  uint64
	repeating int // equal pieces in a row
}

// word is a key that means something here.
type word int

const (
	otherKey word = iota
	doneKey
	errorKey
	textKey
	typeKey
	loadKey
	evalKey
)

func keyOf(s []byte) word {
	switch string(s) {
	case "done":
		return doneKey
	case "error":
		return errorKey
	case "content", "response", "text":
		return textKey
	case "type":
		return typeKey
	case "load_duration":
		return loadKey
	case "eval_duration":
		return evalKey
	}
	return otherKey
}

// closing are the events that end a stream of /v1/responses and /v1/messages; the value says whether well.
var closing = map[string]bool{"response.completed": true, "response.incomplete": true, "message_stop": true, "response.failed": false}

// looping says whether the model was repeating itself when the stream ended.
func (j *streamJudge) looping() bool { return j.repeating >= loopTokens }

// why says in words what the error was that the answer ended with.
func (j *streamJudge) why() string {
	var text string
	if json.Unmarshal(append(append([]byte{'"'}, j.said...), '"'), &text) != nil || text == "" {
		return "an error in the middle of the answer"
	}
	return "an error in the middle of the answer: " + said(text)
}

// watch takes the next bytes of the answer.
func (j *streamJudge) watch(p []byte) {
	for _, c := range p {
		if j.inString {
			j.inside(c)
		} else {
			j.outside(c)
		}
	}
}

func (j *streamJudge) inside(c byte) {
	switch {
	case j.escaped:
		j.escaped = false
	case c == '\\':
		j.escaped = true
	case c == '"':
		j.inString = false
		if j.key == typeKey && j.depth == 1 {
			if well, ends := closing[string(j.word[:min(j.wordLen, len(j.word))])]; ends {
				j.done, j.failed = j.done || well, j.failed || !well
			}
		}
		return
	case c == '\n': // never inside a whole string: the line was cut
		j.endLine()
		return
	}
	if j.key == errorKey && j.depth == 1 && len(j.said) < 4*maxSaid {
		j.said = append(j.said, c)
	}
	if j.wordLen < len(j.word) {
		j.word[j.wordLen] = c
	}
	j.wordLen++
	if j.key == textKey && c != ' ' {
		j.hasText = true
		j.text.WriteByte(c)
	}
}

func (j *streamJudge) outside(c byte) {
	if '0' <= c && c <= '9' {
		j.digit(int64(c - '0'))
		return
	}
	switch c {
	case '"':
		j.inString, j.wordLen = true, 0
		if j.key == errorKey && j.depth == 1 {
			j.failed, j.said = true, j.said[:0]
		}
	case ':':
		j.key = keyOf(j.word[:min(j.wordLen, len(j.word))])
		j.wordLen = 0
	case ',':
		j.key = otherKey
	case '{', '[':
		if j.key == errorKey && j.depth == 1 {
			j.failed = true // server-sent events have an object there
		}
		j.key = otherKey
		j.depth++
	case '}', ']':
		j.key = otherKey
		j.depth--
	case 't':
		if j.key == doneKey && j.depth == 1 {
			j.done = true
		}
	case 'D':
		if j.depth == 1 {
			j.done = true // [DONE]; JSON has no D outside a string
		}
	case '\n':
		j.endLine()
	}
}

// maxReported bounds the figures that are believed: nobody's model loads for longer.
const maxReported = int64(24 * time.Hour)

// digit is one of a number's.
func (j *streamJudge) digit(d int64) {
	switch {
	case j.depth != 1:
	case j.key == loadKey:
		j.load = min(10*j.load+d, maxReported)
	case j.key == evalKey:
		j.eval = min(10*j.eval+d, maxReported)
	}
}

// endLine compares the piece of text with the one before. A broken line does not confuse the next.
func (j *streamJudge) endLine() {
	if j.hasText {
		sum := j.text.Sum64()
		if sum == j.lastText {
			j.repeating++
		} else {
			j.repeating = 1
		}
		j.lastText, j.hasText = sum, false
		j.text.Reset()
	}
	j.depth, j.inString, j.escaped, j.key = 0, false, false, otherKey
}
