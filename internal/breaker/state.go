package breaker

import (
	"fmt"
	"time"
)

// State is where the machine stands. Its numbers are those of the metric circuit_breaker_state.
type State int

// The states.
const (
	Closed   State = 0 // calls pass
	Open     State = 1 // calls are refused
	HalfOpen State = 2 // a few probes pass
)

// String is the state's name in API and metrics.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Outcome is what a call's done function reports.
type Outcome int

// The outcomes. Neutral says nothing about the server: the client went away, or made the mistake itself.
const (
	Neutral Outcome = iota
	Success
	Failure
)

// String is the outcome's name.
func (o Outcome) String() string {
	return [...]string{"neutral", "success", "failure"}[o]
}

// OpenError is a refusal. It costs no network and tells when to come back.
type OpenError struct {
	Name       string
	State      State         // Open, or HalfOpen when every probe's place is taken
	RetryAfter time.Duration // until the next probe is let in; in half_open a guess
}

// Error says which breaker refused and why.
func (e *OpenError) Error() string {
	if e.State == HalfOpen {
		return fmt.Sprintf("circuit breaker %s is HALF_OPEN: max calls reached, probes are on their way", e.Name)
	}
	return fmt.Sprintf("circuit breaker %s is OPEN: next try in %v", e.Name, e.RetryAfter.Round(time.Millisecond))
}

// Change is one transition.
type Change struct {
	Name     string
	From, To State
	At       time.Time
}

// Transition counts the changes of one kind.
type Transition struct {
	From, To State
	Count    uint64
}

// pairs are all changes that can happen; open to closed only by Reset.
var pairs = [...][2]State{
	{Closed, Open}, {Open, HalfOpen}, {HalfOpen, Closed}, {HalfOpen, Open}, {Open, Closed},
}

// Stats is one consistent picture of a breaker.
type Stats struct {
	Name                 string
	State                State
	Successes            uint64 // calls that reported Success in time
	Failures             uint64 // calls that reported Failure, or a Success slower than SlowCall
	Neutral              uint64 // calls that were decided to say nothing
	Rejected             uint64 // calls that got no leave
	Transitions          []Transition
	ConsecutiveFailures  int
	ConsecutiveSuccesses int
	Probes               int           // on their way in half_open
	LastChange           time.Time     // creation time at the start
	OpenedAt             time.Time     // of the current or last opening; zero if it never opened
	LastSuccess          time.Time     // zero if there was none
	LastFailure          time.Time     // zero if there was none
	RetryAfter           time.Duration // until the next probe is let in; 0 unless open
	Config               Config
}

// Changes is the number of transitions of all kinds.
func (s Stats) Changes() uint64 {
	var n uint64
	for _, t := range s.Transitions {
		n += t.Count
	}
	return n
}
