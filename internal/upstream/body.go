package upstream

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// A connection whose answer was whole but not read to the last byte is worth waiting a moment for.
const (
	drainTime  = 50 * time.Millisecond
	drainBytes = 4 << 10
)

var errClosed = errors.New("read of an answer's body after it was closed")

// streamKind is how an answer says that it is whole.
type streamKind int

const (
	wholeBody streamKind = iota // by its end
	lines                       // NDJSON: by "done":true
	sse                         // server-sent events: by [DONE] or the closing event
)

func kindOfBody(path, contentType string) streamKind {
	switch {
	case strings.HasPrefix(contentType, "application/x-ndjson"):
		return lines
	case strings.HasPrefix(contentType, "text/event-stream") && inferencePath(path):
		return sse
	}
	return wholeBody
}

// body is an answer's body: it enforces the limits while it is read, and decides the attempt's outcome when it ends.
// Close may be called while a Read is on its way.
type body struct {
	io.ReadCloser
	a    *attempt
	kind streamKind

	mu        sync.Mutex // of what follows; never held while waiting
	judge     streamJudge
	reading   bool
	began     bool
	firstByte time.Duration // how long it took
	settled   bool
	last      error // what Read returns after the end
}

// Read passes bytes on unchanged. Waiting for the server is limited, waiting for the reader is not.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	began, last := b.began, b.last
	b.reading = true
	b.mu.Unlock()
	if last != nil {
		return 0, last
	}
	b.a.limitWait(began)
	n, err := b.ReadCloser.Read(p)
	b.a.timer.Stop()

	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.saw(p[:n])
	if err == nil {
		return n, nil
	}
	outcome, ofHost, why, shown := b.ended(err)
	b.last = shown
	b.settle(outcome, ofHost, why)
	b.a.release()
	return n, shown
}

func (b *body) saw(p []byte) {
	if len(p) == 0 {
		return
	}
	if !b.began {
		b.began = true
		b.firstByte = time.Since(b.a.start)
	}
	if b.kind != wholeBody || b.a.slow > 0 {
		b.judge.watch(p)
	}
	if l := b.a.seat.lane; l != nil {
		b.a.c.passed(l, len(p))
	}
}

// ended judges a body that ended by itself, with io.EOF or otherwise, says in words what a failure was, and gives the error its
// reader sees.
func (b *body) ended(err error) (o breaker.Outcome, ofHost bool, why string, shown error) {
	cause := b.a.cause()
	switch {
	case !errors.Is(err, io.EOF) && (b.a.caller.Err() != nil || isTotal(cause)):
		return breaker.Neutral, false, "", bodyError(b.a.caller, b.a.host, cause, err)
	case !errors.Is(err, io.EOF):
		return breaker.Failure, cause == nil, whyBody(cause, err), bodyError(b.a.caller, b.a.host, cause, err)
	case !b.a.infer:
		return breaker.Neutral, false, "", io.EOF
	case b.kind == wholeBody:
		return breaker.Success, false, "", io.EOF
	case b.judge.failed:
		return breaker.Failure, false, b.judge.why(), io.EOF // its last line says so
	case b.judge.done:
		return breaker.Success, false, "", io.EOF
	case b.judge.looping():
		return breaker.Neutral, false, "", io.EOF // as Ollama itself ends it
	}
	return breaker.Failure, false, unfinished, rag.Errorf(rag.BadUpstream, "", "%s ended its answer without finishing it",
		b.a.host.name()).Because(errUnfinished)
}

// Close gives everything back. A reader that had all it needed counts as a success; one that left early says nothing
// about the server.
func (b *body) Close() error {
	b.mu.Lock()
	worthDraining := !b.settled && !b.reading && b.began && (b.kind == wholeBody || b.judge.done)
	b.mu.Unlock()
	atEnd := worthDraining && b.drain()

	b.mu.Lock()
	b.last = errClosed
	outcome, why := b.left(atEnd)
	b.settle(outcome, false, why)
	b.mu.Unlock()
	err := b.ReadCloser.Close()
	b.a.release()
	return err
}

// left judges a body that its reader closed before its end, and says in words what a failure was.
func (b *body) left(atEnd bool) (o breaker.Outcome, why string) {
	switch {
	case b.settled || !b.a.infer:
		return breaker.Neutral, ""
	case b.kind != wholeBody && b.judge.failed:
		return breaker.Failure, b.judge.why()
	case b.kind != wholeBody && b.judge.done || b.kind == wholeBody && atEnd:
		return breaker.Success, ""
	}
	return breaker.Neutral, ""
}

// drain reads the few bytes between the last word and the end, so that the connection can be used again, and says
// whether there was such an end.
func (b *body) drain() bool {
	b.a.timer.Reset(drainTime)
	defer b.a.timer.Stop()
	_, err := io.CopyN(io.Discard, b.ReadCloser, drainBytes)
	return errors.Is(err, io.EOF)
}

// settle reports the outcome, once; why says in words what a failure was. A success whose first token came too late is a
// failure. The breaker's lock is taken inside b.mu, never the other way round.
func (b *body) settle(o breaker.Outcome, ofHost bool, why string) {
	if b.settled {
		return
	}
	b.settled = true
	if o == breaker.Success && b.late() {
		o, why = breaker.Failure, fmt.Sprintf("slow: the first token took longer than %v", b.a.slow)
	}
	b.a.settle(o, ofHost, why)
}

// late says whether the first token came later than it may, the loading of the model not counted. An answer in one piece
// shows its first token only by its figures; one that has none, as in OpenAI's form, is never late, vectors excepted.
func (b *body) late() bool {
	if b.a.slow == 0 {
		return false
	}
	took := b.firstByte - time.Duration(b.judge.load)
	if b.kind == wholeBody && classOf(b.a.path) == rag.ClassChat {
		if b.judge.eval == 0 {
			return false
		}
		took -= time.Duration(b.judge.eval)
	}
	return took > b.a.slow
}
