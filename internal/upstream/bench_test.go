package upstream

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func BenchmarkOverhead(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = io.WriteString(w, `{"message":{"role":"assistant","content":"x"},"done":true}`+"\n")
	})}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	u := "http://" + l.Addr().String()
	run := func(rt http.RoundTripper) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req, _ := http.NewRequest(http.MethodPost, u+"/api/chat", strings.NewReader(chatBody))
				if _, _, err := send(rt, req); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("bare transport", run(&http.Transport{DisableCompression: true}))
	b.Run("upstream", run(client(b, quick(b, u))))
}
