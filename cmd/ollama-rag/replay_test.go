package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// transcript is one request to a real Ollama 0.17.4 and its answer, byte for byte.
type transcript struct {
	file, method, path string
	header             []string // of the request, as lines
	body               string
	proto              string // the answer's first line
	answer             http.Header
	content            []byte
	chunks             []string // how the content was cut; nil where it has a length
}

// differs are the transcripts that do not come back as they are, with what is done on purpose. Lists of models differ too, see
// TestTranscriptsReplay.
var differs = map[string]string{
	"01-root.txt":                "/ is the page for browsers; what others get is Ollama's text, answered here, so the date is ours",
	"64-unknown-path.txt":        "a path that nobody knows is refused here, GATEWAY_UNKNOWN=true passes it on",
	"68-cors-preflight.txt":      "which web origins may call is said by CORS_ORIGINS: Origin is not passed on, and a preflight is answered here",
	"90-runnerdeath-v1chat.txt":  "Ollama loses the error of a model that died; our error follows what it sent",
	"91-queue-full-503.txt":      "a 503 gets a Retry-After",
	"91-queue-full-503.txt (v1)": "the same",
}

func readTranscripts(t *testing.T) []transcript {
	t.Helper()
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	var all []transcript
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		rest := string(data)
		if first, second, two := strings.Cut(rest, "\n>>> POST /v1/"); two && strings.HasPrefix(name, "91") {
			all = append(all, readTranscript(t, name, first+"\n"))
			name, rest = name+" (v1)", ">>> POST /v1/"+second
		}
		all = append(all, readTranscript(t, name, rest))
	}
	return all
}

func readTranscript(t *testing.T, name, data string) transcript {
	t.Helper()
	request, answer, ok := strings.Cut(data, "<<<\n")
	if !ok {
		t.Fatalf("%s has no answer", name)
	}
	tr := transcript{file: name}
	for i, line := range strings.Split(strings.TrimSpace(request), "\n") {
		line = strings.TrimPrefix(line, ">>> ")
		if i > 0 {
			tr.body += line
			continue
		}
		words := strings.SplitN(line+"  ", " ", 3)
		tr.method, tr.path = words[0], words[1]
		for _, flag := range strings.Split(words[2], "-H ")[1:] {
			tr.header = append(tr.header, strings.TrimSpace(flag))
		}
	}
	head, content, ok := strings.Cut(answer, "\r\n\r\n")
	if !ok { // those of 90- were written down by hand
		head, content, _ = strings.Cut(answer, "\n\n")
	}
	r := bufio.NewReader(strings.NewReader(head + "\r\n\r\n"))
	tr.proto, _ = textproto.NewReader(r).ReadLine()
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	tr.answer = http.Header(header)
	tr.cut(t, content)
	return tr
}

// cut finds the answer's bytes and, in a stream, its chunks. Whoever wrote the file down put a line break at its end.
func (tr *transcript) cut(t *testing.T, content string) {
	t.Helper()
	if n := tr.answer.Get("Content-Length"); n != "" {
		length, err := strconv.Atoi(n)
		if err != nil {
			t.Fatal(err)
		}
		if tr.method == http.MethodHead {
			length = 0
		}
		tr.content = []byte(content[:length])
		return
	}
	if tr.answer.Get("Transfer-Encoding") == "" {
		return
	}
	if strings.HasPrefix(tr.file, "12-") { // as it was on the wire
		plain, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(content)))
		if err != nil {
			t.Fatal(err)
		}
		content = string(plain) + "\n"
	}
	if !strings.HasPrefix(tr.file, "90-") {
		content = strings.TrimSuffix(content, "\n")
	}
	tr.content = []byte(content)
	end := "\n"
	if tr.answer.Get("Content-Type") == "text/event-stream" {
		end = "\n\n"
	}
	for _, chunk := range strings.SplitAfter(content, end) {
		if chunk != "" {
			tr.chunks = append(tr.chunks, chunk)
		}
	}
}

// wire is the answer as it goes over a connection.
func (tr *transcript) wire() []byte {
	var b bytes.Buffer
	b.WriteString(tr.proto + "\r\n")
	_ = tr.answer.Write(&b)
	b.WriteString("\r\n")
	if tr.chunks == nil {
		b.Write(tr.content)
		return b.Bytes()
	}
	for _, chunk := range tr.chunks {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(chunk), chunk)
	}
	b.WriteString("0\r\n\r\n")
	return b.Bytes()
}

// replayer answers every request with the transcript at hand, in its very bytes.
func replayer(t *testing.T, now func() *transcript) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(r.Body)
					tr := now()
					if r.Method != tr.method || string(body) != tr.body || r.Header.Get("Origin") != "" {
						t.Errorf("%s: Ollama got %s %s %v %q", tr.file, r.Method, r.URL, r.Header, body)
					}
					if _, err := conn.Write(tr.wire()); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// replayed is what came back.
type replayed struct {
	*http.Response
	content []byte
	chunks  []string
}

// exchange sends the transcript's request over a connection of its own and reads the answer with its chunks.
func (tr *transcript) exchange(t *testing.T, address string) replayed {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second)) // or a fault here would hang the test
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n", tr.method, tr.path, len(tr.body))
	if !slices.ContainsFunc(tr.header, func(h string) bool { return strings.HasPrefix(h, "Host:") }) {
		fmt.Fprintf(conn, "Host: %s\r\n", address)
	}
	for _, line := range tr.header {
		fmt.Fprintf(conn, "%s\r\n", line)
	}
	fmt.Fprintf(conn, "\r\n%s", tr.body)
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: tr.method})
	if err != nil {
		t.Fatalf("%s: %v in %q", tr.file, err, raw)
	}
	out := replayed{Response: resp}
	if out.content, err = io.ReadAll(resp.Body); err != nil {
		t.Errorf("%s: the answer was cut: %v", tr.file, err)
	}
	if slices.Contains(resp.TransferEncoding, "chunked") {
		_, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		out.chunks = chunksOf(t, body)
	}
	return out
}

func chunksOf(t *testing.T, body []byte) []string {
	t.Helper()
	var out []string
	for {
		size, rest, _ := bytes.Cut(body, []byte("\r\n"))
		n, err := strconv.ParseInt(string(size), 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return out
		}
		out, body = append(out, string(rest[:n])), rest[n+2:]
	}
}

// endToEnd leaves out what belongs to each connection.
func endToEnd(h http.Header) http.Header {
	h = h.Clone()
	h.Del("Connection")
	h.Del("Transfer-Encoding")
	return h
}

func TestTranscriptsReplay(t *testing.T) {
	var now *transcript
	h := open(t, replayer(t, func() *transcript { return now }), "GATEWAY_ADMIN=true")
	same := 0
	for _, tr := range readTranscripts(t) {
		now = &tr
		h.upstream.Reset()
		got := tr.exchange(t, strings.TrimPrefix(h.url, "http://"))
		fault := tr.compare(got)
		if _, purpose := differs[tr.file]; purpose == (fault == "") {
			t.Errorf("%s: %s (in the list of those that differ: %v)", tr.file, fault, purpose)
		}
		if fault == "" {
			same++
		}
		switch {
		case strings.HasPrefix(tr.file, "91-"):
			got.Header.Del("Retry-After")
			if fault := tr.compare(got); fault != "" {
				t.Errorf("%s: differs in more than Retry-After: %s", tr.file, fault)
			}
		case tr.file == "90-runnerdeath-v1chat.txt":
			rest, ok := bytes.CutPrefix(got.content, tr.content)
			if !ok || !bytes.HasPrefix(rest, []byte(`data: {"error":{"message":"Ollama at `)) || !bytes.HasSuffix(rest, []byte("}}\n\n")) {
				t.Errorf("%s: ends in %q", tr.file, rest)
			}
		case tr.file == "01-root.txt" && (got.StatusCode != 200 || string(got.content) != string(tr.content)):
			t.Errorf("/: %d %q", got.StatusCode, got.content)
		}
	}
	t.Logf("%d transcripts came back as they are", same)
}

// compare gives the first difference, "" if there is none.
func (tr *transcript) compare(got replayed) string {
	if want := strings.TrimPrefix(tr.proto, "HTTP/1.1 "); got.Status != want {
		return fmt.Sprintf("status %s, want %s: %.300s", got.Status, want, got.content)
	}
	if !bytes.Equal(got.content, tr.content) && !tr.extendedBy(got) {
		return fmt.Sprintf("%d bytes\n%.600q\nwant %d\n%.600q", len(got.content), got.content, len(tr.content), tr.content)
	}
	wantHeader, gotHeader := endToEnd(tr.answer), endToEnd(got.Header)
	if tr.isList() {
		wantHeader.Del("Content-Length")
		gotHeader.Del("Content-Length")
	}
	if !reflect.DeepEqual(wantHeader, gotHeader) {
		return fmt.Sprintf("header %v, want %v", gotHeader, wantHeader)
	}
	if (got.chunks == nil) != (tr.chunks == nil) {
		return fmt.Sprintf("in chunks: %v, want %v", got.chunks != nil, tr.chunks != nil)
	}
	if stream := tr.answer.Get("Content-Type"); strings.HasPrefix(stream, "application/x-ndjson") || strings.HasPrefix(stream, "text/event-stream") {
		if !slices.Equal(got.chunks, tr.chunks) {
			return fmt.Sprintf("%d chunks %q, want %d", len(got.chunks), got.chunks, len(tr.chunks))
		}
	}
	return ""
}

func (tr *transcript) isList() bool { return tr.path == "/api/tags" || tr.path == "/v1/models" }

// extendedBy says whether an answer is this list of models, byte for byte, with ours at its end.
func (tr *transcript) extendedBy(got replayed) bool {
	i := bytes.LastIndex(tr.content, []byte("]}"))
	return tr.isList() && bytes.HasPrefix(got.content, tr.content[:i]) && bytes.HasPrefix(got.content[i:], []byte(",{")) &&
		bytes.Contains(got.content[i:], []byte(`"builtin:latest"`)) && bytes.HasSuffix(got.content, tr.content[i:])
}
