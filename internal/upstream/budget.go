package upstream

import "sync"

// The retry budget: however many calls fail, retries add at most a fifth to the load, beyond a first handful.
const (
	budgetStart = 10.0
	budgetCall  = 0.2 // what each call adds
)

// budget is a token bucket of retries that is filled by calls, not by time.
type budget struct {
	mu     sync.Mutex
	tokens float64
}

func newBudget() *budget { return &budget{tokens: budgetStart} }

// call adds what one call earns; the bucket never holds more than it began with.
func (b *budget) call() {
	b.mu.Lock()
	b.tokens = min(budgetStart, b.tokens+budgetCall)
	b.mu.Unlock()
}

// spend takes one retry out, if there is one.
func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
