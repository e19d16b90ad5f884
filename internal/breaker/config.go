package breaker

import (
	"errors"
	"fmt"
	"time"
)

// Config is what a breaker goes by. DefaultConfig has values for all of it.
type Config struct {
	FailureThreshold int           // failures in a row that open it
	OpenTimeout      time.Duration // how long the first opening lasts, exactly
	MaxOpenTimeout   time.Duration // bound of the doubling with each reopening, before up to 20 % of jitter
	SuccessThreshold int           // successes in a row that close it from half_open
	HalfOpenMaxCalls int           // probes on their way at once in half_open
	WindowSize       int           // last calls, while closed, that the failure ratio looks at
	MinCalls         int           // calls that the window must hold before the ratio may open it
	FailureRatio     float64       // share of failures in the window that opens it, above 0 and at most 1
	SlowCall         time.Duration // a success that took longer counts as a failure; 0 is off
	ProbeTimeout     time.Duration // after this a probe that never reported gives its place back
}

// DefaultConfig is the behaviour that docs and alerts speak of.
func DefaultConfig() Config {
	return Config{
		FailureThreshold: 5,
		OpenTimeout:      30 * time.Second,
		MaxOpenTimeout:   300 * time.Second,
		SuccessThreshold: 2,
		HalfOpenMaxCalls: 3,
		WindowSize:       10,
		MinCalls:         10,
		FailureRatio:     0.5,
		ProbeTimeout:     20 * time.Minute, // beyond the coldest model load (900 s) and an answer after it
	}
}

// Validate names everything that cannot work, each with its value and what is allowed; nil if all is well.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, name string, value any, allowed string) {
		if !ok {
			faults = append(faults, fmt.Errorf("breaker %s is %v: must be %s", name, value, allowed))
		}
	}
	check(c.FailureThreshold >= 1, "FailureThreshold", c.FailureThreshold, "1 or more")
	check(c.OpenTimeout > 0, "OpenTimeout", c.OpenTimeout, "above 0s")
	check(c.MaxOpenTimeout >= c.OpenTimeout, "MaxOpenTimeout", c.MaxOpenTimeout,
		fmt.Sprintf("at least OpenTimeout, which is %v", c.OpenTimeout))
	check(c.SuccessThreshold >= 1, "SuccessThreshold", c.SuccessThreshold, "1 or more")
	check(c.HalfOpenMaxCalls >= 1, "HalfOpenMaxCalls", c.HalfOpenMaxCalls, "1 or more, or it could never close again")
	check(c.WindowSize >= 1, "WindowSize", c.WindowSize, "1 or more")
	check(c.MinCalls >= 1 && c.MinCalls <= c.WindowSize, "MinCalls", c.MinCalls,
		fmt.Sprintf("between 1 and WindowSize, which is %d, or the failure ratio could never open it", c.WindowSize))
	check(c.FailureRatio > 0 && c.FailureRatio <= 1, "FailureRatio", c.FailureRatio, "above 0 and at most 1")
	check(c.SlowCall >= 0, "SlowCall", c.SlowCall, "0s (off) or more")
	check(c.ProbeTimeout > 0, "ProbeTimeout", c.ProbeTimeout, "above 0s, or a forgotten probe would hold its place for ever")
	return errors.Join(faults...)
}
