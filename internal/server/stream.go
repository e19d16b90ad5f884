package server

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// keepAlive is how long a stream may say nothing before it shows that it lives.
const keepAlive = 15 * time.Second

func (s *Server) streamQuery(w http.ResponseWriter, r *http.Request) error {
	a, err := s.decodeQuery(w, r)
	if err != nil {
		return err
	}
	f := newFrames(w, strings.Contains(r.Header.Get("Accept"), "text/event-stream"))
	defer f.stop()
	ended := false
	for ev, err := range s.Engine.Ask(r.Context(), a.request) {
		if ev.Kind == rag.EventContexts {
			f.head(func(h http.Header) { s.tellCache(h, ev.Answer.Cache) })
		}
		if ev.Kind == rag.EventDone {
			noteDegraded(r, ev.Answer)
		}
		var frame []byte
		if err == nil {
			frame, err = f.event(a, ev)
		}
		if err != nil {
			return f.fail(r, err)
		}
		if err := f.send(frame); err != nil {
			return nil // the client left; leaving the loop stops the model
		}
		ended = ev.Kind == rag.EventDone
	}
	if !ended && r.Context().Err() == nil {
		return f.fail(r, rag.Errorf(rag.Internal, "", "the answer ended without an end"))
	}
	return nil
}

// event is the frame of an event.
func (f *frames) event(a asked, ev rag.Event) ([]byte, error) {
	if ev.Kind != rag.EventDone {
		return f.frame(frameOf(a, ev))
	}
	body, tail, err := answerJSON(a, ev.Answer)
	if err != nil {
		return nil, err
	}
	return f.wrap("done", slices.Concat([]byte(`{"event":"done",`), body[1:], tail)), nil
}

// frameOf gives the name and content of an event's frame; the last event's is another matter.
func frameOf(a asked, ev rag.Event) (string, any) {
	switch ev.Kind {
	case rag.EventStatus:
		return "status", statusView{"status", ev.Status}
	case rag.EventContexts:
		return "contexts", contextsView{"contexts", contextsOf(ev.Answer.Hits), metadatasOf(ev.Answer.Hits), a.request.DB, retrievalView{ev.Answer.Method}}
	case rag.EventToken:
		return "token", tokenView{"token", ev.Token}
	}
	return "citation", citationView{"citation", ev.Citation}
}

// frames writes events as NDJSON lines or SSE events, each flushed, and shows life in between.
type frames struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sse     bool
	stop    func() // ends the signs of life; nothing is written by them after it

	mu      sync.Mutex
	started bool
	last    time.Time
}

func newFrames(w http.ResponseWriter, sse bool) *frames {
	f := &frames{w: w, control: http.NewResponseController(w), sse: sse, last: time.Now()}
	quit, ended := make(chan struct{}), make(chan struct{})
	f.stop = sync.OnceFunc(func() {
		close(quit)
		<-ended
	})
	go func() {
		defer close(ended)
		f.live(quit)
	}()
	return f
}

func (f *frames) live(quit <-chan struct{}) {
	timer := time.NewTimer(keepAlive)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			timer.Reset(f.sign())
		case <-quit:
			return
		}
	}
}

// sign shows that the stream lives, if it was silent for long, and says when to look again.
func (f *frames) sign() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if left := keepAlive - time.Since(f.last); left > 0 {
		return left
	}
	line := "{\"event\":\"status\",\"status\":\"waiting\"}\n"
	if f.sse {
		line = ": waiting\n\n"
	}
	_ = f.write([]byte(line)) // a client that left is found out by the next frame
	return keepAlive
}

// fail ends a stream that has begun with an error frame. One that has not is answered with the error's status by others.
func (f *frames) fail(r *http.Request, err error) error {
	f.stop() // or a sign of life could begin the stream just now
	if f.started && r.Context().Err() == nil {
		if frame, bad := f.frame("error", errorView{"error", problem.From(err, requestID(r))}); bad == nil {
			_ = f.send(frame) // a client that left is nobody to tell
		}
	}
	return err
}

func (f *frames) frame(name string, v any) ([]byte, error) {
	data, err := encodeJSON(v)
	if err != nil {
		return nil, err
	}
	return f.wrap(name, data), nil
}

// wrap makes a line of JSON a frame.
func (f *frames) wrap(name string, data []byte) []byte {
	if !f.sse {
		return data
	}
	return slices.Concat([]byte("event: "+name+"\ndata: "), data, []byte("\n"))
}

// head sets what the header says; it has no effect on a stream that has begun.
func (f *frames) head(set func(http.Header)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.started {
		set(f.w.Header())
	}
}

func (f *frames) send(frame []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write(frame)
}

func (f *frames) write(line []byte) error {
	if !f.started {
		f.started = true
		h := f.w.Header()
		h.Set("Content-Type", "application/x-ndjson")
		if f.sse {
			h.Set("Content-Type", "text/event-stream")
		}
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no") // reverse proxies must not hold frames back
	}
	f.last = time.Now()
	_ = f.control.SetWriteDeadline(f.last.Add(writeTimeout)) // a reader that stands still holds the model no longer
	if _, err := f.w.Write(line); err != nil {
		return err
	}
	return f.control.Flush()
}
