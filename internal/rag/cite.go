package rag

import (
	"regexp"
	"strconv"
	"strings"
)

// The least share of a claim's content words that its passage must hold for the claim to count as supported, and the least
// share for a passage to be named for a sentence that cites nothing.
const (
	supportShare     = 0.5
	inferredShare    = 0.6
	minInferredWords = 4 // a shorter sentence is found anywhere
)

var marker = regexp.MustCompile(`\[(\d{1,4}(?:\s*[,;]\s*\d{1,4})*)\]`)

// Cite maps the markers [n] of an answer to the passages it was shown. Each number is named once, in order of first
// appearance; numbers that name no passage are left out. A passage cited for several claims is supported only if all of
// them are, and the claim shown is then the one that is not. Where the answer holds no usable marker at all, sentences that
// a passage clearly covers are cited as inferred.
func Cite(answer string, hits []Hit) []Citation {
	var out []Citation
	at := map[int]int{} // n -> index in out
	for _, sentence := range citedSentences(answer) {
		for _, n := range sentence.numbers {
			if n < 1 || n > len(hits) {
				continue
			}
			c := citation(n, hits[n-1], sentence.claim)
			i, seen := at[n]
			switch {
			case !seen:
				at[n] = len(out)
				out = append(out, c)
			case out[i].Verdict == Supported && c.Verdict == Unsupported:
				out[i] = c
			}
		}
	}
	if len(out) == 0 {
		return inferCitations(answer, hits)
	}
	return out
}

type citedSentence struct {
	claim   string
	numbers []int
}

// citedSentences splits an answer into its claims with the numbers cited for each. A marker that stands after a full stop
// belongs to the sentence before it; one that begins a line of words belongs to that line.
func citedSentences(answer string) []citedSentence {
	var out []citedSentence
	last := 0
	for _, s := range sentences(answer) {
		text := answer[s.Start:s.End]
		newLine := strings.Contains(answer[last:s.Start], "\n")
		last = s.End
		var numbers []int
		for _, m := range marker.FindAllStringSubmatch(text, -1) {
			for _, field := range strings.FieldsFunc(m[1], func(r rune) bool { return r < '0' || r > '9' }) {
				if n, err := strconv.Atoi(field); err == nil {
					numbers = append(numbers, n)
				}
			}
		}
		claim := claimOf(text)
		if loc := marker.FindStringIndex(text); loc != nil && loc[0] == 0 && len(out) > 0 && (claim == "" || !newLine) {
			trailing := leadingNumbers(text)
			out[len(out)-1].numbers = append(out[len(out)-1].numbers, numbers[:trailing]...)
			numbers = numbers[trailing:]
		}
		if claim != "" {
			out = append(out, citedSentence{claim, numbers})
		}
	}
	return out
}

// leadingNumbers counts the numbers in the markers that text begins with, before any word.
func leadingNumbers(text string) int {
	n := 0
	for {
		loc := marker.FindStringIndex(text)
		if loc == nil || strings.Trim(text[:loc[0]], " .,;") != "" {
			return n
		}
		n += len(strings.FieldsFunc(text[loc[0]:loc[1]], func(r rune) bool { return r < '0' || r > '9' }))
		text = text[loc[1]:]
	}
}

// claimOf is a sentence without its markers; empty where nothing but markers and punctuation is left.
func claimOf(sentence string) string {
	claim := strings.TrimSpace(marker.ReplaceAllString(sentence, ""))
	if len(words(claim)) == 0 {
		return ""
	}
	return claim
}

func citation(n int, h Hit, claim string) Citation {
	want := contentWords(claim)
	c := place(n, h, want)
	c.Claim = claim
	c.Verdict = Unsupported
	if supports(h.Passage, want) {
		c.Verdict = Supported
	}
	return c
}

// supports says whether the passage holds most of the claim's words and every one of its numbers.
func supports(p Passage, claim []string) bool {
	have := setOf(words(p.Heading + "\n" + p.Text))
	for _, w := range claim {
		if isNumber(w) && !have[w] {
			return false
		}
	}
	return overlap(claim, func(w string) bool { return have[w] }) >= supportShare
}

// place fills a citation with the passage and the sentence of it that fits the wanted words best.
func place(n int, h Hit, want []string) Citation {
	span, _ := bestSentence(h.Passage.Text, want)
	return placed(n, h, span)
}

// placed fills a citation with the passage and a span of its text.
func placed(n int, h Hit, span Span) Citation {
	p := h.Passage
	return Citation{
		N: n, Passage: p.ID, DocumentID: p.Document, Source: p.Source, Title: p.Title, Heading: p.Heading, Page: p.Page,
		Start: p.Span.Start + span.Start, End: p.Span.Start + span.End, Quote: p.Text[span.Start:span.End], Hash: p.Hash,
	}
}

// inferCitations names, for an answer that cites nothing, the passage that covers each sentence best.
func inferCitations(answer string, hits []Hit) []Citation {
	have := make([]map[string]bool, len(hits))
	for i, h := range hits {
		have[i] = setOf(words(h.Passage.Heading + "\n" + h.Passage.Text))
	}
	var out []Citation
	named := map[int]bool{}
	fenced := false
	for _, s := range sentences(answer) {
		line := answer[s.Start:s.End]
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		claim := claimOf(line)
		want := contentWords(claim)
		if fenced || len(want) < minInferredWords {
			continue
		}
		best, share := -1, inferredShare
		for i := range hits {
			if o := overlap(want, func(w string) bool { return have[i][w] }); o > share || (o == share && best < 0) {
				best, share = i, o
			}
		}
		if best < 0 || named[best] || !supports(hits[best].Passage, want) {
			continue
		}
		named[best] = true
		c := place(best+1, hits[best], want)
		c.Claim, c.Verdict = claim, Inferred
		out = append(out, c)
	}
	return out
}

// Most passages, and most bytes of one sentence, that an extractive answer quotes.
const (
	maxQuotes     = 3
	maxQuoteBytes = 600
)

// Extract answers without a model: what fits the question in the best passages, word for word, each with its citation. Where no
// sentence of a passage shares a word with the question, nearest finds one by what it means; nil: there is no such means.
func Extract(question string, hits []Hit, nearest nearestOf) (string, []Citation) {
	want := wanted(question)
	var text strings.Builder
	var cites []Citation
	said := map[string]bool{} // neighbouring passages share sentences
	for i, h := range hits {
		if len(cites) == maxQuotes {
			break
		}
		c := placed(i+1, h, bestQuote(h.Passage, want, nearest))
		c.Quote = truncate(c.Quote, maxQuoteBytes)
		if strings.TrimSpace(c.Quote) == "" || said[c.Quote] {
			continue
		}
		said[c.Quote] = true
		c.End, c.Claim, c.Verdict = c.Start+len(c.Quote), c.Quote, Quoted
		if text.Len() > 0 {
			text.WriteString("\n\n")
		}
		text.WriteString("“" + strings.Join(strings.Fields(c.Quote), " ") + "” [" + strconv.Itoa(c.N) + "]")
		cites = append(cites, c)
	}
	return text.String(), cites
}
