package gateway

import (
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	lifeEvery    = 15 * time.Second // between two signs of life of a stream of events that has not begun
	writeTimeout = time.Minute      // for a client to take what is written; one that stands still holds the model no longer
)

func patience(c *http.ResponseController) {
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout)) // where nothing knows deadlines, nothing is needed
}

// patient gives each write its time.
type patient struct {
	io.Writer
	control *http.ResponseController
}

func (p patient) Write(b []byte) (int, error) {
	patience(p.control)
	return p.Writer.Write(b)
}

// life shows a client that waits for events that it is not forgotten: a model may load for minutes. The first sign takes the
// status: it is 200, whatever the model server will say, so it is late.
type life struct {
	mu    sync.Mutex
	timer *time.Timer
	taken bool // the status was sent
	ended bool
}

// patientFor begins to show signs of life where a stream of events was asked for.
func (a *answer) patientFor(p peeked) *answer {
	if p.Stream && a.api.events {
		a.showLife()
	}
	return a
}

// showLife begins to show signs of life.
func (a *answer) showLife() {
	a.life.mu.Lock()
	defer a.life.mu.Unlock()
	a.life.timer = time.AfterFunc(lifeEvery, a.sign)
}

func (a *answer) sign() {
	l := &a.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if !l.taken {
		l.taken = true
		a.w.Header().Set("Content-Type", "text/event-stream")
		a.w.WriteHeader(http.StatusOK)
	}
	patience(a.control)
	if _, err := io.WriteString(a.w, ": waiting\n\n"); err == nil && a.control.Flush() == nil { // one that left is found out by others
		l.timer.Reset(lifeEvery)
	}
}

// end ends the signs of life, and says whether they took the status. It must be called before anything else is written.
func (l *life) end() (taken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.timer != nil {
		l.timer.Stop()
	}
	return l.taken
}
