package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/config"
	"github.com/ollama-rag/ollama-rag/internal/store"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the page and the API",
		Long: `Serves the page and the API, and ingests what --docs names into the knowledge base "default" first.
Ctrl-C or SIGTERM lets running requests end, for 20 seconds at most.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := settings(cmd)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c)
		},
	}
	addSettingFlag(cmd, "addr", "addr-file", "docs", "insecure")
	return cmd
}

func serve(ctx context.Context, c config.Config) error {
	level := new(slog.LevelVar)
	level.Set(c.LogLevel)
	h, err := openHouse(ctx, c, newLogger(c, level))
	if err != nil {
		return err
	}
	h.logLevel = level
	err = h.listenAndServe(ctx)
	return errors.Join(err, h.close())
}

func (h *house) listenAndServe(ctx context.Context) error {
	c := h.config
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w (choose another address with --addr)", c.Addr, err)
	}
	if !isLoopback(listener.Addr()) && len(c.APIKeys) == 0 && !c.Insecure {
		return errors.Join(usageError{fmt.Errorf("%s is reachable from other machines and no API_KEYS are set: set them, listen on 127.0.0.1, or insist with --insecure", c.Addr)}, listener.Close())
	}
	for _, base := range c.BaseURLs {
		if itself(base, listener.Addr()) {
			return errors.Join(usageError{fmt.Errorf("%s is this server's own address: it would ask itself without end; name Ollama's in OLLAMA_BASE_URL (OLLAMA_HOST stands for it where that is not set)", base)}, listener.Close())
		}
	}
	address := "http://" + listener.Addr().String()
	withdraw, err := h.store.Announce(store.Server{URL: address, Token: h.token})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer withdraw()
	endDebug, err := h.serveDebug()
	if err != nil {
		return errors.Join(usageError{err}, listener.Close())
	}
	defer func() { _ = endDebug() }()
	srv := &http.Server{Handler: h.handler(listener.Addr()), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelWarn)}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()

	if c.AddrFile != "" {
		if err := os.WriteFile(c.AddrFile, []byte(address+"\n"), 0o644); err != nil {
			return errors.Join(fmt.Errorf("write --addr-file: %w", err), srv.Close())
		}
	}
	fmt.Fprintln(os.Stderr, "listening on", address)
	background, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.background(background)
	}()
	defer func() { stop(); <-done }()

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	h.log.Info("stopping; running requests may end", "longest", c.DrainTimeout.String())
	drain, cancel := context.WithTimeout(context.Background(), c.DrainTimeout)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		h.log.Warn("requests were cut", "error", err)
		return srv.Close()
	}
	return nil
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// itself says whether a host's URL leads back to where this server listens.
func itself(base string, listening net.Addr) bool {
	u, err := url.Parse(base)
	tcp, ok := listening.(*net.TCPAddr)
	if err != nil || !ok {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if port != strconv.Itoa(tcp.Port) {
		return false
	}
	host := net.ParseIP(u.Hostname())
	if strings.EqualFold(u.Hostname(), "localhost") || host != nil && host.IsUnspecified() {
		host = net.IPv4(127, 0, 0, 1)
	}
	return host != nil && (host.Equal(tcp.IP) || host.IsLoopback() && (tcp.IP.IsUnspecified() || tcp.IP.IsLoopback()))
}

func newLogger(c config.Config, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
