package server

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// keepAlive is how often a stream that has nothing to say shows that it lives.
const keepAlive = 15 * time.Second

func (s *Server) streamQuery(w http.ResponseWriter, r *http.Request) error {
	a, err := s.decodeQuery(r)
	if err != nil {
		return err
	}
	f := newFrames(w, strings.Contains(r.Header.Get("Accept"), "text/event-stream"))
	defer f.stop()
	ended := false
	for ev, err := range s.Engine.Ask(r.Context(), a.request) {
		if err != nil {
			if !f.begun() || r.Context().Err() != nil {
				return err
			}
			_ = f.send("error", errorView{"error", problem.From(err, requestID(r))})
			return err
		}
		if err := f.send(frameOf(a, ev)); err != nil {
			return nil // the client left; leaving the loop stops the model
		}
		ended = ev.Kind == rag.EventDone
	}
	if !ended && r.Context().Err() == nil {
		_ = f.send("error", errorView{"error", problem.From(rag.Errorf(rag.Internal, "", "the answer ended without an end"), requestID(r))})
	}
	return nil
}

// frameOf gives the name and content of an event's frame.
func frameOf(a asked, ev rag.Event) (string, any) {
	switch ev.Kind {
	case rag.EventStatus:
		return "status", statusView{"status", ev.Status}
	case rag.EventContexts:
		return "contexts", contextsView{"contexts", contextsOf(ev.Answer.Hits), metadatasOf(ev.Answer.Hits), a.request.DB, retrievalView{ev.Answer.Method}}
	case rag.EventToken:
		return "token", tokenView{"token", ev.Token}
	case rag.EventCitation:
		return "citation", citationView{"citation", ev.Citation}
	}
	return "done", doneView{"done", answerView(a, ev.Answer)}
}

// frames writes events as NDJSON lines or SSE events, each flushed, and shows life in between.
type frames struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sse     bool
	quit    chan struct{}
	ended   chan struct{}

	mu      sync.Mutex
	started bool
	last    time.Time
}

func newFrames(w http.ResponseWriter, sse bool) *frames {
	f := &frames{w: w, control: http.NewResponseController(w), sse: sse, quit: make(chan struct{}), ended: make(chan struct{}), last: time.Now()}
	go f.live()
	return f
}

func (f *frames) live() {
	defer close(f.ended)
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.mu.Lock()
			if time.Since(f.last) >= keepAlive/2 {
				line := "{\"event\":\"status\",\"status\":\"waiting\"}\n"
				if f.sse {
					line = ": waiting\n\n"
				}
				_ = f.write([]byte(line)) // a client that left is found out by the next frame
			}
			f.mu.Unlock()
		case <-f.quit:
			return
		}
	}
}

// stop ends the signs of life; nothing is written after it.
func (f *frames) stop() {
	close(f.quit)
	<-f.ended
}

func (f *frames) begun() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.started
}

func (f *frames) send(name string, v any) error {
	data, err := encodeJSON(v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if f.sse {
		b.WriteString("event: " + name + "\ndata: ")
	}
	b.Write(data)
	if f.sse {
		b.WriteByte('\n')
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write(b.Bytes())
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
	if _, err := f.w.Write(line); err != nil {
		return err
	}
	return f.control.Flush()
}
