package main

import (
	"net"
	"testing"
)

func TestAServerIsNeverItsOwnModelServer(t *testing.T) {
	at := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 11434} }
	for _, c := range []struct {
		base string
		addr net.Addr
		want bool
	}{
		{"http://127.0.0.1:11434", at("127.0.0.1"), true},
		{"http://localhost:11434", at("127.0.0.1"), true},
		{"http://0.0.0.0:11434", at("127.0.0.1"), true},
		{"http://[::1]:11434", at("::"), true},
		{"http://192.0.2.7:11434", at("192.0.2.7"), true},
		{"http://127.0.0.1:11435", at("127.0.0.1"), false},
		{"http://192.0.2.7:11434", at("127.0.0.1"), false},
		{"http://gpu.example:11434", at("127.0.0.1"), false},
		{"http://127.0.0.1", at("127.0.0.1"), false},
	} {
		if got := itself(c.base, c.addr); got != c.want {
			t.Errorf("%s while listening on %s: %t", c.base, c.addr, got)
		}
	}
}
