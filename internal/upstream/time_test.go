package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// serverFunc stands in for the transport: these tests run on a clock of their own, where sockets do not work.
type serverFunc func(*http.Request) (*http.Response, error)

func (f serverFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func clientOf(t *testing.T, cfg Config, servers ...serverFunc) *Client {
	t.Helper()
	for i := range servers {
		cfg.Hosts = append(cfg.Hosts, mustURL(t, "http://host"+string(rune('a'+i))))
	}
	i := -1
	c, err := newClient(cfg, func(*counts) http.RoundTripper { i++; return servers[i] })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func respond(status int, header http.Header, body io.ReadCloser) *http.Response {
	if header == nil {
		header = http.Header{"Content-Type": {"application/x-ndjson"}}
	}
	return &http.Response{StatusCode: status, Header: header, Body: body}
}

// written is a body that fn writes; it breaks when the request's context ends, as a transport's does.
func written(ctx context.Context, fn func(w io.Writer)) io.ReadCloser {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	go func() {
		fn(w)
		w.CloseWithError(ctx.Err()) // nil is a proper end
	}()
	return r
}

func text(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

const (
	firstLine = `{"message":{"content":" a"},"done":false}` + "\n"
	lastLine  = `{"message":{"content":""},"done":true}` + "\n"
)

func ok(r *http.Request) (*http.Response, error) {
	return respond(200, nil, io.NopCloser(strings.NewReader(firstLine+lastLine))), nil
}

func wantTimeout(t *testing.T, err error, took, want time.Duration) {
	t.Helper()
	if rag.KindOf(err) != rag.Timeout || rag.CodeOf(err) != rag.CodeTimeout || took != want {
		t.Errorf("after %v, want %v: %v", took, want, err)
	}
}

func TestFirstByteIsWaitedForOnceAndForItsLimit(t *testing.T) {
	for name, server := range map[string]serverFunc{
		"no header": hang,
		"no body": func(r *http.Request) (*http.Response, error) {
			time.Sleep(100 * time.Second)
			return respond(200, nil, written(r.Context(), func(io.Writer) { <-r.Context().Done() })), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clientOf(t, DefaultConfig(), server)
				start := time.Now()
				_, _, err := post(t.Context(), c, "/api/chat", chatBody)
				wantTimeout(t, err, time.Since(start), 900*time.Second)
				if s := c.Stats()[0]; s.Breaker.Failures != 1 || s.InFlight != 0 {
					t.Errorf("got %+v", s)
				}
			})
		})
	}
}

func TestLookUpsDoNotWaitForAModelLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(t, DefaultConfig(), hang)
		start := time.Now()
		_, _, err := get(t.Context(), c, "/api/tags")
		wantTimeout(t, err, time.Since(start), 30*time.Second)
	})
}

func TestStallInMidStreamIsAFailureAfterTheIdleLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(t, DefaultConfig(), func(r *http.Request) (*http.Response, error) {
			return respond(200, nil, written(r.Context(), func(w io.Writer) {
				for range 10 { // slow, but alive
					time.Sleep(170 * time.Second)
					_, _ = io.WriteString(w, firstLine)
				}
				<-r.Context().Done()
			})), nil
		})
		start := time.Now()
		_, answer, err := post(t.Context(), c, "/api/chat", chatBody)
		wantTimeout(t, err, time.Since(start), 1880*time.Second)
		if strings.Count(answer, "\n") != 10 || c.Stats()[0].Breaker.Failures != 1 {
			t.Errorf("got %q, %+v", answer, c.Stats()[0].Breaker)
		}
	})
}

func TestSlowReaderIsNotAStalledServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(t, DefaultConfig(), ok)
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://ollama/api/chat", strings.NewReader(chatBody))
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for one := make([]byte, 1); err == nil; _, err = resp.Body.Read(one) {
			time.Sleep(time.Hour)
		}
		if err != io.EOF || c.Stats()[0].Breaker.Successes != 1 {
			t.Errorf("%v, %+v", err, c.Stats()[0].Breaker)
		}
	})
}

func TestPlaceIsHeldUntilTheBodyIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(t, DefaultConfig(), ok)
		req, _ := http.NewRequest(http.MethodPost, "http://ollama/api/chat", strings.NewReader(chatBody))
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if s := c.Stats()[0]; s.InFlight != 1 || s.Breaker.Successes+s.Breaker.Neutral != 0 {
			t.Errorf("before: %+v", s)
		}
		resp.Body.Close()
		resp.Body.Close()
		if s := c.Stats()[0]; s.InFlight != 0 || s.Breaker.Neutral != 1 || s.Breaker.Successes != 0 {
			t.Errorf("after: %+v", s)
		}
	})
}

func TestReaderThatStopsAtTheFinalMessageHadASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(t, DefaultConfig(), func(r *http.Request) (*http.Response, error) {
			return respond(200, nil, written(r.Context(), func(w io.Writer) {
				_, _ = io.WriteString(w, lastLine)
				<-r.Context().Done() // the end never comes
			})), nil
		})
		req, _ := http.NewRequest(http.MethodPost, "http://ollama/api/chat", strings.NewReader(chatBody))
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, len(lastLine))); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		resp.Body.Close()
		if s := c.Stats()[0]; s.Breaker.Successes != 1 || time.Since(start) > drainTime {
			t.Errorf("after %v: %+v", time.Since(start), s.Breaker)
		}
	})
}

// failing after n calls is how a server is that has no room for a while.
func busyFor(n int, header http.Header, seen *[]time.Time) serverFunc {
	return func(r *http.Request) (*http.Response, error) {
		*seen = append(*seen, time.Now())
		if len(*seen) > n {
			return ok(r)
		}
		return respond(503, header, io.NopCloser(strings.NewReader(`{"error":"server busy"}`))), nil
	}
}

func TestRetriesBackOffDoubling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []time.Time
		c := clientOf(t, DefaultConfig(), busyFor(3, nil, &seen))
		if status, _, err := post(t.Context(), c, "/api/chat", chatBody); status != 200 || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
		for i, want := range []time.Duration{600, 1200, 2400} {
			want *= time.Millisecond
			if got := seen[i+1].Sub(seen[i]); got < want*3/4 || got > want*5/4 {
				t.Errorf("wait %d: %v, want about %v", i+1, got, want)
			}
		}
	})
}

func TestRetryAfterIsHonouredWithinItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []time.Time
		c := clientOf(t, DefaultConfig(), busyFor(1, http.Header{"Retry-After": {"7"}}, &seen))
		if status, _, err := post(t.Context(), c, "/api/chat", chatBody); status != 200 || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
		if got := seen[1].Sub(seen[0]); got != 7*time.Second {
			t.Errorf("waited %v", got)
		}
		seen = nil
		c = clientOf(t, DefaultConfig(), busyFor(1, http.Header{"Retry-After": {"11"}}, &seen))
		if status, _, err := post(t.Context(), c, "/api/chat", chatBody); status != 503 || err != nil || len(seen) != 1 {
			t.Errorf("%d, %v, %d requests", status, err, len(seen))
		}
	})
}

func TestWaitForARetryEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []time.Time
		c := clientOf(t, DefaultConfig(), busyFor(9, http.Header{"Retry-After": {"9"}}, &seen))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, _, err := post(ctx, c, "/api/chat", chatBody)
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, _, err := post(ctx, c, "/api/chat", chatBody); rag.KindOf(err) != rag.Overloaded || time.Since(start) != 0 || len(seen) != 1 {
			t.Errorf("a wait that cannot pay must not be begun: after %v, %d requests, %v", time.Since(start), len(seen), err)
		}
	})
}

func TestCallersOwnTimeLimitSaysNothingAboutTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(t, DefaultConfig(), hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := post(ctx, c, "/api/chat", chatBody)
		if rag.CodeOf(err) != rag.CodeTimeout || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if s := c.Stats()[0].Breaker; s.Neutral != 1 || s.Failures != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestSlowFirstByteIsAFailureWhereConfiguredAndALongAnswerIsNot(t *testing.T) {
	for first, want := range map[time.Duration]breaker.Outcome{time.Second: breaker.Success, 11 * time.Second: breaker.Failure} {
		synctest.Test(t, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Breaker.SlowCall = 10 * time.Second
			c := clientOf(t, cfg, func(r *http.Request) (*http.Response, error) {
				return respond(200, nil, written(r.Context(), func(w io.Writer) {
					time.Sleep(first)
					_, _ = io.WriteString(w, firstLine)
					time.Sleep(time.Minute)
					_, _ = io.WriteString(w, lastLine)
				})), nil
			})
			if _, _, err := post(t.Context(), c, "/api/chat", chatBody); err != nil {
				t.Fatal(err)
			}
			s := c.Stats()[0]
			if counted(s.Outcomes, want.String()) != 1 || s.Breaker.Config.SlowCall != cfg.Breaker.SlowCall {
				t.Errorf("first byte after %v: %+v", first, s)
			}
		})
	}
}

func TestLoadingAModelIsNoSlowCall(t *testing.T) {
	for name, c := range map[string]struct {
		path, kind, answer string
		want               breaker.Outcome
	}{
		"streamed, it was the load":      {"/api/chat", "application/x-ndjson", firstLine + `{"done":true,"load_duration":55000000000}` + "\n", breaker.Success},
		"streamed, it was not the load":  {"/api/chat", "application/x-ndjson", firstLine + `{"done":true,"load_duration":5000000000}` + "\n", breaker.Failure},
		"at once, it was a long answer":  {"/api/chat", "application/json", `{"done":true,"load_duration":30000000000,"eval_duration":25000000000}`, breaker.Success},
		"at once, it was neither":        {"/api/chat", "application/json", `{"done":true,"load_duration":1,"eval_duration":25000000000}`, breaker.Failure},
		"at once, nobody knows":          {"/v1/chat/completions", "application/json", `{"choices":[]}`, breaker.Success},
		"vectors, it was the load":       {"/api/embed", "application/json", `{"embeddings":[[1,2]],"load_duration":55000000000}`, breaker.Success},
		"vectors, nobody knows but late": {"/v1/embeddings", "application/json", `{"data":[{"embedding":[1]}]}`, breaker.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := DefaultConfig()
				cfg.Breaker.SlowCall = 10 * time.Second
				up := clientOf(t, cfg, func(r *http.Request) (*http.Response, error) {
					time.Sleep(time.Minute)
					return respond(200, http.Header{"Content-Type": {c.kind}}, text(c.answer)), nil
				})
				if status, answer, err := post(t.Context(), up, c.path, chatBody); status != 200 || err != nil || answer != c.answer {
					t.Fatalf("%d %q, %v", status, answer, err)
				}
				if s := up.Stats()[0]; counted(s.Outcomes, c.want.String()) != 1 {
					t.Errorf("want %v: %v", c.want, s.Outcomes)
				}
			})
		})
	}
}

func TestOpenHostIsRefusedAtOnceAndAskedAgainInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		c := clientOf(t, DefaultConfig(), func(r *http.Request) (*http.Response, error) {
			if down {
				return nil, errors.New("connection reset by peer")
			}
			return ok(r)
		})
		for range 2 {
			_, _, _ = post(t.Context(), c, "/api/chat", chatBody)
		}
		start := time.Now()
		_, _, err := post(t.Context(), c, "/api/chat", chatBody)
		if rag.CodeOf(err) != rag.CodeCircuitOpen || time.Since(start) != 0 {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		down = false
		time.Sleep(c.Stats()[0].Breaker.RetryAfter)
		for range 2 {
			if status, _, err := post(t.Context(), c, "/api/chat", chatBody); status != 200 || err != nil {
				t.Fatalf("%d, %v", status, err)
			}
		}
		if s := c.Stats()[0].Breaker; s.State != breaker.Closed {
			t.Errorf("got %+v", s)
		}
	})
}

func TestWatchEndsTheOpenTimeOfAHostThatIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		server := func(r *http.Request) (*http.Response, error) {
			if down.Load() {
				return nil, errors.New("connection reset by peer")
			}
			return respond(200, http.Header{}, io.NopCloser(strings.NewReader(`{"version":"0.17.4"}`))), nil
		}
		cfg := DefaultConfig()
		cfg.Breaker.FailureThreshold = 1
		c := clientOf(t, cfg, server, hang)
		ctx, cancel := context.WithCancel(t.Context())
		go c.Watch(ctx)
		bad := func() breaker.State { return c.Stats()[0].Breaker.State }
		report, err := c.queue.lane(c.hosts[0], "m").allow()
		if err != nil {
			t.Fatal(err)
		}
		report(breaker.Failure, true, "")
		time.Sleep(5 * time.Second)
		if bad() != breaker.Open {
			t.Fatalf("%v while it is down", bad())
		}
		down.Store(false)
		time.Sleep(watchEvery)
		if bad() != breaker.HalfOpen {
			t.Errorf("%v when it is back", bad())
		}
		if s := c.Stats()[0].Breaker; s.Rejected+s.Successes+s.Neutral != 0 || s.Failures != 1 {
			t.Errorf("probes count in the breaker: %+v", s)
		}
		cancel()
		synctest.Wait()
	})
}
