package cache

import "container/heap"

// What leaves first, where room is needed, is what is worth least by GreedyDual-Size (P. Cao and S. Irani, Cost-Aware WWW Proxy
// Caching Algorithms, USENIX Symposium on Internet Technologies and Systems, 1997): an entry is worth what making it again costs, in
// seconds a byte, on top of what was evicted last was worth. What is not used is overtaken as that floor rises, so that nothing stays
// for ever by being dear; where all cost and take the same, the order is that of the last use.

// use marks an entry as used now.
func (c *Cache) use(e *entry) {
	c.price(e)
	heap.Fix(&c.worth, e.place)
}

func (c *Cache) rank(e *entry) {
	c.price(e)
	heap.Push(&c.worth, e)
}

func (c *Cache) unrank(e *entry) { heap.Remove(&c.worth, e.place) }

func (c *Cache) price(e *entry) {
	c.uses++
	e.used, e.worth = c.uses, c.floor+e.cost/float64(e.bytes)
}

// room makes room for so many more entries and bytes within the bounds: first what is too old goes.
func (c *Cache) room(entries int, bytes int64) {
	many := func() bool { return len(c.entries)+entries > c.config.Size }
	if !many() && !c.outgrows(c.bytes+bytes) {
		return
	}
	c.expire()
	for len(c.entries) > 0 && (many() || c.outgrows(c.bytes+bytes)) {
		if many() {
			c.evicted.Add(1)
		} else {
			c.outgrown.Add(1)
		}
		if first := c.spare.Front(); first != nil {
			c.remove(first.Value.(*entry))
			continue
		}
		e := c.worth[0]
		c.floor = e.worth
		c.remove(e)
	}
}

// outgrows says whether so many bytes are more than there may be.
func (c *Cache) outgrows(bytes int64) bool { return c.config.Bytes > 0 && bytes > c.config.Bytes }

// expire puts what is too old aside, for when no model answers, and removes what is too old for that.
func (c *Cache) expire() {
	for first := c.made.Front(); first != nil && c.old(first.Value.(*entry)); first = c.made.Front() {
		e := first.Value.(*entry)
		c.made.Remove(first)
		c.unshelve(e)
		e.turn = c.spare.PushBack(e)
	}
	for first := c.spare.Front(); first != nil && c.dead(first.Value.(*entry)); first = c.spare.Front() {
		c.remove(first.Value.(*entry))
		c.expired.Add(1)
	}
}

// renew takes back what was put aside and is not too old by new bounds.
func (c *Cache) renew() {
	for last := c.spare.Back(); last != nil && !c.old(last.Value.(*entry)); last = c.spare.Back() {
		e := last.Value.(*entry)
		c.spare.Remove(last)
		c.shelve(e)
		e.turn = c.made.PushFront(e)
	}
}

// dead says whether an entry is too old to be served even where no model answers.
func (c *Cache) dead(e *entry) bool { return c.now().Sub(e.made) > c.config.TTL+c.config.StaleIfError }

func (c *Cache) old(e *entry) bool { return c.now().Sub(e.made) > c.config.TTL }

// byWorth is a heap of entries, the one that is worth least and, of these, was used least recently first.
type byWorth []*entry

func (h byWorth) Len() int { return len(h) }

func (h byWorth) Less(i, j int) bool {
	if h[i].worth != h[j].worth {
		return h[i].worth < h[j].worth
	}
	return h[i].used < h[j].used
}

func (h byWorth) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *byWorth) Push(x any) {
	e := x.(*entry)
	e.place = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *byWorth) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil // or what was removed stays in memory
	*h = (*h)[:last]
	return e
}
