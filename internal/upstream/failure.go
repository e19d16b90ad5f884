package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"
)

const (
	maxSaid   = 200 // characters of a server's own words that are kept of a failure
	maxQuoted = 40  // characters in quotes within them, as a name has; more is what a person or a model wrote
)

// Failure is what a host, or a model on it, failed with last. The zero value: nothing yet.
type Failure struct {
	At   time.Time
	Text string // a few words: no URL with its password, no text of a prompt or an answer
}

// lastFailure may be read from anywhere, any time, by who is told of a breaker's change too.
type lastFailure struct{ p atomic.Pointer[Failure] }

func (l *lastFailure) note(text string) { l.p.Store(&Failure{At: time.Now(), Text: text}) }

func (l *lastFailure) get() Failure {
	if f := l.p.Load(); f != nil {
		return *f
	}
	return Failure{}
}

// whyError says why no answer came. What it does not know it does not repeat: an error may hold anything.
func whyError(cause, err error) string {
	if l, ok := errors.AsType[*limit](cause); ok {
		return "timeout: " + l.Error()
	}
	if isTLS(err) {
		return "no secure connection: " + said(err.Error())
	}
	if !isDial(err) {
		return "the connection ended before the answer" + ownWords(err)
	}
	var timeout net.Error
	switch _, dns := errors.AsType[*net.DNSError](err); {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET): // some systems reset it where a listener has just closed
		return "connection refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout: no connection in time"
	case dns:
		return "no connection: its name has no address"
	}
	return "no connection" + ownWords(err)
}

// whyBody says why an answer broke off after it had begun.
func whyBody(cause, err error) string {
	if isLimit(cause) {
		return whyError(cause, err)
	}
	return "the connection ended in the middle of the answer" + ownWords(err)
}

// ownWords are those of the operating system, after a colon; "" where there are none.
func ownWords(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return ": " + errno.Error()
	}
	return ""
}

// whyStatus says what an answer of a failure's status said.
func whyStatus(status int, body []byte) string {
	if text := said(errorIn(body)); text != "" {
		return fmt.Sprintf("status %d: %s", status, text)
	}
	return strings.TrimSpace(fmt.Sprintf("status %d %s", status, http.StatusText(status)))
}

// errorIn is the message of an error in the form of Ollama's API or of OpenAI's; "" if there is none.
func errorIn(body []byte) string {
	var e struct{ Error json.RawMessage }
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	var text string
	if json.Unmarshal(e.Error, &text) != nil {
		var v1 struct{ Message string }
		if json.Unmarshal(e.Error, &v1) != nil {
			return ""
		}
		text = v1.Message
	}
	return text
}

var userInfo = regexp.MustCompile(`://[^\s/]*@`)

// said makes a server's words fit to be kept: one line, short, and nothing in them that it was given in confidence. Ollama
// repeats what a model wrote where it cannot read it, in quotes; from there on nothing is kept.
func said(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = userInfo.ReplaceAllString(strings.Join(strings.Fields(text), " "), "://")
	runes := []rune(text)
	cut := min(len(runes), maxSaid)
	for i := 0; i < cut; i++ {
		r := runes[i]
		if !strings.ContainsRune("\"'`", r) || i > 0 && unicode.IsLetter(runes[i-1]) {
			continue
		}
		end := i + 1
		for end < len(runes) && runes[end] != r {
			end++
		}
		if end-i-1 > maxQuoted {
			cut = i
		}
		i = end
	}
	if cut == len(runes) {
		return text
	}
	return strings.TrimSpace(string(runes[:cut])) + "…"
}
