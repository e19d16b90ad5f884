package upstream

import (
	"errors"
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
	sse                         // server-sent events: by [DONE], on the routes that have it
)

func kindOfBody(path, contentType string) streamKind {
	switch {
	case strings.HasPrefix(contentType, "application/x-ndjson"):
		return lines
	case strings.HasPrefix(contentType, "text/event-stream") && strings.HasSuffix(path, "/completions"):
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

	mu      sync.Mutex // of what follows; never held while waiting
	judge   streamJudge
	reading bool
	began   bool
	settled bool
	last    error // what Read returns after the end
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
	outcome, shown := b.ended(err)
	b.last = shown
	b.settle(outcome)
	b.a.release()
	return n, shown
}

func (b *body) saw(p []byte) {
	if len(p) == 0 {
		return
	}
	if !b.began {
		b.began = true
		b.a.firstByte = time.Since(b.a.start)
	}
	if b.kind != wholeBody {
		b.judge.watch(p)
	}
}

// ended judges a body that ended by itself, with io.EOF or otherwise, and gives the error its reader sees.
func (b *body) ended(err error) (breaker.Outcome, error) {
	switch {
	case !errors.Is(err, io.EOF) && b.a.caller.Err() != nil:
		return breaker.Neutral, bodyError(b.a.caller, b.a.host, b.a.cause(), err)
	case !errors.Is(err, io.EOF):
		return breaker.Failure, bodyError(b.a.caller, b.a.host, b.a.cause(), err)
	case !b.a.infer:
		return breaker.Neutral, io.EOF
	case b.judge.failed:
		return breaker.Failure, io.EOF // its last line says so
	case b.kind == wholeBody || b.judge.done:
		return breaker.Success, io.EOF
	case b.judge.looping():
		return breaker.Neutral, io.EOF // as Ollama itself ends it
	}
	return breaker.Failure, rag.Errorf(rag.BadUpstream, "", "Ollama at %s ended its answer without finishing it",
		b.a.host.shown).Because(errUnfinished)
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
	b.settle(b.left(atEnd))
	b.mu.Unlock()
	err := b.ReadCloser.Close()
	b.a.release()
	return err
}

// left judges a body that its reader closed before its end.
func (b *body) left(atEnd bool) breaker.Outcome {
	switch {
	case !b.a.infer:
		return breaker.Neutral
	case b.judge.failed:
		return breaker.Failure
	case b.judge.done || b.kind == wholeBody && atEnd:
		return breaker.Success
	}
	return breaker.Neutral
}

// drain reads the few bytes between the last word and the end, so that the connection can be used again, and says
// whether there was such an end.
func (b *body) drain() bool {
	b.a.timer.Reset(drainTime)
	defer b.a.timer.Stop()
	_, err := io.CopyN(io.Discard, b.ReadCloser, drainBytes)
	return errors.Is(err, io.EOF)
}

// settle reports the outcome, once. The breaker's lock is taken inside b.mu, never the other way round.
func (b *body) settle(o breaker.Outcome) {
	if !b.settled {
		b.settled = true
		b.a.settle(o)
	}
}
