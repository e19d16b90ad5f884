package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

const (
	lookEvery   = 10 * time.Second // several hosts are asked what they have and hold, while calls need to know
	lookTime    = 5 * time.Second  // bound of one such look
	firstLook   = 2 * time.Second  // the very first call waits no longer for it
	rememberFor = 10 * time.Minute // what a host had counts for this long after it last said so
	maxListed   = 4 << 20          // bytes of a list that are read for what they tell
	maxKnown    = 1000             // models of a host that are remembered
)

// knowledge is what one host said it has and holds in memory. It is learnt from every list that passes, whoever asked.
type knowledge struct {
	mu      sync.Mutex
	digests map[string]string // by model, from /api/tags
	listed  time.Time
	loaded  map[string]Loaded // by model, from /api/ps
	seen    time.Time
	version string
	down    bool // the last contact came to nothing
}

// Loaded is a model in a host's memory.
type Loaded struct {
	Name      string
	VRAM      int64 // bytes of it in the memory of graphics cards
	Size      int64 // bytes
	ExpiresAt time.Time
}

// learn reads a list that the host gave.
func (k *knowledge) learn(path string, body []byte) {
	switch path {
	case "/api/tags":
		var list wire.TagsResponse
		if json.Unmarshal(body, &list) != nil {
			return
		}
		digests := map[string]string{}
		for _, m := range list.Models[:min(len(list.Models), maxKnown)] {
			digests[strings.ToLower(m.Name)] = m.Digest
		}
		k.mu.Lock()
		k.digests, k.listed = digests, time.Now()
		k.mu.Unlock()
	case "/api/ps":
		var list wire.PsResponse
		if json.Unmarshal(body, &list) != nil {
			return
		}
		loaded := map[string]Loaded{}
		for _, m := range list.Models[:min(len(list.Models), maxKnown)] {
			loaded[strings.ToLower(m.Name)] = Loaded{Name: m.Name, VRAM: m.SizeVRAM, Size: m.Size, ExpiresAt: m.ExpiresAt}
		}
		k.mu.Lock()
		k.loaded, k.seen = loaded, time.Now()
		k.mu.Unlock()
	case "/api/version":
		var v wire.VersionResponse
		if json.Unmarshal(body, &v) == nil && len(v.Version) <= 40 {
			k.mu.Lock()
			k.version = strings.ToValidUTF8(v.Version, "?")
			k.mu.Unlock()
		}
	}
}

// met notes whether the host could be reached.
func (k *knowledge) met(reached bool) {
	k.mu.Lock()
	k.down = !reached
	k.mu.Unlock()
}

func (k *knowledge) away() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.down
}

// digest is that of the model; "" where the host is not known to have it. known says whether the host said what it has.
func (k *knowledge) digest(model string) (digest string, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listed.IsZero() || time.Since(k.listed) > rememberFor {
		return "", false
	}
	return k.digests[model], true
}

// resident says whether the host holds the model in memory, as far as is known.
func (k *knowledge) resident(model string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.loaded[model]
	return ok
}

// served notes that the host has just used the model: it is in memory, whatever the last list said.
func (k *knowledge) served(model string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.loaded[model]; ok || model == "" || len(k.loaded) >= maxKnown {
		return
	}
	if k.loaded == nil {
		k.loaded = map[string]Loaded{}
	}
	k.loaded[model] = Loaded{Name: model}
}

// listening gives a body that tells its owner's knowledge what has passed, once it has all passed.
type listening struct {
	io.ReadCloser
	heard []byte
	tell  func([]byte)
}

func (l *listening) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if len(l.heard)+n <= maxListed {
		l.heard = append(l.heard, p[:n]...)
	} else {
		l.tell = nil
	}
	if err == io.EOF && l.tell != nil { //nolint:errorlint // as it is from a body
		l.tell(l.heard)
		l.tell = nil
	}
	return n, err
}

// tells says whether the answer to a path says what a host has.
func tells(path string) bool {
	return path == "/api/tags" || path == "/api/ps" || path == "/api/version"
}

// look keeps what is known of several hosts fresh while calls come. The first call waits for it, a moment; later ones go by
// what was known.
func (c *Client) look(ctx context.Context) {
	if len(c.hosts) == 1 || !c.cfg.ollama() {
		return
	}
	c.looking.Lock()
	first := c.looked.IsZero()
	if first || time.Since(c.looked) >= lookEvery {
		c.looked = time.Now()
		done := make(chan struct{})
		if first {
			c.firstLook = done
		}
		go c.lookAtAll(done)
	}
	wait := c.firstLook
	c.looking.Unlock()
	select {
	case <-wait:
		return
	default:
	}
	timer := time.NewTimer(firstLook)
	defer timer.Stop()
	select {
	case <-wait:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (c *Client) lookAtAll(done chan<- struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	var all sync.WaitGroup
	for _, h := range c.hosts {
		for _, path := range []string{"/api/tags", "/api/ps"} {
			all.Go(func() { _, _ = c.fetch(ctx, h, path) })
		}
	}
	all.Wait()
	c.compare()
}

// fetch reads a look-up's answer from one host, past its breaker. What it says is learnt on the way.
func (c *Client) fetch(ctx context.Context, h *host, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ollama"+path, nil)
	if err != nil {
		return nil, err
	}
	r := c.attempt(&call{req: req, lookup: true}, seat{host: h})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		h.know.met(false)
		h.failure.note("timeout: no answer to GET " + path)
	}
	if r.err != nil {
		return nil, r.err
	}
	defer r.discard()
	if r.resp.StatusCode != http.StatusOK {
		return nil, rag.Errorf(rag.BadUpstream, "", "%s answers %s to GET %s", h.name(), r.resp.Status, path)
	}
	return io.ReadAll(io.LimitReader(r.resp.Body, maxListed))
}

// digest is the one that stands for a model's name: that of the first host that has it. Hosts that have another model
// under the same name are not asked for it.
func (c *Client) digest(model string) string {
	for _, h := range c.hosts {
		if d, _ := h.know.digest(model); d != "" {
			return d
		}
	}
	return ""
}

// strange says whether the host has another model under this name.
func (h *host) strange(model, digest string) bool {
	d, _ := h.know.digest(model)
	return digest != "" && d != "" && d != digest
}

// compare tells, once each, of names under which hosts have different models.
func (c *Client) compare() {
	for _, h := range c.hosts[1:] {
		h.know.mu.Lock()
		names := make([]string, 0, len(h.know.digests))
		for model := range h.know.digests {
			names = append(names, model)
		}
		h.know.mu.Unlock()
		for _, model := range names {
			if !h.strange(model, c.digest(model)) {
				continue
			}
			key := h.label + " " + model
			c.looking.Lock()
			told := c.told[key]
			c.told[key] = true
			c.looking.Unlock()
			if !told && c.cfg.OnMixed != nil {
				c.cfg.OnMixed(model, h.shown)
			}
		}
	}
}
