package cache

import (
	"testing"

	"pgregory.net/rapid"
)

// refuses are pairs of questions that only the guard named may tell apart, and passes are pairs that no guard may.
func checkGuard(t *testing.T, guard Guard, refuses, passes [][2]string) {
	t.Helper()
	for _, p := range refuses {
		if a, b := read(p[0]), read(p[1]); rules[guard](a, b) || rules[guard](b, a) {
			t.Errorf("%s does not tell %q from %q", guard, p[0], p[1])
		}
	}
	for _, p := range passes {
		if a, b := read(p[0]), read(p[1]); !rules[guard](a, b) || !rules[guard](b, a) {
			t.Errorf("%s tells %q from %q", guard, p[0], p[1])
		}
	}
}

func TestLaw4OtherNumbersUnitsAndDatesAreOtherQuestions(t *testing.T) {
	checkGuard(t, GuardNumbers, [][2]string{
		{"How do I set a timeout of 5 seconds?", "How do I set a timeout of 50 seconds?"},
		{"What fits in 5 MB?", "What fits in 5 GB?"},
		{"What is new in version 2.1?", "What is new in version 2.10.3?"},
		{"Who won on Monday?", "Who won on Tuesday?"},
		{"What happened in June 1944?", "What happened in July 1944?"},
		{"What is due today?", "What is due tomorrow?"},
		{"What are three causes?", "What are four causes?"},
		{"What are the causes?", "What are four causes?"},
		{"Is 30% enough?", "Is 30 enough?"},
		{"Trong 5 phút có gì?", "Trong 5 giờ có gì?"},
		{"Có hai cách nào?", "Có bốn cách nào?"},
		{"2 + 2?", "2?"},
	}, [][2]string{
		{"What fits in 5 MB?", "What fits in five megabytes?"},
		{"Who has 1,000 points?", "Who has 1000 points?"},
		{"Is 2.50 euros much?", "Is 2.5 € much?"},
		{"Is 007 a number?", "Is 7 a number?"},
		{"What happened in Feb 1944?", "In February 1944, what happened?"},
		{"A 30 second timeout", "A timeout of 30s"},
		{"Mất 5 phút?", "Có mất 5 minutes không?"},
		{"No number here", "None there either"},
	})
}

func TestLaw4DenialsAndOppositesAreOtherQuestions(t *testing.T) {
	checkGuard(t, GuardNegation, [][2]string{
		{"Does it work with proxies?", "Does it not work with proxies?"},
		{"Which files are read?", "Which files aren't read?"},
		{"Which files are read?", "Which files aren’t read?"},
		{"How do I enable retries?", "How do I disable retries?"},
		{"How do I turn on retries?", "How do I turn off retries?"},
		{"What are the advantages of pooling?", "What are the disadvantages of pooling?"},
		{"What happens before a restart?", "What happens after a restart?"},
		{"Làm sao bật bộ nhớ đệm?", "Làm sao tắt bộ nhớ đệm?"},
		{"Vì sao nó chạy?", "Vì sao nó không chạy?"},
	}, [][2]string{
		{"Does it work?", "Is it working?"},
		{"What is there before and after a restart?", "After a restart and before, what is there?"},
		{"Nó chạy không?", "Nó có chạy chứ?"},
		{"It is not without risk", "It has risk"},
	})
}

func TestLaw4OtherNamesAreOtherQuestions(t *testing.T) {
	checkGuard(t, GuardNames, [][2]string{
		{"Who led the Panthers in sacks?", "Who led the Broncos in sacks?"},
		{"How does it run on Windows?", "How does it run on Linux?"},
		{"How is HTTP2 set up?", "How is HTTP3 set up?"},
		{"Is an iPhone allowed?", "Is a phone allowed?"},
		{"Thủ đô của Pháp là gì?", "Thủ đô của Đức là gì?"},
	}, [][2]string{
		{"Who led the Panthers in sacks?", "Which man led the panthers in sacks?"},
		{"Does Redis work? It does.", "does Redis's work"},
		{"What can I do?", "What should one do?"},
		{"How To Set Up A Cache", "how does one make a cache"},
		{"", "?"},
	})
}

func TestLaw4ComparisonsAndDirectionsAreOtherQuestions(t *testing.T) {
	checkGuard(t, GuardComparators, [][2]string{
		{"Who has more than five?", "Who has less than five?"},
		{"Who is at least five?", "Who is at most five?"},
		{"What is the longest river?", "What is the shortest river?"},
		{"What is over 5?", "What is under 5?"},
		{"Convert euros to dollars", "Convert dollars to euros"},
		{"Is Java faster than Go?", "Is Go faster than Java?"},
		{"Từ nào nhiều hơn?", "Từ nào ít hơn?"},
		{"Đổi euro sang đồng", "Đổi đồng sang euro"},
	}, [][2]string{
		{"Who has more than five?", "Who has greater than five?"},
		{"What is the largest city?", "What is the biggest city?"},
		{"Tell me more about it", "Tell me about it"},
		{"Convert euros to dollars", "How are euros converted to dollars?"},
	})
}

func TestLaw4AnotherLanguageIsAnotherQuestion(t *testing.T) {
	checkGuard(t, GuardLanguage, [][2]string{
		{"How does the circuit breaker open, and when is it closed again?", "Bộ ngắt mạch mở khi nào và khi nào thì nó đóng lại?"},
		{"Milvus?", "Bộ ngắt mạch mở khi nào và khi nào thì nó đóng lại?"},
		{"How does the circuit breaker open?", "断路器什么时候打开？"},
	}, [][2]string{
		{"How does the circuit breaker open?", "When does the circuit breaker open?"},
		{"Milvus?", "What is Milvus used for in this project?"},
	})
}

func TestLaw4NoGuardTellsAQuestionFromItselfAndTheOrderDoesNotMatter(t *testing.T) {
	word := rapid.SampledFrom([]string{"the", "5", "MB", "not", "Paris", "more", "than", "under", "to", "enable", "disable", "không", "bật", "tắt", "%", "2.50", "1,000", ".", "\xff", "’t", "断路器"})
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) (s string) {
			for _, w := range rapid.SliceOfN(word, 0, 8).Draw(t, name) {
				s += w + " "
			}
			return s + rapid.StringN(0, 5, 20).Draw(t, name+" end")
		}
		a, b := text("a"), text("b")
		if g := Check(a, a+" "); g != "" {
			t.Fatalf("%s tells %q from itself", g, a)
		}
		if x, y := Check(a, b), Check(b, a); x != y {
			t.Fatalf("%q, %q: %s, the other way round %s", a, b, x, y)
		}
	})
}

func TestLaw4AGuardedQuestionIsAMissAndCounted(t *testing.T) {
	c := New(config)
	c.Remember(key("How do I enable retries?"), at(1), 1, answer("a"))
	for q, want := range map[string]string{"How do I disable retries?": "miss", "How does one enable retries?": "semantic"} {
		if _, how := look(c, key(q), at(1)); how != want {
			t.Errorf("%s: %s", q, how)
		}
	}
	if s := c.Stats(); s.Guarded[string(GuardNegation)] != 1 || len(s.Guarded) != len(Guards()) || s.Misses != 1 {
		t.Errorf("stats %+v", s)
	}
}

func BenchmarkCheck(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if Check("How many failures open the circuit breaker of a host?", "After how many failures does a host's circuit breaker open?") == "language" {
			b.Fatal("another language")
		}
	}
}
