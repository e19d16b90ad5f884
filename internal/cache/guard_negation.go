package cache

import "strings"

// sameNegation wants both questions to deny, or neither, and no word of one whose opposite stands in the other in its place.
func sameNegation(a, b *question) bool {
	return negations(a)%2 == negations(b)%2 && !opposed(a, b) && !opposed(b, a) && particles(a) == particles(b)
}

// particles are the ways that a verb's small word points: "turn on" or "turn off". By itself such a word says nothing.
func particles(q *question) (all string) {
	for _, verb := range []string{"turn", "switch", "log", "sign", "opt", "scale", "roll", "check", "power"} {
		for _, particle := range []string{"on", "off", "in", "out", "up", "down"} {
			if q.has(verb, particle) {
				all += particle + " "
			}
		}
	}
	return all
}

var negative = wordSet(`not no never none nobody nothing nowhere neither nor without cannot cant dont doesnt didnt isnt arent wasnt werent wont
wouldnt shouldnt couldnt hasnt havent hadnt unable không chưa chẳng đừng chớ`)

// negations counts the words that deny. "n't" comes as a word "t" behind what it denies; the "không" that ends a Vietnamese
// question only asks.
func negations(q *question) int {
	n := 0
	for i, w := range q.words {
		switch {
		case w == "không" && i == len(q.words)-1:
		case negative[w]:
			n++
		case w == "t" && i > 0 && strings.HasSuffix(q.words[i-1], "n"):
			n++
		}
	}
	return n
}

// opposed says whether a has a word that b lacks, and b its opposite, which a lacks.
func opposed(a, b *question) bool {
	for w := range a.count {
		if b.count[w] > 0 {
			continue
		}
		for _, other := range opposites[w] {
			if b.count[other] > 0 && a.count[other] == 0 {
				return true
			}
		}
	}
	return false
}

// opposites are pairs of words of which a question means one or the other; both ways round.
var opposites = pairs(`enable disable
enabled disabled
enabling disabling
opened closed
opening closing
start stop
started stopped
begin end
install uninstall
add remove
add delete
insert delete
create delete
create drop
create destroy
load unload
lock unlock
activate deactivate
allow deny
allow forbid
allowed forbidden
accept reject
accept decline
accepted rejected
accepted declined
include exclude
connect disconnect
attach detach
mount unmount
subscribe unsubscribe
import export
upload download
send receive
buy sell
win lose
won lost
increase decrease
increase reduce
raise lower
before after
north south
east west
northern southern
eastern western
valid invalid
possible impossible
legal illegal
safe unsafe
safe dangerous
public private
internal external
encode decode
encrypt decrypt
compress decompress
advantage disadvantage
advantages disadvantages
pros cons
benefits drawbacks
best worst
better worse
success failure
succeed fail
hot cold
oldest newest
rich poor
male female
men women
father mother
husband wife
parent child
deposit withdraw
deposit withdrawal
debit credit
credited debited
virtual physical
cheap expensive
fast slow
bật tắt
mở đóng
thêm xóa
tạo xóa
tăng giảm
trước sau
nhập xuất
gửi nhận
mua bán
đúng sai
tốt xấu
nóng lạnh
nam nữ`)

func pairs(list string) map[string][]string {
	out := map[string][]string{}
	for line := range strings.Lines(list) {
		p := strings.Fields(line)
		out[p[0]] = append(out[p[0]], p[1])
		out[p[1]] = append(out[p[1]], p[0])
	}
	return out
}

func wordSet(list string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		out[w] = true
	}
	return out
}
