package text

import "unicode"

// script is a script, and the language that is meant when nothing more is known.
type script struct {
	code  string
	table *unicode.RangeTable
	dense bool // a character is worth about two letters
}

// scripts, in the order of the numbers below.
var scripts = [numScripts]script{
	{"zh", unicode.Han, true},
	{"ja", nil, true}, // Hiragana and Katakana
	{"ru", unicode.Cyrillic, false},
	{"ar", unicode.Arabic, false},
	{"ko", unicode.Hangul, true},
	{"el", unicode.Greek, false},
	{"he", unicode.Hebrew, false},
	{"th", unicode.Thai, false},
	{"hi", unicode.Devanagari, false},
	{"bn", unicode.Bengali, false},
	{"ta", unicode.Tamil, false},
	{"te", unicode.Telugu, false},
	{"kn", unicode.Kannada, false},
	{"ml", unicode.Malayalam, false},
	{"gu", unicode.Gujarati, false},
	{"pa", unicode.Gurmukhi, false},
	{"si", unicode.Sinhala, false},
	{"ka", unicode.Georgian, false},
	{"hy", unicode.Armenian, false},
	{"km", unicode.Khmer, false},
	{"lo", unicode.Lao, false},
	{"my", unicode.Myanmar, false},
	{"am", unicode.Ethiopic, false},
	{"bo", unicode.Tibetan, false},
}

const (
	scriptHan      = 0
	scriptKana     = 1
	scriptCyrillic = 2
	scriptArabic   = 3
	numScripts     = 24
)

// scriptOf gives the number of a letter's script, -1 for one that is not listed.
func scriptOf(r rune) int {
	for i := range scripts {
		if i == scriptKana {
			if unicode.In(r, unicode.Hiragana, unicode.Katakana) || r == 'ー' {
				return i
			}
		} else if unicode.Is(scripts[i].table, r) {
			return i
		}
	}
	return -1
}

// latin lists languages in Latin letters: their commonest words, and letters that few others have.
var latin = [...]struct{ code, letters, words string }{
	{"en", "", `the of and to in is was for that on with as by at from are be this have has had were which it not or an but his her
		their they its been when what who where how why can will would should there these does did do about than if you your all also
		more one many most some such into other after first between during`},
	{"fr", "çœèêùîûëï", `le la les de des du un une et est en dans que qui pour sur pas par plus au aux avec ce cette ces son sa ses il elle
		ils nous vous ne se sont été être ont mais ou où comme tout tous leur dont sans entre quel quelle combien quand l d qu n c s`},
	{"de", "äöüß", `der die das und ist in zu den von mit für auf dem des ein eine einer eines einem einen im nicht sich auch als an er sie es
		wird werden wurde war sind bei nach aus oder hat haben wie was wer wo über nur noch durch zum zur dass kann welche welcher`},
	{"es", "ñ¿¡áíóú", `el la los las de del y en que es un una por con para se no su al lo como más o fue son está este esta ha sus pero sobre
		entre cuando también hasta desde donde quién qué cuál cuándo todo todos ser muy sin años`},
	{"pt", "ãõç", `o a os as de do da dos das e em no na nos nas que é um uma por com para se não mais ao como foi são seu sua mas ou entre
		quando também pelo pela ser está este esta isso muito sobre até onde quem qual foram sem`},
	{"it", "èìòù", `il lo la i gli le di del della dei delle degli e è in nel nella che un una per con non si da dal dalla al alla sono come più
		anche ma o su questo questa suo sua ha essere stato tra quando dove chi quale loro l d dell nell`},
	{"nl", "ij", `de het een en van in is op te dat die voor met zijn niet aan er om ook als bij of naar uit door maar over wordt werd worden
		deze dit was heeft hebben kan nog wel geen waar wat wie hoe hun tot tussen`},
	{"pl", "ąęłńśźż", `w i na z się nie do że to jest o jak za od po przez dla są ale czy co tym przy był była było tego jego jej oraz który która
		które ma też tylko być może lub we ich bez pod nad`},
	{"sv", "åäö", `och i att det som en på är av för med den till inte om ett han var de har från vid kan men så eller hon under när efter
		också ska skulle detta denna mot sig sin vad hur vem alla blev mellan`},
	{"da", "åæø", `og i at det som en på er af for med den til ikke om et han var de har fra ved kan men så eller hun under når efter også
		skal blev mod sig sin hvad hvordan hvem alle mellem hvor være være blive`},
	{"no", "åæø", `og i at det som en på er av for med den til ikke om et han var de har fra ved kan men så eller hun under når etter også
		skal ble mot seg sin hva hvordan hvem alle mellom hvor være bli dette denne`},
	{"fi", "äö", `ja on ei se että oli joka mutta ovat myös kun niin kuin tai hän ne sen olla mukaan jos vain jossa ole voi sekä jonka mikä
		tämä hänen vuonna sitä siitä kuka missä`},
	{"tr", "ğışİ", `ve bir bu için ile de da olarak olan en daha çok gibi ne kadar sonra ise olduğu tarafından var değil ya veya her mi mı
		ancak o hangi nasıl kim nerede göre oldu iki`},
	{"id", "", `yang dan di dari untuk dengan pada ini adalah dalam tidak itu ke akan oleh sebagai juga atau dapat mereka telah ada bisa
		karena saat lebih kami anda saya secara tersebut seperti apa siapa bagaimana orang setiap hak`},
	{"ro", "ăâîșțşţ", `și în de la cu o a un pe care este din nu să pentru mai ce au fi sunt fost prin sau ca al ale lui dar într după când
		unei unui această acest se le`},
	{"cs", "ěřůčšž", `a v se na je že to s z do o i k ve pro za by jsou byl ale jako od po který která které jeho nebo bylo byla podle není
		tak co při si jejich mezi také má`},
	{"sk", "ľĺŕôäčšžť", `a v sa na je že to s z do o i k vo pre za by sú bol ale ako od po ktorý ktorá ktoré jeho alebo bolo bola podľa nie
		tak čo pri si ich medzi aj má`},
	{"hu", "őűöüáé", `a az és hogy nem is egy ez van volt meg de azt csak mint el ki már vagy aki ami kell lehet még után között minden
		szerint ennek által ezt mely`},
	{"hr", "čćđšž", `i u je se na da za su od s o kao koji koja koje ne ili ali bio bila nije iz što po te to sa biti ima može nakon
		prema između kako sve`},
	{"ca", "çàèò", `el la els les de del dels i en que és un una per amb no es al com més va ser són seu seva aquest aquesta però també
		entre quan on ha o pel fins tot`},
	{"lt", "ąčęėįšųūž", `ir yra kad į iš su buvo kaip ar per tai po bet jo nuo kurie už dėl taip arba apie pagal jų tik`},
	{"et", "õäöü", `ja on ei et see oli ka kui mis ta oma või aga selle kes nii ning pärast seda tema mille kuid olid`},
	{"sw", "", `ya na wa kwa ni katika la za kama hii cha yake huo kuwa au si hiyo pia watu mtu kila haki hizo`},
	{"tl", "", `ang ng sa mga na at ay ito para hindi si kung may siya niya ako mula bilang isang lahat tao karapatan`},
	{"eo", "ĉĝĥĵŝŭ", `la kaj de en al estas por ne kiu ke li ĝi ili sed kun oni pri ĉiu kiel sia aŭ por`},
}
