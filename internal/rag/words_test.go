package rag

import (
	"slices"
	"testing"
)

func TestNumbersCompareWhateverTheirDress(t *testing.T) {
	for text, want := range map[string][]string{
		"5MB, 5 MB":         {"5", "mb", "5", "mb"},
		"1,000 or 1000":     {"1000", "or", "1000"},
		"3.5 and 3,5":       {"3.5", "and", "3,5"},
		"12,345,678":        {"12345678"},
		"w271x":             {"w", "271", "x"},
		"Thường 30 giây":    {"thường", "30", "giây"},
		"第3章":               {"第", "3", "章"},
		"in 2024, 5 hosts.": {"in", "2024", "5", "hosts"},
	} {
		if got := words(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
