package rag

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// quotable is a sentence that an answer without a model may quote: no heading, and not what parts tables or fences code.
type quotable struct {
	Span
	place int    // among the sentences of its passage, those that are not quotable counted
	under string // the headings in the passage that it stands under
}

// wanted are the words of a question that a quote should have. A single letter, as in "I" or "what's", is found anywhere.
func wanted(question string) []string {
	all := contentWords(question)
	if longer := slices.DeleteFunc(slices.Clone(all), func(w string) bool { return len(w) == 1 && !isNumber(w) }); len(longer) > 0 {
		return longer
	}
	return all
}

// strangers says whether no passage has a word of the question, or another form of one; false where the question has none to go
// by. Such passages were found by their vectors alone: in another language than the question's they may well answer it, and how
// near they are does not tell, since what has nothing to do with a question can be as near as what answers it.
func strangers(question string, hits []Hit) bool {
	want := wanted(question)
	for _, h := range hits {
		for _, have := range words(h.Passage.Title + "\n" + h.Passage.Heading + "\n" + h.Passage.Text) {
			if slices.ContainsFunc(want, func(w string) bool { return akin(w, have) }) {
				return false
			}
		}
	}
	return len(want) > 0
}

// minStem is how many bytes of a word have to stand at the start of another one for both to be forms of one word.
const minStem = 4

// akin says whether two words are the same, or one begins with the other, as "restarted" does with "restart".
func akin(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == b || len(a) >= minStem && strings.HasPrefix(b, a)
}

// nearestOf finds, by what they mean, which of a passage's sentences is nearest to a question; false where it finds none.
type nearestOf func(passage string, among []quotable) (Span, bool)

// bestQuote is the sentence of a passage that shares most with the wanted words. The headings above a sentence count as its own
// words do, but are no answer: where they alone share a word, nearest finds the sentence under them, and where nothing shares a
// word, as across languages, that of the whole passage. Without nearest, or where it finds none, the first sentences are quoted.
func bestQuote(p Passage, want []string, nearest nearestOf) Span {
	list := quotables(p)
	if len(list) == 0 {
		return Span{0, len(p.Text)} // headings alone
	}
	best, bestOwn, bestAll := 0, 0.0, 0.0
	for i, s := range list {
		own := setOf(words(p.Text[s.Start:s.End]))
		above := setOf(words(s.under))
		share := overlap(want, func(w string) bool { return own[w] })
		all := overlap(want, func(w string) bool { return own[w] || above[w] })
		if all > bestAll || all == bestAll && share > bestOwn {
			best, bestOwn, bestAll = i, share, all
		}
	}
	if bestOwn > 0 {
		return list[best].Span
	}
	if bestAll > 0 {
		list = section(list, best)
	}
	if nearest != nil {
		if span, ok := nearest(p.Text, list); ok {
			return span
		}
	}
	return around(list, 0)
}

// section is what stands under the same headings as list[first], from there on.
func section(list []quotable, first int) []quotable {
	end := first
	for end < len(list) && list[end].under == list[first].under {
		end++
	}
	return list[first:end]
}

// openingBytes is how much of a passage is quoted where no sentence of it is known to be the right one.
const openingBytes = 300

// around is the sentence list[best] with its neighbours, those after it first, up to openingBytes: which of two neighbours means a
// question is often a close call.
func around(list []quotable, best int) Span {
	from, to := best, best
	for {
		switch {
		case to+1 < len(list) && list[to+1].place == list[to].place+1 && list[to+1].End-list[from].Start <= openingBytes:
			to++
		case from > 0 && list[from-1].place == list[from].place-1 && list[to].End-list[from-1].Start <= openingBytes:
			from--
		default:
			return Span{list[from].Start, list[to].End}
		}
	}
}

// quotables are the sentences of a passage that can be quoted.
func quotables(p Passage) []quotable {
	var out []quotable
	var open []titleLine // the headings above, the innermost last
	titles := titleLines(p)
	for place, s := range sentences(p.Text) {
		for len(titles) > 0 && titles[0].End <= s.Start {
			titles = titles[1:]
		}
		if len(titles) > 0 && titles[0].Start <= s.Start {
			t := titles[0]
			if t.level == 0 || len(open) > 0 && open[len(open)-1].Span == t.Span {
				continue
			}
			for len(open) > 0 && open[len(open)-1].level >= t.level {
				open = open[:len(open)-1]
			}
			open = append(open, t)
			continue
		}
		if len(words(p.Text[s.Start:s.End])) == 0 {
			continue // as the lines that part tables
		}
		var under strings.Builder
		for _, t := range open {
			under.WriteString(p.Text[t.Start:t.End] + "\n")
		}
		out = append(out, quotable{s, place, under.String()})
	}
	return out
}

// titleLine is a line of a passage that says nothing by itself.
type titleLine struct {
	Span
	level int // 1 is the outermost; 0: it fences code, and is no heading
}

// plainLevel is the level of a heading without a mark of its level: below all that have one.
const plainLevel = 7

var (
	markdownHeading = regexp.MustCompile(`^ {0,3}(#{1,6})(?:[ \t]|$)`)
	underline       = regexp.MustCompile(`^ {0,3}(?:={3,}|-{3,})\s*$`)
	codeFence       = regexp.MustCompile("^ {0,3}(?:```|~~~)")
)

// titleLines finds the headings of a passage: those that Markdown marks, lines that are the passage's title or a heading above it, and
// short lines that stand alone before a text.
func titleLines(p Passage) []titleLine {
	lines := linesOf(p.Text)
	known := namesOf(p)
	var out []titleLine
	fenced := false
	for i, l := range lines {
		line := p.Text[l.Start:l.End]
		var level int
		mark := markdownHeading.FindStringSubmatch(line)
		switch {
		case codeFence.MatchString(line):
			fenced = !fenced
			out = append(out, titleLine{l, 0})
			continue
		case fenced || strings.TrimSpace(line) == "":
			continue
		case mark != nil:
			level = len(mark[1])
		case i+1 < len(lines) && blank(p.Text, lines, i-1) && underline.MatchString(p.Text[lines[i+1].Start:lines[i+1].End]):
			level = 1
			if strings.Contains(p.Text[lines[i+1].Start:lines[i+1].End], "-") {
				level = 2
			}
		case known[bare(line)] || standsBefore(p.Text, lines, i):
			level = plainLevel
		default:
			continue
		}
		out = append(out, titleLine{l, level})
	}
	return out
}

// linesOf are the lines of text without their breaks.
func linesOf(text string) []Span {
	var out []Span
	start := 0
	for line := range strings.SplitAfterSeq(text, "\n") {
		out = append(out, Span{start, start + len(strings.TrimRight(line, "\r\n"))})
		start += len(line)
	}
	return out
}

// namesOf are the title of a passage's document and the headings above the passage, bare.
func namesOf(p Passage) map[string]bool {
	names := map[string]bool{}
	for _, name := range append(strings.Split(p.Heading, " > "), p.Title) {
		if name = bare(name); name != "" {
			names[name] = true
		}
	}
	return names
}

// bare is a line without marks around it, in lower case.
func bare(line string) string { return strings.ToLower(strings.Trim(line, " \t\r#*_:")) }

// blank says whether lines[i] is empty or past either end.
func blank(text string, lines []Span, i int) bool {
	return i < 0 || i >= len(lines) || strings.TrimSpace(text[lines[i].Start:lines[i].End]) == ""
}

// standsBefore says whether lines[i] is a title, or a title's second line, before a text.
func standsBefore(text string, lines []Span, i int) bool {
	next := i
	for range 2 {
		if !aloneAndShort(text, lines, next) {
			return false
		}
		for next++; next < len(lines) && blank(text, lines, next); next++ {
		}
		if next == len(lines) {
			return false
		}
		if !aloneAndShort(text, lines, next) {
			return true
		}
	}
	return false // many such lines are a list
}

// maxTitle is how many characters a line has at most that is taken for a title though nothing marks it as one.
const maxTitle = 80

// aloneAndShort says whether lines[i] looks like a title: empty lines around it, few characters, no end of a sentence. A line with a value, such as
// "Password: 1234", an item of a list and a row of a table tell something by themselves. A question does not: its answer follows.
func aloneAndShort(text string, lines []Span, i int) bool {
	line := strings.TrimSpace(text[lines[i].Start:lines[i].End])
	if line == "" || !blank(text, lines, i-1) || !blank(text, lines, i+1) || utf8.RuneCountInString(line) > maxTitle {
		return false
	}
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(line, `"'”’)*_`))
	if strings.ContainsRune(".!;,。！…", last) || strings.Contains(line, ": ") || strings.Contains(line, "=") {
		return false
	}
	return !strings.ContainsAny(line[:1], "-+|>") && !strings.HasPrefix(line, "* ") && !strings.HasPrefix(line, "• ") && !markdownHeading.MatchString(line)
}
