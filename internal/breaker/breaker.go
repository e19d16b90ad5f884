package breaker

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// halfOpenRetry is what a refusal in half_open advises: when a probe will end cannot be foreseen.
const halfOpenRetry = time.Second

// jitter is the largest share that is added to the open time of a reopening.
const jitter = 0.2

// Breaker lets calls through or refuses them, by what became of earlier ones. Its methods may be called from anywhere,
// any time.
type Breaker struct {
	name     string
	cfg      Config
	onChange []func(Change)

	mu        sync.Mutex
	state     State
	epoch     uint64    // grows with each change of state and each Reset
	changed   time.Time // of the last change
	opened    time.Time
	openUntil time.Time
	openings  int // in a row, without a full close between them
	failures  int // in a row
	successes int // in a row
	window    window
	probes    []*permit
	pending   []Change // to be told after unlocking

	counts      [3]uint64 // by Outcome
	rejected    uint64
	transitions [len(pairs)]uint64
	lastSuccess time.Time
	lastFailure time.Time
}

// permit is one leave that was given.
type permit struct {
	b        *Breaker
	epoch    uint64
	at       time.Time // read in half_open, and always if slow calls count
	reported bool
}

// New makes a closed breaker. cfg must be valid (see Config.Validate). onChange functions are told of every change, outside
// the lock, by the goroutine that caused or noticed it.
func New(name string, cfg Config, onChange ...func(Change)) *Breaker {
	if err := cfg.Validate(); err != nil {
		panic("breaker.New: " + err.Error())
	}
	return &Breaker{
		name: name, cfg: cfg, onChange: onChange, changed: time.Now(),
		window: window{failed: make([]bool, cfg.WindowSize)},
	}
}

// Allow asks leave for one call. With leave comes done, which must be told the call's outcome; only its first report
// counts, and only for the state that gave the leave. Without leave err is an *OpenError.
func (b *Breaker) Allow() (done func(Outcome), err error) {
	b.mu.Lock()
	defer b.unlock()
	b.catchUp()
	if b.state == Open {
		return nil, b.refuse(time.Until(b.openUntil))
	}
	if b.state == HalfOpen && len(b.probes) >= b.cfg.HalfOpenMaxCalls {
		return nil, b.refuse(halfOpenRetry)
	}
	p := &permit{b: b, epoch: b.epoch}
	if b.state == HalfOpen || b.cfg.SlowCall > 0 {
		p.at = time.Now()
	}
	if b.state == HalfOpen {
		b.probes = append(b.probes, p)
	}
	return p.done, nil
}

func (b *Breaker) refuse(retryAfter time.Duration) error {
	b.rejected++
	return &OpenError{Name: b.name, State: b.state, RetryAfter: retryAfter}
}

// done takes the outcome of the call. It counts every first report; it moves the machine only if the state that gave
// leave still stands and, for a probe, if its place was not given to another since.
func (p *permit) done(o Outcome) {
	b := p.b
	b.mu.Lock()
	defer b.unlock()
	b.catchUp()
	if p.reported {
		return
	}
	p.reported = true
	now := time.Now()
	if o == Success && b.cfg.SlowCall > 0 && now.Sub(p.at) > b.cfg.SlowCall {
		o = Failure
	}
	b.count(o, now)
	if p.epoch != b.epoch || b.state == HalfOpen && !b.leave(p) {
		return
	}
	switch o {
	case Success:
		b.succeed(now)
	case Failure:
		b.fail(now)
	}
}

func (b *Breaker) count(o Outcome, now time.Time) {
	b.counts[o]++
	switch o {
	case Success:
		b.lastSuccess = now
	case Failure:
		b.lastFailure = now
	}
}

// leave gives a probe's place back and says whether it still had one.
func (b *Breaker) leave(p *permit) bool {
	i := slices.Index(b.probes, p)
	if i < 0 {
		return false
	}
	b.probes = slices.Delete(b.probes, i, i+1)
	return true
}

func (b *Breaker) succeed(now time.Time) {
	b.failures = 0
	b.successes++
	if b.state == Closed {
		b.window.add(false)
	} else if b.successes >= b.cfg.SuccessThreshold {
		b.become(Closed, now)
	}
}

func (b *Breaker) fail(now time.Time) {
	b.successes = 0
	b.failures++
	if b.state == Closed {
		b.window.add(true)
	}
	if b.state == HalfOpen || b.failures >= b.cfg.FailureThreshold || b.window.bad(b.cfg.MinCalls, b.cfg.FailureRatio) {
		b.become(Open, now)
	}
}

// catchUp moves the machine to where the clock says it is: out of an open time that has passed, and probes that were
// forgotten out of their places.
func (b *Breaker) catchUp() {
	switch b.state {
	case Open:
		if !time.Now().Before(b.openUntil) {
			b.become(HalfOpen, b.openUntil)
		}
	case HalfOpen:
		if len(b.probes) > 0 {
			oldest := time.Now().Add(-b.cfg.ProbeTimeout)
			b.probes = slices.DeleteFunc(b.probes, func(p *permit) bool { return !p.at.After(oldest) })
		}
	}
}

// become changes the state as of the given moment.
func (b *Breaker) become(to State, at time.Time) {
	from := b.state
	b.state, b.changed = to, at
	b.epoch++
	b.probes = nil
	b.window.clear()
	b.successes = 0
	switch to {
	case Open:
		b.openings++
		b.opened, b.openUntil = at, at.Add(b.openTime())
	case Closed:
		b.openings, b.failures = 0, 0
	}
	for i, p := range pairs {
		if p == [2]State{from, to} {
			b.transitions[i]++
		}
	}
	if len(b.onChange) > 0 {
		b.pending = append(b.pending, Change{Name: b.name, From: from, To: to, At: at})
	}
}

// openTime is OpenTimeout for the first opening; each further one without a close between them doubles it up to
// MaxOpenTimeout and adds some jitter, so that many clients do not come back at once.
func (b *Breaker) openTime() time.Duration {
	if b.openings <= 1 {
		return b.cfg.OpenTimeout
	}
	d := b.cfg.OpenTimeout
	for range b.openings - 1 {
		if d >= b.cfg.MaxOpenTimeout/2 {
			d = b.cfg.MaxOpenTimeout
			break
		}
		d *= 2
	}
	return d + time.Duration(rand.Float64()*jitter*float64(d))
}

// unlock lets go of the lock and then tells of the changes that happened under it.
func (b *Breaker) unlock() {
	told := b.pending
	b.pending = nil
	b.mu.Unlock()
	for _, c := range told {
		for _, f := range b.onChange {
			f(c)
		}
	}
}

// State is where the breaker stands now.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.unlock()
	b.catchUp()
	return b.state
}

// Reset closes the breaker and forgets every run of outcomes; calls on their way no longer count. The totals stay.
// It is a transition like any other, unless the breaker is closed already.
func (b *Breaker) Reset() {
	b.mu.Lock()
	defer b.unlock()
	b.catchUp()
	if b.state != Closed {
		b.become(Closed, time.Now())
		return
	}
	b.epoch++
	b.failures, b.successes = 0, 0
	b.window.clear()
}

// EndOpenTime lets probes in at once, for whoever learnt by other ways that the server is back. It does nothing unless
// the breaker is open.
func (b *Breaker) EndOpenTime() {
	b.mu.Lock()
	defer b.unlock()
	b.catchUp()
	if b.state == Open {
		b.become(HalfOpen, time.Now())
	}
}

// Stats gives one picture: state, counts and times agree with each other.
func (b *Breaker) Stats() Stats {
	b.mu.Lock()
	defer b.unlock()
	b.catchUp()
	s := Stats{
		Name: b.name, State: b.state, Config: b.cfg,
		Successes: b.counts[Success], Failures: b.counts[Failure], Neutral: b.counts[Neutral], Rejected: b.rejected,
		Transitions:         make([]Transition, len(pairs)),
		ConsecutiveFailures: b.failures, ConsecutiveSuccesses: b.successes, Probes: len(b.probes),
		LastChange: b.changed, OpenedAt: b.opened, LastSuccess: b.lastSuccess, LastFailure: b.lastFailure,
	}
	for i, p := range pairs {
		s.Transitions[i] = Transition{From: p[0], To: p[1], Count: b.transitions[i]}
	}
	if b.state == Open {
		s.RetryAfter = time.Until(b.openUntil)
	}
	return s
}
