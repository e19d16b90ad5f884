package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

var dialResults = [...]string{"ok", "refused", "timeout", "error"}

// keepAlive is how long an unused connection is kept. Shorter than any server's own limit that is known (Ollama has
// none), so that a request rarely meets a connection that is being closed.
const keepAlive = 90 * time.Second

// newTransport makes the pooled transport of one host. Ollama's streams are HTTP/1.1; nothing is compressed, so that
// bytes pass as they are.
func newTransport(cfg *Config, c *counts) *http.Transport {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment, // which leaves loopback alone
		DialContext:           countingDialer(cfg.ConnectTimeout, c),
		TLSHandshakeTimeout:   cfg.ConnectTimeout,
		MaxIdleConns:          cfg.PoolConnections * cfg.PoolMaxSize,
		MaxIdleConnsPerHost:   cfg.PoolMaxSize,
		IdleConnTimeout:       keepAlive,
		DisableCompression:    true,
		ExpectContinueTimeout: time.Second,
	}
	if cfg.PoolBlock {
		t.MaxConnsPerHost = cfg.PoolMaxSize
	}
	return t
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func countingDialer(timeout time.Duration, c *counts) dialFunc {
	d := net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, addr)
		c.dials[dialResult(err)].Add(1)
		if err != nil {
			return nil, err
		}
		c.conns.Add(1)
		return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { c.conns.Add(-1) })}, nil
	}
}

// dialResult is an index into dialResults.
func dialResult(err error) int {
	var timeout net.Error
	switch {
	case err == nil:
		return 0
	case errors.Is(err, syscall.ECONNREFUSED):
		return 1
	case errors.As(err, &timeout) && timeout.Timeout():
		return 2
	}
	return 3
}

// countedConn tells when it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
