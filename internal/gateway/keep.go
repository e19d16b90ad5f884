package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// Keeper keeps whole answers under keys that cover all that can change them. Recall also gives how old one is and how long it will
// be kept, which is not above 0 where there is no end.
type Keeper interface {
	Recall(key string, maxAge time.Duration) (data []byte, age, left time.Duration, ok bool)
	Remember(call rag.KeptCall) bool
}

// switchHeader lets a request say whether its answer may be kept and given from memory: on or off.
const switchHeader = "X-Ollama-Rag-Cache"

// Coalesced is how many requests followed the same one in flight.
func (g *Gateway) Coalesced() uint64 { return g.flights.Coalesced() }

// caches says whether a request is one whose answer may be kept. Its own word goes before the route's; the model server does not
// hear it.
func (g *Gateway) caches(r *http.Request) bool {
	wish := strings.ToLower(r.Header.Get(switchHeader))
	r.Header.Del(switchHeader)
	switch path := r.URL.Path; {
	case g.Kept == nil || !slices.Contains([]string{chatPath, generatePath, chatV1Path, completionV1Path}, path) || r.URL.RawQuery != "":
		return false
	case wish == "on" || wish == "off":
		return wish == "on"
	default:
		return slices.Contains(g.CacheRoutes, "all") || slices.Contains(g.CacheRoutes, path)
	}
}

// kept answers from memory, or asks a model server once for all who ask the same at the same time.
func (g *Gateway) kept(w http.ResponseWriter, r *http.Request, body []byte, p peeked) error {
	control := rag.ParseCacheControl(r.Header.Values("Cache-Control"))
	m, key, why := g.keyOf(r, body, p, control)
	if why != "" {
		if control.OnlyIfCached {
			return errNotKept
		}
		w.Header().Set("Cache-Status", "ollama-rag; fwd=bypass; detail="+why)
		return g.relay(w, r, body, p)
	}
	l := &listener{path: r.URL.Path, key: key, m: m, answer: newAnswer(w, apiOf(r.URL.Path)).patientFor(p)}
	work := func(ctx context.Context) iter.Seq2[part, error] {
		return g.ask(r.WithContext(ctx), body, p, m, key, control)
	}
	way := flight{key: key, path: r.URL.Path, maxAge: control.MaxAge, onlyIfCached: control.OnlyIfCached}
	if control.NoCache {
		way.own = l
	}
	err := g.flights.Follow(r.Context(), way, work, l.take)
	switch {
	case l.left != nil:
		return l.left
	case err != nil:
		return l.answer.fail(err)
	case l.answer.wrote:
		return nil
	case l.said != nil:
		return l.replay()
	case l.same: // and empty
		l.answer.start(l.resp)
		return nil
	}
	// What the other one got cannot be said in this form.
	w.Header().Set("Cache-Status", "ollama-rag; fwd=miss")
	out, err := outgoing(r, bytes.NewReader(body), p)
	if err != nil {
		return err
	}
	return g.tell(l.answer, out)
}

var errNotKept = rag.Errorf(rag.Timeout, rag.CodeNotCached, "no answer to this request is kept: send it without Cache-Control: only-if-cached")

// keyOf reads a request and gives the key of its answer, or why there is none.
func (g *Gateway) keyOf(r *http.Request, body []byte, p peeked, control rag.CacheControl) (m meaning, key, why string) {
	m, ok := meaningOf(r.URL.Path, body)
	switch {
	case control.NoStore:
		return m, "", "no-store"
	case !ok:
		return m, "", "request"
	case m.sampled && !g.Sampled:
		return m, "", "sampled"
	}
	digest, err := g.Digest(r.Context(), p.Model)
	if err != nil || digest == "" {
		return m, "", "model"
	}
	return m, m.keyOf(digest, rag.CallerOf(r.Context())), ""
}

// flight tells requests apart that must not share a call. Those of two APIs have a call each, so that each gets its own bytes.
type flight struct {
	key          string
	path         string
	maxAge       time.Duration
	onlyIfCached bool
	own          *listener // who wants a call of its own; nil: nobody
}

// part is a piece of what comes for a request, by whatever way.
type part struct {
	resp     *http.Response // begins the answer of a model server; its body is another's to read
	streamed bool           // in frames; else raw is all of it
	raw      []byte         // as it came
	usage    bool           // raw tells of usage alone
	said     *said          // the answer, where it is whole and good
	stored   bool           // and kept from now on
	recalled bool           // said was kept
	age      time.Duration
	left     time.Duration
}

// ask looks for a kept answer, asks a model server where there is none, and keeps what it says.
func (g *Gateway) ask(r *http.Request, body []byte, p peeked, m meaning, key string, control rag.CacheControl) iter.Seq2[part, error] {
	return func(yield func(part, error) bool) {
		if !control.NoCache {
			if data, age, left, ok := g.Kept.Recall(key, control.MaxAge); ok {
				var s said
				if json.Unmarshal(data, &s) == nil {
					yield(part{said: &s, recalled: true, age: age, left: left}, nil)
					return
				}
			}
		}
		if control.OnlyIfCached {
			yield(part{}, errNotKept)
			return
		}
		out, err := outgoing(r, bytes.NewReader(counting(r.URL.Path, body, m)), p)
		if err != nil {
			yield(part{}, err)
			return
		}
		h := hear(r.URL.Path, m.stream)
		resp, err := g.Upstream.RoundTrip(out)
		if err != nil {
			yield(part{}, err)
			return
		}
		defer resp.Body.Close()
		g.listen(resp, h, func(end part) part {
			if resp.StatusCode == http.StatusOK && r.Context().Err() == nil {
				end.said = h.whole(m.tools)
			}
			if end.said != nil {
				end.stored = g.Kept.Remember(rag.KeptCall{Key: key, Data: encode(end.said)})
			}
			return end
		}, yield)
	}
}

// listen reads an answer to its end, which it completes.
func (g *Gateway) listen(resp *http.Response, h *hearing, complete func(part) part, yield func(part, error) bool) {
	var end string
	switch kind := resp.Header.Get("Content-Type"); {
	case strings.HasPrefix(kind, "application/x-ndjson"):
		end = "\n"
	case strings.HasPrefix(kind, "text/event-stream"):
		end = "\n\n"
	default:
		raw, err := readAll(resp.Body, resp.ContentLength)
		if err != nil {
			yield(part{}, err)
			return
		}
		h.take(raw)
		yield(complete(part{resp: resp, raw: raw}), nil)
		return
	}
	if !yield(part{resp: resp, streamed: true}, nil) {
		return
	}
	lines := bufio.NewReaderSize(resp.Body, heldFrame)
	var last *part // the frame that says that the stream ends: its client has it once the answer is kept, since it may ask again at once
	for {
		frame, err := nextFrame(lines, end)
		ended := errors.Is(err, io.EOF)
		if last != nil && (len(frame) > 0 || err != nil && !ended) { // it was not the last
			if !yield(*last, nil) {
				return
			}
			last = nil
		}
		if err != nil && !ended {
			yield(part{}, err)
			return
		}
		if len(frame) > 0 {
			p := part{raw: frame}
			p.usage = h.take(frame)
			if h.over {
				last = &p
			} else if !yield(p, nil) {
				return
			}
		}
		if ended {
			if last == nil {
				last = &part{}
			}
			yield(complete(*last), nil)
			return
		}
	}
}

// nextFrame reads up to the end of a frame; one that is too long comes in pieces.
func nextFrame(r *bufio.Reader, end string) (frame []byte, err error) {
	for {
		piece, err := r.ReadSlice('\n')
		frame = append(frame, piece...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(frame) < wire.MaxLineBytes:
		case errors.Is(err, bufio.ErrBufferFull):
			return frame, nil
		case err != nil || bytes.HasSuffix(frame, []byte(end)):
			return frame, err
		}
	}
}

// counting is a request as it is sent for an answer that is to be kept: a stream of OpenAI's API is asked for its usage, since others
// may want it later. Who did not ask is not shown it.
func counting(path string, body []byte, m meaning) []byte {
	if apiOf(path) != openai || !m.stream || m.usage {
		return body
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return body
	}
	fields["stream_options"] = json.RawMessage(`{"include_usage":true}`)
	return encode(fields)
}

// listener is one client of a call.
type listener struct {
	path   string
	key    string
	m      meaning
	answer *answer

	resp *http.Response
	same bool // what comes has the form that was asked for
	said *said
	left error // the client went
}

// take passes on what comes, where it has the client's form; else it waits for the whole.
func (l *listener) take(p part, follower bool) bool {
	status := "; fwd=miss"
	if p.said != nil {
		l.said = p.said
	}
	switch {
	case p.recalled:
		status = "; hit"
		if p.left > 0 {
			status += "; ttl=" + strconv.Itoa(int(p.left.Seconds()))
		}
		status += fmt.Sprintf("; key=%q", l.key[:16])
		l.answer.w.Header().Set("Age", strconv.Itoa(int(p.age.Seconds())))
	case p.resp != nil:
		l.resp, l.same = p.resp, p.streamed == l.m.stream || p.resp.StatusCode != http.StatusOK
	}
	if p.recalled || p.resp != nil {
		if follower && !p.recalled {
			status += "; collapsed"
		}
		if p.stored {
			status += "; stored"
		}
		l.answer.w.Header().Set("Cache-Status", "ollama-rag"+status)
	}
	if !l.same || p.raw == nil || p.usage && !l.m.usage {
		return true
	}
	l.left = l.pass(p)
	return l.left == nil
}

func (l *listener) pass(p part) error {
	if p.resp == nil {
		l.answer.start(l.resp)
		return l.answer.write(p.raw)
	}
	if l.answer.start(p.resp) {
		return l.answer.late(p.resp, p.raw)
	}
	patience(l.answer.control)
	if _, err := l.answer.w.Write(p.raw); err != nil {
		return errLeft
	}
	return nil
}

// replay says a whole answer in the form that was asked for.
func (l *listener) replay() error {
	kind, frames := l.said.frames(l.path, l.m)
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {kind}}}
	if !l.m.stream {
		resp.Header.Set("Content-Length", strconv.Itoa(len(frames[0])))
		return l.pass(part{resp: resp, raw: frames[0]})
	}
	l.answer.start(resp)
	for _, frame := range frames {
		if err := l.answer.write(frame); err != nil {
			return err
		}
	}
	return nil
}
