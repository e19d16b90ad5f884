package cache

import (
	"slices"
	"strings"
	"unicode"
)

// sameNumbers wants the same numbers with the same units, in whatever order and notation, and the same months and days: "5 MB" is
// "five megabytes", and neither "5 GB" nor "6 MB".
func sameNumbers(a, b *question) bool {
	return slices.Equal(quantities(a.text), quantities(b.text))
}

// quantities are the numbers of a text with their units, and the names of months and days, sorted.
func quantities(s string) []string {
	var out []string
	fields := numberFields(s)
	for i, f := range fields {
		number, ok := numberOf(f)
		if !ok {
			if date := dates[f]; date != "" {
				out = append(out, date)
			}
			continue
		}
		if i+1 < len(fields) {
			number += units[fields[i+1]]
		}
		out = append(out, number)
	}
	slices.Sort(out)
	return out
}

// numberFields splits a text into folded words, with numbers apart from the letters behind them ("5mb") and % and degree signs as
// words of their own. A decimal stays whole, thousands are joined.
func numberFields(s string) []string {
	runes := []rune(strings.ToLower(s))
	digit := func(i int) bool { return i >= 0 && i < len(runes) && unicode.IsDigit(runes[i]) }
	var out []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out, word = append(out, string(word)), word[:0]
		}
	}
	for i, r := range runes {
		switch {
		case digit(i):
			if len(word) > 0 && !unicode.IsDigit(word[0]) && unicode.IsLetter(word[len(word)-1]) {
				flush()
			}
			word = append(word, r)
		case (r == '.' || r == ',') && digit(i-1) && digit(i+1):
			if thousands := r == ',' && digit(i+2) && digit(i+3) && !digit(i+4); !thousands {
				word = append(word, '.')
			}
		case unicode.IsLetter(r) || unicode.IsMark(r):
			if len(word) > 0 && unicode.IsDigit(word[0]) {
				flush()
			}
			word = append(word, r)
		case r == '%' || r == '°' || r == '$' || r == '€' || r == '£':
			flush()
			out = append(out, string(r))
		default:
			flush()
		}
	}
	flush()
	return out
}

func numberOf(field string) (string, bool) {
	if unicode.IsDigit([]rune(field)[0]) {
		if strings.Contains(field, ".") {
			field = strings.TrimRight(strings.TrimRight(field, "0"), ".")
		}
		if trimmed := strings.TrimLeft(field, "0"); trimmed != "" && trimmed[0] != '.' {
			field = trimmed
		}
		return field, true
	}
	number, ok := numerals[field]
	return number, ok
}

// numerals are written numbers. "one" and "một" are left out: they are articles and pronouns as often.
var numerals = map[string]string{
	"zero": "0", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12",
	"twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90", "hundred": "100", "thousand": "1000",
	"million": "1000000", "billion": "1000000000", "half": "0.5", "twice": "2", "third": "3", "hai": "2", "bốn": "4", "sáu": "6", "bảy": "7", "tám": "8",
	"chín": "9", "mười": "10", "trăm": "100", "nghìn": "1000", "ngàn": "1000", "triệu": "1000000", "tỷ": "1000000000",
}

// units bring the names of a unit to one.
var units = spellings(`% percent percentage phần_trăm
s sec secs second seconds giây
ms millisecond milliseconds
min mins minute minutes phút
h hr hrs hour hours giờ
d day days ngày
w week weeks tuần
mo month months tháng
y yr yrs year years năm
b byte bytes
kb kilobyte kilobytes kib
mb megabyte megabytes mib
gb gigabyte gigabytes gib
tb terabyte terabytes tib
mm millimetre millimetres millimeter millimeters
cm centimetre centimetres centimeter centimeters
m metre metres meter meters mét
km kilometre kilometres kilometer kilometers
mi mile miles
ft foot feet
g gram grams
kg kilo kilos kilogram kilograms
lb lbs pound pounds
l litre litres liter liters lít
c celsius
f fahrenheit
$ usd dollar dollars đô
€ eur euro euros
£ gbp
vnd đồng`)

// dates are the names of months and days, and words for days. May and March are left out: they are verbs as often.
var dates = spellings(`january jan
february feb
april apr
june jun
july jul
august aug
september sep sept
october oct
november nov
december dec
monday mon
tuesday tue
wednesday wed
thursday thu
friday fri
saturday sat
sunday sun
today
yesterday
tomorrow`)

func spellings(list string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(list) {
		names := strings.Fields(line)
		for _, name := range names {
			out[name] = names[0]
		}
	}
	return out
}
