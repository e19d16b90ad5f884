package rag

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestLaw11RequestsSayWhatTheyWantOfTheCache(t *testing.T) {
	for header, want := range map[string]CacheControl{
		"":                                     {},
		"no-cache":                             {NoCache: true},
		"No-Store , NO-CACHE":                  {NoCache: true, NoStore: true},
		"only-if-cached, max-age=60":           {OnlyIfCached: true, MaxAge: time.Minute},
		`max-age="60"`:                         {MaxAge: time.Minute},
		"max-age=60, max-age=30":               {MaxAge: 30 * time.Second},
		"max-age=0":                            {NoCache: true},
		"max-age":                              {NoCache: true},
		"max-age=-5":                           {NoCache: true},
		"max-age=soon":                         {NoCache: true},
		"max-age=99999999999999999999999999":   {MaxAge: maxAgeSeconds * time.Second},
		"max-stale=60, no-transform, x, ,=,,=": {},
		"x-no-cache, no-cachex":                {},
	} {
		if got := ParseCacheControl([]string{header}); got != want {
			t.Errorf("%q: %+v, want %+v", header, got, want)
		}
	}
	if got := ParseCacheControl([]string{"no-store", "max-age=1"}); got != (CacheControl{NoStore: true, MaxAge: time.Second}) {
		t.Errorf("two lines: %+v", got)
	}
}

func FuzzCacheControl(f *testing.F) {
	f.Add("no-cache, max-age=60")
	f.Add(`max-age="=,"`)
	f.Fuzz(func(t *testing.T, header string) {
		c := ParseCacheControl([]string{header})
		if c.MaxAge < 0 || c.MaxAge > maxAgeSeconds*time.Second || c.MaxAge > 0 && !strings.Contains(strings.ToLower(header), "max-age") {
			t.Errorf("%q: %+v", header, c)
		}
		ascii := !strings.ContainsFunc(header, func(r rune) bool { return r >= utf8.RuneSelf })
		if again := ParseCacheControl([]string{strings.ToUpper(header) + ", private"}); again != c && ascii {
			t.Errorf("%q: %+v, in capitals %+v", header, c, again)
		}
	})
}
