package live

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/ingest"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/upstream"
)

// Look says how bad something is.
type Look string

// From what nobody need look at to what keeps people from being served.
const (
	Good Look = "good"
	Warn Look = "warn"
	Bad  Look = "bad"
)

// Finding is something that an operator should know, in words.
type Finding struct {
	Look Look   `json:"look"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"` // what to do
}

// What is worth saying. The times are those of a person who looks at the page during an incident.
const (
	recent         = time.Minute      // of failures, refusals and latencies
	lately         = 10 * time.Minute // of files that could not be read
	failuresWorth  = 3                // failed requests, at least
	failureShare   = .05              // of requests, at least
	degradedShare  = .1               // of questions, at least
	slowFirstWord  = 10.0             // seconds, of the 95th percentile
	longWait       = time.Minute      // with calls in line all the time
	oldJob         = 10 * time.Minute // an ingest job that waits
	flappingWithin = lately           // changes of one breaker
	flapping       = 3                // of these that open it, at least: an outage opens it once, and its probes are no more of them
)

// state is everything that findings are made from.
type state struct {
	at      time.Time
	store   error
	hosts   []upstream.HostStats
	cache   rag.CacheStats
	ingest  ingest.Stats
	samples []sample
	changes []breaker.Change
}

// findings are what is wrong, the worst first.
func (s *state) findings() []Finding {
	out := []Finding{}
	for _, look := range []func() []Finding{s.ofStore, s.ofHosts, s.ofRequests, s.ofQueue, s.ofModels, s.ofLatency, s.ofIngest, s.ofCache} {
		out = append(out, look()...)
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return rank(a.Look) - rank(b.Look) })
	return out
}

func rank(l Look) int { return slices.Index([]Look{Bad, Warn, Good}, l) }

// status is the picture in one sentence.
func (s *state) status(findings []Finding) Finding {
	if len(findings) == 0 {
		return Finding{Look: Good, Text: "All is well.", Hint: s.summary()}
	}
	return Finding{Look: findings[0].Look, Text: findings[0].Text, Hint: findings[0].Hint}
}

func (s *state) summary() string {
	now, before := s.last(recent)
	if now == nil {
		return "The first figures come in a few seconds."
	}
	parts := []string{}
	if n := requests(now) - requests(before); n > 0 {
		parts = append(parts, count(n, "request")+" in the last minute")
	} else {
		parts = append(parts, "no requests in the last minute")
	}
	if p := quantile(.5, now.flow.First, before.flow.First); !math.IsNaN(p) {
		parts = append(parts, "the first word after "+seconds(p))
	}
	if hits, asked := s.hits(now, before); asked > 0 {
		parts = append(parts, fmt.Sprintf("%.0f %% from the cache", 100*hits/asked))
	}
	text := strings.Join(parts, ", ")
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func (s *state) hits(now, before *sample) (hits, asked float64) {
	hits = float64(now.exact + now.semantic - before.exact - before.semantic)
	return hits, hits + float64(now.misses-before.misses)
}

// last is the newest sample and the one that was taken so long before it, or the first; nil before there is one.
func (s *state) last(ago time.Duration) (now, before *sample) {
	if len(s.samples) == 0 {
		return nil, nil
	}
	now = &s.samples[len(s.samples)-1]
	for i := range s.samples {
		if now.at.Sub(s.samples[i].at) <= ago+Every/2 {
			return now, &s.samples[i]
		}
	}
	return now, now
}

func requests(s *sample) float64 {
	total := 0.0
	for _, n := range s.flow.Requests {
		total += n
	}
	return total
}

func (s *state) ofStore() []Finding {
	if s.store == nil {
		return nil
	}
	return []Finding{{Bad, "The store does not answer: nothing can be asked or taken in.", "Look at the disk of the data folder, and at the log."}}
}

// standing says how a model host stands.
func standing(h *upstream.HostStats) (Look, string) {
	switch b := h.Breaker; {
	case h.BreakerEnabled && b.State == breaker.Open:
		return Bad, "is cut off, tried again " + in(b.RetryAfter)
	case h.BreakerEnabled && b.State == breaker.HalfOpen:
		return Warn, "is tried again with a few calls"
	case h.Down:
		return Bad, "does not answer"
	case h.Requests == 0:
		return Good, "was not asked yet"
	case h.Cooling:
		return Warn, "is asked last: it failed a moment ago"
	}
	return Good, "answers"
}

func (s *state) ofHosts() []Finding {
	down := []string{}
	known := false // whether any of them ever answered
	for i := range s.hosts {
		h := &s.hosts[i]
		known = known || h.Version != "" || h.Breaker.Successes > 0
		if look, says := standing(h); look == Bad {
			down = append(down, fmt.Sprintf("%s (%s) %s%s", h.Label, h.URL, says, why(h.LastFailure)))
		}
	}
	list := strings.Join(down, "; ")
	switch {
	case len(down) == 0:
		return nil
	case len(down) < len(s.hosts):
		return []Finding{{Warn, fmt.Sprintf("%d of %s down: %s. The others serve.", len(down), count(float64(len(s.hosts)), "model host"), list), "Look at the log of that host's Ollama. Nothing has to be reset here: it is in use again as soon as it answers."}}
	case !known:
		return []Finding{{Warn, "No model server is there: questions are answered with quoted passages.", "Start Ollama (`ollama serve`), or name its address in OLLAMA_BASE_URL."}}
	}
	return []Finding{{Bad, "No model server answers: " + list + ". Questions get kept answers or quoted passages; the gateway answers 503.", "Look whether Ollama runs (`ollama ps` on its machine) and at its log. The next try comes by itself; once Ollama is back, `POST /breakers/reset` on DEBUG_ADDR brings it at once."}}
}

func (s *state) ofRequests() []Finding {
	now, before := s.last(recent)
	if now == nil {
		return nil
	}
	var out []Finding
	all, failed := requests(now)-requests(before), now.flow.Requests[5]-before.flow.Requests[5]
	if failed >= failuresWorth && failed >= failureShare*all {
		out = append(out, Finding{Bad, fmt.Sprintf("%.0f of %s failed in the last minute.", failed, count(all, "request")), "The log has a line for each, with the stage that failed."})
	}
	questions := 0.0
	for outcome, n := range now.flow.Questions {
		questions += n - before.flow.Questions[outcome]
	}
	degraded := now.flow.Questions["degraded"] - before.flow.Questions["degraded"]
	if degraded >= failuresWorth && degraded >= degradedShare*questions {
		out = append(out, Finding{Warn, fmt.Sprintf("%.0f of %s got quoted passages instead of a model's answer in the last minute.", degraded, count(questions, "question")), "Each such answer says why in degraded_reason."})
	}
	return out
}

func (s *state) ofQueue() []Finding {
	now, before := s.last(recent)
	if now == nil {
		return nil
	}
	var out []Finding
	if n := now.rejected - before.rejected; n > 0 {
		out = append(out, Finding{Bad, fmt.Sprintf("%s got no place on a model host in the last minute.", count(float64(n), "call")), "The hosts have less room than is asked for: add one to OLLAMA_BASE_URL, raise OLLAMA_NUM_PARALLEL there, or take a smaller model."})
	}
	least := uint64(math.MaxUint64)
	for i := len(s.samples) - 1; i >= 0 && now.at.Sub(s.samples[i].at) <= longWait; i-- {
		least = min(least, s.samples[i].chat+s.samples[i].embedding)
	}
	if waiting := now.chat + now.embedding; least > 0 && now.at.Sub(s.samples[0].at) >= longWait {
		out = append(out, Finding{Warn, fmt.Sprintf("%s for a place on a model host, and some have all the last minute; the hosts do %d at once.", waits(waiting), now.places), "Answers come late. More hosts or a smaller model make room."})
	}
	return out
}

func waits(n uint64) string {
	if n == 1 {
		return "1 call waits"
	}
	return fmt.Sprintf("%d calls wait", n)
}

func (s *state) ofModels() []Finding {
	var out []Finding
	for _, h := range s.hosts {
		for _, m := range h.Models {
			if h.BreakerEnabled && m.Breaker.State == breaker.Open {
				out = append(out, Finding{Warn, fmt.Sprintf("Calls of the model %s on %s are refused, tried again %s: it failed while others answered%s.", m.Name, h.Label, in(m.Breaker.RetryAfter), why(m.LastFailure)), "Try it on that host: `ollama run " + m.Name + "`."})
			}
		}
	}
	changes := map[string]int{}
	for _, c := range s.changes {
		if c.From == breaker.Closed && c.To == breaker.Open && s.at.Sub(c.At) <= flappingWithin {
			if changes[c.Name]++; changes[c.Name] == flapping {
				out = append(out, Finding{Warn, fmt.Sprintf("%s opens and closes again and again.", c.Name), "Its host answers some calls and fails others: look at its log, and at its memory."})
			}
		}
	}
	return out
}

func (s *state) ofLatency() []Finding {
	now, before := s.last(recent)
	if now == nil {
		return nil
	}
	if p := quantile(.95, now.flow.First, before.flow.First); p > slowFirstWord {
		return []Finding{{Warn, fmt.Sprintf("The first word takes %s (95th percentile of the last minute).", seconds(p)), "A model that is loaded anew each time (OLLAMA_KEEP_ALIVE on its host), or too large for its memory, is the usual reason."}}
	}
	return nil
}

func (s *state) ofIngest() []Finding {
	var out []Finding
	if !s.ingest.OldestQueued.IsZero() {
		if age := s.at.Sub(s.ingest.OldestQueued); age > oldJob {
			out = append(out, Finding{Warn, fmt.Sprintf("An ingest job has waited for %.0f minutes.", age.Minutes()), "`ollama-rag jobs` shows what is before it."})
		}
	}
	now, before := s.last(lately)
	if now != nil && now.skipped > before.skipped {
		out = append(out, Finding{Warn, count(float64(now.skipped-before.skipped), "file") + " could not be read in the last 10 minutes.", "`ollama-rag jobs` names each with the reason."})
	}
	return out
}

func (s *state) ofCache() []Finding {
	c := s.cache.Contract
	if !s.cache.Enabled || c.Tier != rag.TierClosed {
		return nil
	}
	return []Finding{{Warn, fmt.Sprintf("Similar questions are not answered from the cache: %d of %d answers that were made again differed.", c.Different, c.Compared), "It opens by itself once enough of them agree. `ollama-rag cache explain QUESTION` shows single cases."}}
}

// maxWhy is how many characters of a failure a sentence has room for.
const maxWhy = 80

// why is what was failed with last, as the end of a sentence.
func why(f upstream.Failure) string {
	switch text := []rune(f.Text); {
	case len(text) == 0:
		return ""
	case len(text) > maxWhy:
		return " (" + string(text[:maxWhy]) + "…)"
	}
	return " (" + f.Text + ")"
}

func count(n float64, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%.0f %ss", n, of)
}

func in(d time.Duration) string {
	if d <= 0 {
		return "with the next call"
	}
	return fmt.Sprintf("in %.0f s", math.Ceil(d.Seconds()))
}

func seconds(s float64) string {
	switch {
	case s < 1:
		return fmt.Sprintf("%.0f ms", s*1000)
	case s >= 90:
		return fmt.Sprintf("%.0f minutes", s/60)
	}
	return fmt.Sprintf("%.1f s", s)
}
