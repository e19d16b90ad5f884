package rag

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// CacheControl is what a request asks of caches, in the words of HTTP (RFC 9111, section 5.2.1).
type CacheControl struct {
	NoCache, NoStore, OnlyIfCached bool
	MaxAge                         time.Duration // 0: any
}

// maxAgeSeconds is the largest max-age that is told apart from no bound at all.
const maxAgeSeconds = math.MaxInt32

// ParseCacheControl reads the directives that there are; others are passed over. An age that cannot be read asks for a fresh answer,
// and so does an age of 0.
func ParseCacheControl(header []string) CacheControl {
	var c CacheControl
	for directive := range strings.SplitSeq(strings.Join(header, ","), ",") {
		name, value, _ := strings.Cut(directive, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "no-cache":
			c.NoCache = true
		case "no-store":
			c.NoStore = true
		case "only-if-cached":
			c.OnlyIfCached = true
		case "max-age":
			age, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if errors.Is(err, strconv.ErrRange) {
				age, err = maxAgeSeconds, nil
			}
			switch asked := time.Duration(age) * time.Second; {
			case err != nil || age == 0:
				c.NoCache = true
			case c.MaxAge == 0 || asked < c.MaxAge:
				c.MaxAge = asked
			}
		}
	}
	return c
}
