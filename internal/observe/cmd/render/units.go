package main

import (
	"math"
	"strconv"
)

// scale is a unit and from which value on it is used.
type scale struct {
	from   float64
	suffix string
}

var (
	times  = []scale{{86400, " d"}, {3600, " h"}, {60, " min"}, {1, " s"}, {1e-3, " ms"}, {0, " µs"}}
	sizes  = []scale{{1 << 30, " GiB"}, {1 << 20, " MiB"}, {1 << 10, " KiB"}, {0, " B"}}
	counts = []scale{{1e9, " G"}, {1e6, " M"}, {1e3, " K"}, {0, ""}}
)

// format writes a value in one of Grafana's units, roughly as Grafana does.
func format(v float64, unit string) string {
	switch unit {
	case "s":
		if v == 0 {
			return "0 s"
		}
		return scaled(v, times, 1e-6)
	case "bytes":
		return scaled(v, sizes, 1)
	case "percentunit":
		return digits(v*100) + " %"
	case "reqps":
		return scaled(v, counts, 1) + " req/s"
	case "cps":
		return scaled(v, counts, 1) + " c/s"
	case "none":
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return scaled(v, counts, 1)
}

func scaled(v float64, scales []scale, least float64) string {
	for _, s := range scales {
		if math.Abs(v) >= s.from {
			return digits(v/max(s.from, least)) + s.suffix
		}
	}
	return digits(v)
}

// digits keeps three of them.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || a == math.Trunc(a):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= .01:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}
