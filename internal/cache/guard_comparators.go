package cache

import (
	"slices"
	"strings"
	"unicode"
)

// sameComparators wants the same comparisons, and what is on either side of a direction to stay there: "from A to B" is not "from
// B to A".
func sameComparators(a, b *question) bool {
	return slices.Equal(comparisons(a), comparisons(b)) && !turned(a, b)
}

// comparators are the ways of comparing, the phrases of a line alike. "#" stands for any number.
var comparators = phrases(`more_than greater_than larger_than bigger_than higher_than above_# over_# exceed exceeds nhiều_hơn lớn_hơn cao_hơn trên_#
less_than fewer_than smaller_than lower_than below_# under_# ít_hơn nhỏ_hơn thấp_hơn dưới_#
at_least minimum ít_nhất tối_thiểu
at_most maximum nhiều_nhất tối_đa
older_than
younger_than
longest dài_nhất
shortest ngắn_nhất
tallest highest largest biggest greatest cao_nhất lớn_nhất
lowest smallest thấp_nhất nhỏ_nhất
faster_than fastest nhanh_nhất
slower_than slowest chậm_nhất
earliest sớm_nhất
latest muộn_nhất`)

type phrase struct {
	words []string
	kind  string
}

func phrases(list string) []phrase {
	var out []phrase
	for line := range strings.Lines(list) {
		alike := strings.Fields(line)
		for _, p := range alike {
			out = append(out, phrase{strings.Split(p, "_"), alike[0]})
		}
	}
	return out
}

func comparisons(q *question) []string {
	var out []string
	for _, p := range comparators {
		if standsIn(q, p.words) && !slices.Contains(out, p.kind) {
			out = append(out, p.kind)
		}
	}
	slices.Sort(out)
	return out
}

func standsIn(q *question, words []string) bool {
	if last := len(words) - 1; words[last] == "#" {
		for i, w := range q.words {
			if i > 0 && q.words[i-1] == words[0] && unicode.IsDigit([]rune(w)[0]) {
				return true
			}
		}
		return false
	}
	return q.has(words...)
}

// sides are words that give what stands before and behind them different parts.
var sides = wordSet(`to from into than over under before after by sang đến từ hơn thành bởi`)

// turned says whether what stands on either side of such a word in one question stands there the other way round in the other.
func turned(a, b *question) bool {
	x, y := directions(a), directions(b)
	for d := range x {
		if back := (direction{d.right, d.word, d.left}); y[back] && !y[d] && !x[back] {
			return true
		}
	}
	return false
}

type direction struct{ left, word, right string }

// directions are the words on either side of those that give them different parts. Before "than" any word may be what is compared.
func directions(q *question) map[direction]bool {
	out := map[direction]bool{}
	for i, w := range q.words {
		if !sides[w] || i == 0 || i == len(q.words)-1 {
			continue
		}
		first := i - 1
		if w == "than" || w == "hơn" {
			first = 0
		}
		for _, left := range q.words[first:i] {
			out[direction{left, w, q.words[i+1]}] = true
		}
	}
	return out
}
