package upstream

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// maxErrorBody is how much of a refusal is read before it is judged; Ollama's are a line.
const maxErrorBody = 64 << 10

// attempt is one request to one host, from its leave to the end of its answer's body.
type attempt struct {
	c      *Client
	caller context.Context // of the call; ended means the client went away
	ctx    context.Context // of this attempt; ended by a limit too
	cancel context.CancelCauseFunc
	host   *host
	seat   seat
	path   string
	infer  bool
	slow   time.Duration // a first byte later than this makes a success a failure; 0 is off

	start   time.Time
	first   *limit
	idle    *limit
	waiting atomic.Pointer[limit] // what timer stands for
	timer   *time.Timer
	total   *time.Timer // of the whole answer; nil if that has no limit
	over    func()      // called at the end; may be nil

	wanted   atomic.Int64 // a connection, in nanoseconds since epoch
	hasConn  atomic.Bool
	handed   atomic.Int64 // the answer to the caller, in nanoseconds since epoch; 0 before
	released sync.Once
}

// result is what one attempt brought: a response or an error, and what it means.
type result struct {
	verdict
	host    *host
	attempt *attempt // whose body resp has
	resp    *http.Response
	err     error
}

// discard lets go of an answer that nobody will see.
func (r *result) discard() {
	if r.resp != nil {
		_ = r.resp.Body.Close()
	}
}

func (c *Client) newAttempt(call *call, s seat) *attempt {
	a := &attempt{
		c: c, caller: call.req.Context(), host: s.host, seat: s, path: call.req.URL.Path, infer: call.infer,
		slow: c.cfg.Breaker.SlowCall, start: time.Now(),
		first: c.firstLimit, idle: c.idleLimit,
	}
	if call.lookup {
		a.first = c.lookupLimit
	}
	ctx, cancel := context.WithCancelCause(a.caller)
	a.cancel, a.over = cancel, call.over
	if c.totalLimit.d > 0 && call.infer {
		a.total = time.AfterFunc(c.totalLimit.d, func() { cancel(c.totalLimit) })
	}
	a.ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: a.getConn, GotConn: a.gotConn, WroteHeaders: a.wroteHeaders})
	a.waiting.Store(a.first)
	if c.cfg.PoolBlock {
		a.waiting.Store(&limit{name: "a free connection", d: a.first.d, place: true})
	}
	a.timer = time.AfterFunc(a.first.d, func() { cancel(a.waiting.Load()) })
	if s.lane == nil {
		s.host.inFlight.Add(1)
	}
	return a
}

func (a *attempt) getConn(string) { a.wanted.Store(int64(time.Since(epoch))) }

func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	if info.Reused {
		a.host.counts.reused.Add(1)
	}
	a.host.counts.waits.add(time.Since(epoch) - time.Duration(a.wanted.Load()))
	if !a.hasConn.Swap(true) {
		a.host.counts.inUse.Add(1)
		// Only from here on is it the server that is waited for.
		if a.start = time.Now(); a.waiting.Swap(a.first) != a.first && a.timer.Stop() {
			a.timer.Reset(a.first.d)
		}
	}
}

func (a *attempt) wroteHeaders() { a.host.counts.requests.Add(1) }

// limitWait starts the clock for the next bytes of the body.
func (a *attempt) limitWait(began bool) {
	if began {
		a.waiting.Store(a.idle)
		a.timer.Reset(a.idle.d)
		return
	}
	a.timer.Reset(max(a.first.d-time.Since(a.start), drainTime))
}

// cause is the limit that stopped the attempt, nil if none did.
func (a *attempt) cause() error {
	if err := context.Cause(a.ctx); isLimit(err) {
		return err
	}
	return nil
}

// settle reports the outcome; why says in words what a failure was.
func (a *attempt) settle(o breaker.Outcome, ofHost bool, why string) {
	if o == breaker.Success && a.seat.lane != nil {
		a.host.know.served(a.seat.lane.model)
	}
	switch {
	case a.seat.report != nil:
		a.seat.report(o, ofHost, why)
	case o == breaker.Failure: // no breaker has a say in it
		a.host.failure.note(why)
	}
}

// release gives back what the attempt held of its host.
func (a *attempt) release() {
	a.released.Do(func() {
		a.timer.Stop()
		if a.total != nil {
			a.total.Stop()
		}
		if a.hasConn.Load() {
			a.host.counts.inUse.Add(-1)
		}
		a.cancel(nil)
		if handed := a.handed.Load(); handed != 0 {
			rag.RequestOf(a.caller).AddAway(time.Since(epoch) - time.Duration(handed))
		}
		if a.over != nil {
			a.over()
		}
		if a.seat.lane == nil {
			a.host.inFlight.Add(-1)
			return
		}
		a.c.leave(a.seat.lane, a.seat.since)
	})
}

// attempt sends the call to one host. A response that it gives must be closed.
func (c *Client) attempt(call *call, s seat) *result {
	h := s.host
	a := c.newAttempt(call, s)
	req, err := call.request(a.ctx)
	if err != nil {
		a.settle(breaker.Neutral, false, "")
		a.release()
		return &result{host: h, err: err}
	}
	h.address(req)
	resp, err := h.rt.RoundTrip(req) //nolint:bodyclose // the body goes on to the caller, inside the attempt
	if err != nil {
		v := judgeError(a.caller, a.cause(), err, a.infer)
		shown := callError(a.caller, h, a.cause(), err)
		if v.outcome == breaker.Failure {
			h.know.met(false)
		}
		a.settle(v.outcome, v.ofHost, whyError(a.cause(), err))
		a.release()
		return &result{verdict: v, host: h, err: shown}
	}
	h.know.met(true)
	return a.answer(resp)
}

// answer judges a response by its status, and leaves the rest to its body.
func (a *attempt) answer(resp *http.Response) *result {
	if tells(a.path) && resp.StatusCode == http.StatusOK && resp.Body != http.NoBody {
		resp.Body = &listening{ReadCloser: resp.Body, tell: func(list []byte) { a.host.know.learn(a.path, list) }}
	}
	b := &body{ReadCloser: resp.Body, a: a, kind: kindOfBody(a.path, resp.Header.Get("Content-Type"))}
	r := &result{host: a.host, attempt: a, resp: resp}
	if resp.StatusCode < 400 {
		a.timer.Stop()
		resp.Body = b
		return r
	}
	start, err := io.ReadAll(io.LimitReader(b.ReadCloser, maxErrorBody))
	a.timer.Stop()
	r.verdict = judgeStatus(a.infer, a.path, resp.StatusCode, resp.Header, start)
	b.settle(r.outcome, r.ofHost, whyStatus(resp.StatusCode, start))
	switch r.reason {
	case reasonSaturated:
		a.host.counts.saturated.Add(1)
		wait := min(r.wait, maxCooling)
		if wait == 0 {
			wait = jittered(a.c.cfg.RetryBackoff)
		}
		a.host.cool(max(failCooling, wait))
		a.c.saturated(a.seat.lane, wait)
	case reasonMissing:
		if a.seat.lane != nil {
			a.seat.lane.lack()
		}
	}
	switch {
	case err != nil:
		_ = b.Close()
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(start), failing{bodyError(a.caller, a.host, a.cause(), err)}))
	case len(start) < maxErrorBody:
		_ = b.Close()
		resp.Body = io.NopCloser(bytes.NewReader(start))
	default:
		resp.Body = &resumed{Reader: io.MultiReader(bytes.NewReader(start), b), Closer: b}
	}
	return r
}

// resumed is a body of which some was read before.
type resumed struct {
	io.Reader
	io.Closer
}

// failing gives nothing but its error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
