package rag

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func quoted(p Passage, question string) string {
	s := bestQuote(p, contentWords(question), nil)
	return p.Text[s.Start:s.End]
}

func TestAHeadingIsNoAnswer(t *testing.T) {
	for _, c := range []struct{ passage, question, want string }{
		{"Router\n\nThe router is restarted by holding the button for ten seconds.", "How do I restart the router?", "The router is restarted by holding the button for ten seconds."},
		{"# Dentist\n\nAppointments are made by phone. Bring a card.", "Who is the dentist?", "Appointments are made by phone. Bring a card."},
		{"Dentist\n=======\nAppointments are made by phone.", "Who is the dentist?", "Appointments are made by phone."},
		{"Intro here.\n\nDentist\n---\nAppointments are made by phone.", "Who is the dentist?", "Appointments are made by phone."},
		{"**Dentist:**\n\nAppointments are made by phone.", "Who is the dentist?", "Appointments are made by phone."},
		{"How do I restart the router?\n\nHold the button.", "How do I restart the router?", "Hold the button."},
		{"House manual\n\nThe router\n\nHold the button.\nWait.", "Where is the manual of the router?", "Hold the button.\nWait."},
		{"# Router. Restart?\n\nIt is grey.", "router restart", "It is grey."},
		{"## 1. Router\r\n\r\nIt is grey.\r\n", "router", "It is grey."},
		{"# House\n\nA tree.\n\n## Router\n\nHold the button.\n\n## Garden\n\nWater it.", "How is the router restarted?", "Hold the button."},
		{"# Router\n\n## Colour\n\nGrey.\n\n## Restart\n\nHold it.\n\n# Oven\n\n## Restart\n\nUnplug.", "restart the oven", "Unplug."},
		{"# Limits\n\nThe queue has some.\n\n# Queue\n\nThe limits of the queue are five.", "What are the limits of the queue?", "The limits of the queue are five."},
		// No headings, or what only looks like one.
		{"Wifi password: hunter\n\nThe router is in the hall.", "What is the wifi password?", "Wifi password: hunter"},
		{"Wifi password hunter\n\nMilk\n\nBread\n\nEggs", "What is the wifi password?", "Wifi password hunter"},
		{"The router is grey.\n\nHold the button.", "Is the router grey?", "The router is grey."},
		{"- The router, grey\n\nHold the button.", "Is the router grey?", "- The router, grey"},
		{"the router is\nrestarted by a button\n\nHold it.", "router", "the router is"},
		{"```sh\n# restart the router\nreboot\n```\n\nIt is grey.", "How do I restart the router?", "# restart the router"},
		// Where nothing shares a word the first sentences are quoted, up to the next heading and openingBytes.
		{"# Lease\n\nThe rent is due. Late rent costs more.", "x", "The rent is due. Late rent costs more."},
		{"Text first.\n\n# Heading\n\nThen.", "x", "Text first."},
		{"# Lease\n\nShort. " + strings.Repeat("word ", 100) + "end.", "x", "Short."},
		// A passage of headings alone is quoted whole.
		{"# Lease\n\n## Rent", "rent", "# Lease\n\n## Rent"},
		{"", "x", ""},
	} {
		if got := quoted(hit(1, c.passage).Passage, c.question); got != c.want {
			t.Errorf("%q of %.60q: %.60q, want %.60q", c.question, c.passage, got, c.want)
		}
	}
}

func TestALineThatIsTheTitleOrAHeadingAboveThePassageIsNoAnswer(t *testing.T) {
	p := hit(1, "The Rules of the House.\nQuiet hours!\nAfter ten nobody drills.").Passage
	p.Title, p.Heading = "The rules of the house.", "Rules > Quiet hours!"
	if got := quoted(p, "What are the quiet hours of the house?"); got != "After ten nobody drills." {
		t.Errorf("quoted %q", got)
	}
}

func TestWhereAHeadingAloneFitsTheNearestSentenceUnderItIsQuoted(t *testing.T) {
	text := "# Oven\n\nThe dentist is nearest here.\n\n# Dentist\n\nClosed today.\n\n# Doctor's dentist\n\nFar. " + strings.Repeat("Very far. ", 40) + "Nearest there.\n\n# End\n\nNearest."
	nearest := func(passage string, among []quotable) (Span, bool) {
		for _, s := range among {
			if strings.HasPrefix(passage[s.Start:s.End], "Nearest") {
				return s.Span, true
			}
		}
		return Span{}, false
	}
	for question, want := range map[string]string{"Doctor's?": "Nearest there.", "zzz": "Nearest there.", "dentist": "The dentist is nearest here."} {
		_, cites := Extract(question, []Hit{hit(1, text)}, nearest)
		if len(cites) != 1 || cites[0].Quote != want {
			t.Errorf("%q: %+v, want %q", question, cites, want)
		}
	}
}

func TestWhereNoPassageHasAWordOfTheQuestionTheNoticeSaysSo(t *testing.T) {
	router := hit(1, "The router is restarted by holding the button.")
	router.Passage.Heading, router.Passage.Title = "Network", "House manual"
	for question, strange := range map[string]bool{
		"How do I restart it?":           false, // another form of a word
		"Where is the network?":          false,
		"Is there a manual?":             false,
		"What's the button for?":         false,
		"What is it?":                    false, // no word to go by
		"How do I bake bread with yeast": true,
		"What's for dinner? I ask.":      true, // "s" and "I" are no words to go by
		"Wo ist der Knopf?":              true, // may well fit, and the notice says no more than that it may not
		"Is a butter there?":             true,
	} {
		w := newWorld()
		w.modelErr = Errorf(Unavailable, CodeNoModel, "none")
		w.hits = []Hit{hit(2, "Weather, at 5 o'clock it's fine, said I."), router}
		_, a, _, err := w.run(t.Context(), Request{DB: "docs", Question: question, Method: Hybrid, K: 2})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(a.Notice, "Perhaps nothing here fits"); got != strange || !strings.Contains(a.Notice, "No language model answered") {
			t.Errorf("%q: %q", question, a.Notice)
		}
	}
}

// A quote is a part of its passage, and holds no heading where the passage has other sentences.
func TestNoHeadingIsEverQuotedBesideText(t *testing.T) {
	piece := rapid.SampledFrom([]string{"# Router\n", "## Restart it\n\n", "Router\n\n", "Router\n===\n", "The router is grey. ", "Hold it.\n\n", "\n", "```\n", "|--|\n", "é\xff。", "- a\r\n"})
	rapid.Check(t, func(t *rapid.T) {
		p := hit(1, strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")).Passage
		s := bestQuote(p, []string{"router", "restart"}, nil)
		if s.Start < 0 || s.End < s.Start || s.End > len(p.Text) {
			t.Fatalf("%v of %q", s, p.Text)
		}
		if len(quotables(p)) == 0 {
			return
		}
		for _, l := range titleLines(p) {
			if s.Start < l.End && l.Start < s.End && l.level > 0 {
				t.Fatalf("%q of %q holds the heading %q", p.Text[s.Start:s.End], p.Text, p.Text[l.Start:l.End])
			}
		}
	})
}
