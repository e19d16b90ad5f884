package extract

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// decoded is a text with how it was told.
type decoded struct {
	text     string
	encoding string // IANA name in small letters
	warnings []string
}

// decode turns the bytes of a text file into characters: by the byte order mark, else UTF-8 where the bytes are that, else
// by what reads most like a language. ok is false where the bytes are no text.
func decode(data []byte) (d decoded, ok bool) {
	if name, enc := byMark(data); name != "" {
		return decoded{text: decodeWith(enc, data), encoding: name}, true
	}
	if name, enc := wide(data); name != "" {
		return decoded{text: decodeWith(enc, data), encoding: name}, true
	}
	if looksBinary(data) {
		return decoded{}, false
	}
	if name, text := sevenBit(data); name != "" {
		return decoded{text: text, encoding: name}, true
	}
	if utf8.Valid(data) {
		return decoded{text: string(data), encoding: "utf-8"}, true
	}
	if bad, multi := utf8Faults(data); multi >= 10*bad {
		return decoded{text: string(data), encoding: "utf-8", warnings: []string{"some bytes are not UTF-8 and were replaced"}}, true
	}
	return guess(data), true
}

func byMark(data []byte) (string, encoding.Encoding) {
	switch {
	case bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")):
		return "utf-8", unicode.UTF8BOM
	case bytes.HasPrefix(data, []byte("\xFF\xFE\x00\x00")):
		return "utf-32le", utf32.UTF32(utf32.LittleEndian, utf32.UseBOM)
	case bytes.HasPrefix(data, []byte("\x00\x00\xFE\xFF")):
		return "utf-32be", utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case bytes.HasPrefix(data, []byte("\xFF\xFE")):
		return "utf-16le", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case bytes.HasPrefix(data, []byte("\xFE\xFF")):
		return "utf-16be", unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	}
	return "", nil
}

// wide tells UTF-16 without a mark by where its zero bytes lie: those of ASCII characters are all on one side.
func wide(data []byte) (string, encoding.Encoding) {
	sample := data[:min(len(data), 4096)&^1]
	if len(sample) < 4 || len(data)%2 != 0 {
		return "", nil
	}
	var zeros [2]int
	for i, b := range sample {
		if b == 0 {
			zeros[i&1]++
		}
	}
	half := len(sample) / 2
	switch {
	case zeros[0] == 0 && zeros[1]*5 > half && plausibleWide(sample, unicode.LittleEndian):
		return "utf-16le", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case zeros[1] == 0 && zeros[0]*5 > half && plausibleWide(sample, unicode.BigEndian):
		return "utf-16be", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	}
	return "", nil
}

func plausibleWide(sample []byte, order unicode.Endianness) bool {
	text := decodeWith(unicode.UTF16(order, unicode.IgnoreBOM), sample)
	odd := 0
	for _, r := range text {
		if r == utf8.RuneError || untidy(r) && r != '\r' {
			odd++
		}
	}
	return odd*50 <= utf8.RuneCountInString(text)
}

// sevenBit tells the two old encodings that write Japanese and Chinese in ASCII bytes, by the marks that ordinary text lacks.
func sevenBit(data []byte) (string, string) {
	if bytes.IndexFunc(data, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		return "", ""
	}
	if bytes.Contains(data, []byte("\x1B$B")) || bytes.Contains(data, []byte("\x1B$@")) {
		return "iso-2022-jp", decodeWith(japanese.ISO2022JP, data)
	}
	if n := bytes.Count(data, []byte("~{")); n >= 3 && bytes.Count(data, []byte("~}")) >= n-1 {
		text := decodeWith(simplifiedchinese.HZGB2312, data)
		wrong := strings.Count(text, string(utf8.RuneError))
		if wide := utf8.RuneCountInString(text) - countASCII(text); wrong*50 < wide && wide > n {
			return "hz-gb-2312", text
		}
	}
	return "", ""
}

func countASCII(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			n++
		}
	}
	return n
}

// utf8Faults counts the bytes that break UTF-8 and the characters of several bytes.
func utf8Faults(data []byte) (bad, multi int) {
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			bad++
		case size > 1:
			multi++
		}
		data = data[size:]
	}
	return bad, multi
}

func decodeWith(enc encoding.Encoding, data []byte) string {
	text, err := enc.NewDecoder().Bytes(data)
	if err != nil {
		return string(text) + string(utf8.RuneError)
	}
	return string(text)
}
