package extract

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/unicode/norm"

	"github.com/ollama-rag/ollama-rag/internal/text"
)

// guessSample is how many bytes of a text are looked at to tell its encoding.
const guessSample = 64 << 10

// candidate is an encoding that a text may be in.
type candidate struct {
	name      string
	decode    func([]byte) string
	frequent  string   // the letters beyond ASCII that its texts are mostly made of
	languages []string // that it was made for
	latin     bool     // its letters stand among ASCII letters inside words
}

// Letters by how often they come, the most frequent half of a usual text or more.
const (
	frequentCyrillic = "оеаинтсрвлкмдпуяіїєћђ"
	frequentGreek    = "ατοιενσρκπμςλυήάόίέ"
	frequentHebrew   = "יוהלאתברמשנ"
	frequentArabic   = "اليمونرتبةعدسفه"
	frequentThai     = "านรอกเงมยลวดทส่ต้ะิั"
	frequentWestern  = "éèàçêôîûùâëïœöäüßñóáíúãõåæøÄÖÜÉ"
	frequentCentral  = "ąćęłńóśźżáčďéěíňřšťúůýžőűöüđăâîşţșțôľ"
	frequentTurkish  = "ıİğĞşŞçÇöÖüÜ"
	frequentBaltic   = "āčēģīķļņšūžąęėįųõäöü"
	frequentHan      = "的一是不了人我在有他中大上到子和你地出道也年得就那要下以生自去之家可小心多天而能好都然日起成事只作想看文手十用主行方又如前所本面公同三已老力平等由任何其"
	frequentHans     = frequentHan + "这来国个说们为时会着过学对她里后么没于还发当无开见经头从动两长权与应并"
	frequentHant     = frequentHan + "這來國個說們為時會著過學對裡後麼沒於還發當無開見經頭從動兩長權與應並"
	frequentHangul   = "이다는에을의가고하로은지를사한기도리자대어나인그아시있수해여전부정보들"
	frequentViet     = "ăâđêôơưàáạảãầấậẩằắặẳèéẹẻẽềếệểễìíịỉòóọỏồốộổờớợởùúụủừứựửữýỳ"
)

var cjk = []string{"ja", "zh", "ko"}

// candidates in the order that settles a draw.
func candidates() []candidate {
	one := func(name string, cm *charmap.Charmap, frequent string, latin bool, languages ...string) candidate {
		return candidate{name, with(cm), frequent, languages, latin}
	}
	many := func(name string, enc encoding.Encoding, frequent string) candidate {
		return candidate{name, with(enc), frequent, cjk, false}
	}
	return []candidate{
		one("windows-1252", charmap.Windows1252, frequentWestern, true, "en", "fr", "de", "es", "pt", "it", "nl", "sv", "da", "no", "fi", "ca"),
		one("windows-1251", charmap.Windows1251, frequentCyrillic, false, "ru", "uk", "bg", "sr"),
		one("koi8-r", charmap.KOI8R, frequentCyrillic, false, "ru"),
		one("ibm866", charmap.CodePage866, frequentCyrillic, false, "ru"),
		one("windows-1258", charmap.Windows1258, frequentViet, true, "vi"),
		one("windows-1250", charmap.Windows1250, frequentCentral, true, "pl", "cs", "sk", "hu", "ro", "hr", "sl"),
		one("iso-8859-2", charmap.ISO8859_2, frequentCentral, true, "pl", "cs", "sk", "hu", "ro", "hr", "sl"),
		one("windows-1253", charmap.Windows1253, frequentGreek, false, "el"),
		one("windows-1254", charmap.Windows1254, frequentTurkish, true, "tr"),
		one("windows-1255", charmap.Windows1255, frequentHebrew, false, "he"),
		one("windows-1256", charmap.Windows1256, frequentArabic, false, "ar", "fa", "ur"),
		one("windows-1257", charmap.Windows1257, frequentBaltic, true, "lt", "lv", "et"),
		one("windows-874", charmap.Windows874, frequentThai, false, "th"),
		{"tcvn3", byTable(tcvn3, nil), frequentViet, []string{"vi"}, true},
		{"viscii", byTable(viscii, visciiLow), frequentViet, []string{"vi"}, true},
		many("shift_jis", japanese.ShiftJIS, frequentHan),
		many("euc-jp", japanese.EUCJP, frequentHan),
		many("gb18030", simplifiedchinese.GB18030, frequentHans),
		many("big5", traditionalchinese.Big5, frequentHant),
		many("euc-kr", korean.EUCKR, frequentHangul),
	}
}

func with(enc encoding.Encoding) func([]byte) string {
	return func(data []byte) string { return decodeWith(enc, data) }
}

// guess decodes data by the candidate whose text reads most like a language.
func guess(data []byte) decoded {
	sample := data[:min(len(data), guessSample)]
	best, top := candidate{}, 0.0
	for i, c := range candidates() {
		if s := c.score(norm.NFC.String(c.decode(sample))); i == 0 || s > top {
			best, top = c, s
		}
	}
	d := decoded{text: best.decode(data), encoding: best.name}
	if top < 0.3 {
		d.warnings = []string{"its encoding could not be told and was taken for " + best.name}
	}
	return d
}

// score is the mean over the characters beyond ASCII: 1 for a frequent letter, less for others, below 0 for what no text holds;
// and half a point more where the text is in a language that the encoding was made for.
func (c candidate) score(s string) float64 {
	frequent := map[rune]bool{}
	for _, r := range c.frequent {
		frequent[r] = true
	}
	sum, n, letters, ascii := 0.0, 0, 0, 0
	var before rune
	for _, r := range s {
		if asciiLetter(r) {
			ascii++
		}
		if r >= utf8.RuneSelf {
			n++
			if unicode.IsLetter(r) {
				letters++
			}
			sum += c.value(r, before, frequent)
		} else if asciiLetter(r) && before >= utf8.RuneSelf && !c.latin && unicode.IsLetter(before) {
			sum -= 0.5
		}
		before = r
	}
	if n == 0 {
		return 0
	}
	score := sum / float64(n)
	if slices.Contains(c.languages, text.Language(s)) {
		score += 0.5
	}
	if c.latin && letters > ascii {
		score-- // no language in Latin letters has more of them with marks than without
	}
	return score
}

func (c candidate) value(r, before rune, frequent map[rune]bool) float64 {
	switch {
	case r == utf8.RuneError || unicode.Is(unicode.Co, r):
		return -3
	case r < 0xA0:
		return -2
	case unicode.IsUpper(r) && unicode.IsLower(before):
		return -1
	case asciiLetter(before) && !c.latin && unicode.IsLetter(r):
		return -0.5
	case 0xFF61 <= r && r <= 0xFF9F: // half-width katakana: what wrong bytes become
		return -0.3
	case unicode.In(r, unicode.Hiragana, unicode.Katakana), frequent[r], frequent[unicode.ToLower(r)]:
		return 1
	case unicode.Is(unicode.Hangul, r), 0x3000 <= r && r <= 0x303F, 0xFF00 <= r && r <= 0xFF60:
		return 0.5
	case unicode.IsLetter(r):
		return 0.3
	case unicode.IsMark(r):
		return -0.2
	case strings.ContainsRune("\u00A0«»“”‘’„–—…•§№°€ªº¿¡·", r):
		return 0.2
	}
	return -1
}

func asciiLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
