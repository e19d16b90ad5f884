package extract

import (
	"strings"
	"unicode/utf8"
)

// The two encodings of Vietnamese that golang.org/x/text does not know. Sources: TCVN 5712:1993 (its VN3 half is the "ABC"
// font encoding), RFC 1456 (VISCII). Each table holds the characters of the bytes 0x80 to 0xFF, in rows of 16; U+FFFD is none.
const (
	tcvn3 = "ÀẢÃÁẠẶẬÈẺẼÉẸỆÌỈĨ" +
		"ÍỊÒỎÕÓỌỘỜỞỠỚỢÙỦŨ" +
		"\u00A0ĂÂÊÔƠƯĐăâêôơưđẰ" +
		"\u0300\u0309\u0303\u0301\u0323àảãáạẲằẳẵắẴ" +
		"ẮẦẨẪẤỀặầẩẫấậèỂẻẽ" +
		"éẹềểễếệìỉỄẾỒĩíịò" +
		"Ổỏõóọồổỗốộờởỡớợù" +
		"ỖủũúụừửữứựỳỷỹýỵỐ"
	viscii = "ẠẮẰẶẤẦẨẬẼẸẾỀỂỄỆỐ" +
		"ỒỔỖỘỢỚỜỞỊỎỌỈỦŨỤỲ" +
		"Õắằặấầẩậẽẹếềểễệố" +
		"ồổỗỠƠộờởịỰỨỪỬơớƯ" +
		"ÀÁÂÃẢĂẳẵÈÉÊẺÌÍĨỳ" +
		"ĐứÒÓÔạỷừửÙÚỹỵÝỡư" +
		"àáâãảăữẫèéêẻìíĩỉ" +
		"đựòóôõỏọụùúũủýợỮ"
)

// visciiLow are the characters that VISCII puts in place of control characters.
var visciiLow = map[byte]rune{0x02: 'Ẳ', 0x05: 'Ẵ', 0x06: 'Ẫ', 0x14: 'Ỷ', 0x19: 'Ỹ', 0x1E: 'Ỵ'}

// byTable decodes data by the characters of its upper half.
func byTable(upper string, low map[byte]rune) func([]byte) string {
	chars := []rune(upper)
	return func(data []byte) string {
		var b strings.Builder
		b.Grow(len(data) * 3 / 2)
		for _, c := range data {
			switch r, special := low[c]; {
			case special:
				b.WriteRune(r)
			case c < utf8.RuneSelf:
				b.WriteByte(c)
			default:
				b.WriteRune(chars[c-0x80])
			}
		}
		return b.String()
	}
}
