package extract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/unicode/norm"
)

// Sentences of the kind that stand in manuals, written for these tests.
var samples = map[string]string{
	"ru": "Перед первым запуском сервера проверьте настройки сети и убедитесь, что порт свободен. Затем откройте страницу в браузере.",
	"el": "Πριν από την πρώτη εκκίνηση ελέγξτε τις ρυθμίσεις του δικτύου και βεβαιωθείτε ότι η θύρα είναι ελεύθερη.",
	"fr": "Avant le premier démarrage, vérifiez les réglages du réseau et assurez-vous que le port est libre. La clé était déjà utilisée à l'époque.",
	"de": "Überprüfen Sie vor dem ersten Start die Einstellungen und wählen Sie einen freien Port. Danach öffnen Sie die Seite für Benutzer.",
	"pl": "Przed pierwszym uruchomieniem sprawdź ustawienia sieci i upewnij się, że port jest wolny. Następnie otwórz stronę w przeglądarce, która wyświetli się po chwili.",
	"cs": "Před prvním spuštěním zkontrolujte nastavení sítě a ujistěte se, že je port volný. Potom otevřete stránku v prohlížeči, který používáte každý den.",
	"tr": "İlk çalıştırmadan önce ağ ayarlarını kontrol edin ve bağlantı noktasının boş olduğundan emin olun. Daha sonra sayfayı tarayıcıda açın ve şifreyi girin.",
	"he": "לפני ההפעלה הראשונה בדקו את הגדרות הרשת וודאו שהיציאה פנויה. לאחר מכן פתחו את הדף בדפדפן.",
	"ar": "قبل التشغيل الأول تحقق من إعدادات الشبكة وتأكد من أن المنفذ متاح. ثم افتح الصفحة في المتصفح.",
	"vi": "Trước khi khởi động lần đầu, hãy kiểm tra các thiết lập mạng và bảo đảm rằng cổng không được dùng. Sau đó mở trang trong trình duyệt của bạn.",
	"ja": "初めて起動する前に、ネットワークの設定を確認してください。そのあと、ブラウザでページを開きます。",
	"zh": "第一次启动服务器之前，请检查网络设置，确认端口没有被其他程序使用。然后在浏览器中打开这个页面。",
	"tw": "第一次啟動伺服器之前，請檢查網路設定，確認連接埠沒有被其他程式使用。然後在瀏覽器中打開這個頁面。",
	"ko": "서버를 처음 시작하기 전에 네트워크 설정을 확인하고 포트가 사용되지 않는지 확인하십시오. 그런 다음 브라우저에서 페이지를 여십시오.",
}

// tableEncoder writes text by the upper half of a table encoding.
func tableEncoder(upper string) func(string) []byte {
	return func(s string) []byte {
		var out []byte
		for _, r := range s {
			switch i := strings.IndexRune(upper, r); {
			case r < 0x80:
				out = append(out, byte(r))
			case i >= 0:
				out = append(out, byte(0x80+len([]rune(upper[:i]))))
			}
		}
		return out
	}
}

func encode(enc encoding.Encoding) func(string) []byte {
	return func(s string) []byte {
		out, err := enc.NewEncoder().Bytes([]byte(s))
		if err != nil {
			panic(err)
		}
		return out
	}
}

// windows1258 writes Vietnamese the way Windows does: the letter whole, the tone behind it.
func windows1258(s string) []byte {
	tones := map[rune]byte{0x300: 0xCC, 0x309: 0xD2, 0x303: 0xDE, 0x301: 0xEC, 0x323: 0xF2}
	var out []byte
	for _, r := range s {
		if b, ok := charmap.Windows1258.EncodeRune(r); ok {
			out = append(out, b)
			continue
		}
		var letter, tone []rune
		for _, d := range norm.NFD.String(string(r)) {
			if tones[d] != 0 {
				tone = append(tone, d)
			} else {
				letter = append(letter, d)
			}
		}
		for _, l := range norm.NFC.String(string(letter)) {
			b, ok := charmap.Windows1258.EncodeRune(l)
			if !ok {
				panic(string(l))
			}
			out = append(out, b)
		}
		for _, d := range tone {
			out = append(out, tones[d])
		}
	}
	return out
}

func TestTheEncodingOfPlainTextIsToldAndNamed(t *testing.T) {
	for _, c := range []struct {
		name, sample string
		encode       func(string) []byte
	}{
		{"windows-1252", "fr", encode(charmap.Windows1252)}, {"windows-1252", "de", encode(charmap.ISO8859_1)},
		{"windows-1251", "ru", encode(charmap.Windows1251)}, {"koi8-r", "ru", encode(charmap.KOI8R)}, {"ibm866", "ru", encode(charmap.CodePage866)},
		{"windows-1250", "pl", encode(charmap.Windows1250)}, {"iso-8859-2", "pl", encode(charmap.ISO8859_2)}, {"windows-1250", "cs", encode(charmap.Windows1250)},
		{"windows-1253", "el", encode(charmap.Windows1253)}, {"windows-1254", "tr", encode(charmap.Windows1254)},
		{"windows-1255", "he", encode(charmap.Windows1255)}, {"windows-1256", "ar", encode(charmap.Windows1256)},
		{"windows-1258", "vi", windows1258}, {"tcvn3", "vi", tableEncoder(tcvn3)}, {"viscii", "vi", tableEncoder(viscii)},
		{"shift_jis", "ja", encode(japanese.ShiftJIS)}, {"euc-jp", "ja", encode(japanese.EUCJP)}, {"iso-2022-jp", "ja", encode(japanese.ISO2022JP)},
		{"gb18030", "zh", encode(simplifiedchinese.GBK)}, {"big5", "tw", encode(traditionalchinese.Big5)}, {"euc-kr", "ko", encode(korean.EUCKR)},
		{"utf-16le", "fr", encode(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM))}, {"utf-16be", "ru", encode(unicode.UTF16(unicode.BigEndian, unicode.UseBOM))},
		{"utf-8", "vi", func(s string) []byte { return []byte("\xEF\xBB\xBF" + s) }}, {"utf-8", "ja", func(s string) []byte { return []byte(s) }},
	} {
		t.Run(c.name+" "+c.sample, func(t *testing.T) {
			x, err := read(t, "a.txt", c.encode(samples[c.sample]))
			if err != nil || x.Text != samples[c.sample] || x.Encoding != c.name {
				t.Errorf("%s: %q, %v", x.Encoding, x.Text, err)
			}
		})
	}
}

func TestTextWithAFewBrokenBytesStaysUTF8(t *testing.T) {
	x, err := read(t, "a.txt", []byte(samples["ru"]+"\xFF"+samples["ru"]))
	if err != nil || x.Encoding != "utf-8" || len(x.Warnings) != 1 || !strings.Contains(x.Text, samples["ru"]+"\uFFFD") {
		t.Errorf("%s %q %v", x.Encoding, x.Warnings, err)
	}
}

func TestBinaryDataIsNoText(t *testing.T) {
	for _, name := range []string{"a.txt", "a.md", "a.html"} {
		if _, err := read(t, name, []byte("\x7FELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00>\x00\x01")); err == nil || !strings.Contains(err.Error(), "binary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRealLegacyTextsAreReadAsTheyWereWritten(t *testing.T) {
	e := New(Config{})
	root, _ := evalFiles(t, e)
	for file, want := range map[string][2]string{
		"text-legacy-encodings/Arabic_Alarabia-Arabic.txt":  {"windows-1256", "الإعلان العالمي لحقوق الإنسان"},
		"text-legacy-encodings/Chinese_Mandarin-HZ.txt":     {"hz-gb-2312", "世界人权宣言"},
		"text-legacy-encodings/French_Francais-Latin1.txt":  {"windows-1252", "Déclaration universelle des droits"},
		"text-legacy-encodings/Greek_Ellinika-Greek.txt":    {"windows-1253", "ΟΙΚΟΥΜΕΝΙΚΗ ΔΙΑΚΗΡΥΞΗ"},
		"text-legacy-encodings/Japanese_Nihongo-JIS.txt":    {"iso-2022-jp", "世界人権宣言"},
		"text-legacy-encodings/Russian_Russky-Cyrillic.txt": {"windows-1251", "Всеобщая декларация прав человека"},
		"text-legacy-encodings/Vietnamese-TCVN.txt":         {"tcvn3", "công nhận"},
		"text-legacy-encodings/Vietnamese-VIQR.txt":         {"windows-1258", "tháng 12 năm 1948"},
		"tika/russian.cp866.txt":                            {"ibm866", "в спокойствии чинном"},
		"tika/testTXT_win-1252.txt":                         {"windows-1252", "a “windows” encoding"},
		"text-utf8/udhr-vie.txt":                            {"utf-8", "nhân quyền"},
	} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		x, err := e.Extract(t.Context(), file, data)
		if err != nil || x.Encoding != want[0] || !strings.Contains(x.Text, want[1]) {
			t.Errorf("%s: %s, %v, %.200q", file, x.Encoding, err, x.Text)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s))
	}
	f.Add(windows1258(samples["vi"]))
	f.Add([]byte("\xFF\xFEa\x00"))
	f.Add([]byte("~{<:Ky2;~}~{~}~{~}"))
	e := New(Config{})
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := e.Extract(t.Context(), "a.txt", data)
		checkOutcome(t, x, err)
	})
}
