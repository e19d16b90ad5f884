package upstream

import (
	"context"
	"sync"
	"time"
)

// watchEvery is how often an open host is asked whether it is back.
const watchEvery = 2 * time.Second

// Watch asks hosts that are open or could not be reached for their version until ctx ends, so that a host that comes back is
// used at once. A good answer after a bad one in the same open time ends that time. With one host it does nothing: there the
// open time stands, and whether it can be reached its next caller finds out.
func (c *Client) Watch(ctx context.Context) {
	if len(c.hosts) == 1 || !c.cfg.ollama() {
		return
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var all sync.WaitGroup
		for _, h := range c.hosts {
			if h.open() || h.know.away() {
				all.Go(func() { c.watch(ctx, h) })
			}
		}
		all.Wait()
	}
}

// watch asks one host. One that answers all the time it is open fails at something else, and its open time stands.
func (c *Client) watch(ctx context.Context, h *host) {
	ctx, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	was := h.know.away()
	if _, err := c.probe(ctx, h); err == nil && was {
		h.breaker.EndOpenTime()
	}
}
