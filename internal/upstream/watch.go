package upstream

import (
	"context"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
)

// watchEvery is how often an open host is asked whether it is back.
const watchEvery = 2 * time.Second

// Watch asks open hosts for their version until ctx ends. A good answer after a bad one in the same open time ends that
// time at once. With one host it does nothing: there the open time stands.
func (c *Client) Watch(ctx context.Context) {
	if len(c.hosts) == 1 || !c.cfg.BreakerEnabled {
		return
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	down := map[*host]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, h := range c.hosts {
			if h.breaker.State() != breaker.Open {
				delete(down, h)
				continue
			}
			c.watch(ctx, h, down)
		}
	}
}

// watch asks one host. One that answers all the time it is open fails at something else, and its open time stands.
func (c *Client) watch(ctx context.Context, h *host, down map[*host]bool) {
	ctx, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	_, err := c.probe(ctx, h)
	switch {
	case err != nil:
		down[h] = true
	case down[h]:
		delete(down, h)
		h.breaker.EndOpenTime()
	}
}
