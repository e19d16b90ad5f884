// Package breaker is the circuit breaker's state machine and nothing else: it knows neither HTTP, nor what an outcome
// means, nor who counts it.
//
//	         5 failures in a row, or half of the last 10 calls
//	closed ─────────────────────────────────────────────────────▶ open
//	   ▲                                                          │  ▲
//	   │ 2 successes in a row           open time has passed      │  │ one failed probe
//	   └─────────────────────────── half_open ◀───────────────────┘  │ (open time doubles)
//	                                    └────────────────────────────┘
//
// Leave and outcome are one value: Allow gives a done function that reports exactly once, is stamped with the epoch of
// the state that admitted it, and is void afterwards. So a slow call that was let in while closed can neither open,
// close nor reset anything later, and nobody can report twice.
//
// There is no timer. Whoever asks, for leave or for the figures, first moves the machine to where the clock says it
// is; an open breaker whose time has passed is half_open for everybody at once, and the moment of that change is the end
// of the open time, whoever asks first and however late.
//
// Places in half_open belong to probes that are on their way. A probe gives its place back by any outcome, Neutral
// (the client went away) included; one that never reports loses its place after Config.ProbeTimeout. So no history can
// lock the breaker: it refuses for ever only if the server fails for ever.
//
// Each Allow allocates the permit behind its done function. Recycling permits would save that and would make a late
// report hit a stranger's call; the allocation is the price of law 3.
package breaker
