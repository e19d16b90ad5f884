package ollamatest

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Fault is one way to fail. Those of a stream happen after After pieces of text.
type Fault struct {
	Code       int           // answer with this status ...
	Text       string        // ... and this body
	RetryAfter time.Duration // ... and this header, in whole seconds
	Reset      ResetAt
	Hang       bool          // say nothing until released or the client goes away
	FirstByte  time.Duration // wait before the first byte
	PerPiece   time.Duration // wait before each piece of text
	After      int           // pieces of text before the end goes wrong
	End        End
}

// ResetAt is where a connection is reset.
type ResetAt int

// The places of a reset.
const (
	NoReset ResetAt = iota
	BeforeHeader
	AfterHeader
)

// End is how a stream ends.
type End int

// The ends of a stream.
const (
	Whole     End = iota
	MidLine       // the connection is cut in the middle of a line
	ErrorLine     // {"error": ...} under status 200
	NoDone        // in good order, but without the final message
	Stall         // nothing more comes, until released or the client goes away
	Loop          // the last piece again and again, then NoDone, as Ollama does to a model that repeats itself
)

// errorBodies are Ollama's own words for a status.
var errorBodies = map[int]string{
	500: `{"error":"an error was encountered while running the model: unexpected EOF"}`,
	503: `{"error":"server busy, please try again.  maximum pending requests exceeded"}`,
	429: `{"error":"too many requests"}`,
}

// Status answers with a status and Ollama's body for it, or the given one.
func Status(code int, body ...string) Fault {
	f := Fault{Code: code, Text: errorBodies[code]}
	if len(body) > 0 {
		f.Text = body[0]
	}
	if f.Text == "" {
		f.Text = fmt.Sprintf(`{"error":%q}`, http.StatusText(code))
	}
	return f
}

// Busy is status 503 with a Retry-After, which Ollama itself does not send.
func Busy(retryAfter time.Duration) Fault {
	f := Status(503)
	f.RetryAfter = retryAfter
	return f
}

// Reset cuts the connection.
func Reset(at ResetAt) Fault { return Fault{Reset: at} }

// Hang says nothing until Server.Release.
func Hang() Fault { return Fault{Hang: true} }

// Slow waits before the first byte and before each further piece.
func Slow(firstByte, perPiece time.Duration) Fault {
	return Fault{FirstByte: firstByte, PerPiece: perPiece}
}

// Ends lets a stream go wrong after some pieces.
func Ends(end End, after int) Fault { return Fault{End: end, After: after} }

// script is a fault for the requests to come.
type script struct {
	path  string // "" is every inference
	left  int    // requests; negative is without end
	fault Fault
}

// meets takes one request out of the script.
func (s *script) meets(path string) bool {
	if s.left == 0 || s.path != path && !(s.path == "" && inference(path)) {
		return false
	}
	s.left--
	return true
}

func inference(path string) bool {
	switch path {
	case "/api/chat", "/api/generate", "/api/embed", "/api/embeddings":
		return true
	}
	return false
}

// Fail makes the next n inferences fail, all further ones if n is negative. Scripts are used up in the order they came.
func (s *Server) Fail(n int, f Fault) { s.FailPath("", n, f) }

// FailPath is Fail for one path, any at all.
func (s *Server) FailPath(path string, n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts = append(s.scripts, &script{path, n, f})
}

// Heal forgets all scripts and lets what hangs go on.
func (s *Server) Heal() {
	s.mu.Lock()
	s.scripts = nil
	s.mu.Unlock()
	s.Release()
}

// Release lets everything that hangs or stalls now go on.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.released)
	s.released = make(chan struct{})
}

// before does what goes wrong ahead of the answer, and says whether there is nothing left to answer.
func (f *Fault) before(x *exchange) (over bool) {
	if f.Hang && !x.pause(nil) {
		return true
	}
	if f.FirstByte > 0 && !x.wait(f.FirstByte) {
		return true
	}
	switch {
	case f.Reset == BeforeHeader:
		x.reset()
	case f.Reset == AfterHeader:
		x.w.Header().Set("Content-Type", "application/x-ndjson")
		x.w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(x.w).Flush()
		x.reset()
	case f.Code != 0:
		if f.RetryAfter > 0 {
			x.w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
		}
		x.json(f.Code, []byte(f.Text))
	default:
		return false
	}
	return true
}

// reset cuts the connection with a RST.
func (x *exchange) reset() {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// wait lets time pass; false if the client went away meanwhile.
func (x *exchange) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	return x.pause(timer.C)
}

// pause waits for the time, or where there is none for Release; false if the client went away meanwhile.
func (x *exchange) pause(until <-chan time.Time) bool {
	released := x.released
	if until != nil {
		released = nil
	}
	select {
	case <-until:
	case <-released:
	case <-x.r.Context().Done():
		return false
	}
	return true
}
