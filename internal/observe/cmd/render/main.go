// Command render draws the dashboard of package observe against a Prometheus, as one HTML page that looks like Grafana's: for those who
// have no Grafana at hand, for pictures in a document, and to see which panels are empty. shoot.mjs beside it makes PNGs of the page.
//
//	go run ./internal/observe/cmd/render -prometheus http://127.0.0.1:9090 -out DIR
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/observe"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("render", flag.ContinueOnError)
	from := flags.String("prometheus", "http://127.0.0.1:9090", "address of a Prometheus")
	out := flags.String("out", "", "folder for dashboard.html")
	span := flags.Duration("range", time.Hour, "time shown")
	window := flags.Duration("window", time.Minute, "what rates are taken over ($__rate_interval): at least four scrapes")
	end := flags.String("end", "", "last moment shown, as 2006-01-02T15:04:05Z; now if not given")
	only := flags.String("panels", ".", "regular expression of \"Row: Title\" of the panels to draw")
	empty := flags.Bool("empty", false, "fail if a panel is empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	last := time.Now()
	if *end != "" {
		var err error
		if last, err = time.Parse(time.RFC3339, *end); err != nil {
			return fmt.Errorf("-end: %w", err)
		}
	}
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-panels: %w", err)
	}
	if *out == "" || *span <= 0 || *window <= 0 || flags.NArg() > 0 {
		return errors.New("-out names a folder, -range and -window are above 0, and there is nothing else to say; -h lists the flags")
	}
	board := observe.Dashboard()
	found, err := (&prometheus{*from, board, last.Add(-*span), last, *window}).all(chosen)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil { //nolint:gosec // pictures for everybody
		return err
	}
	path := filepath.Join(*out, "dashboard.html")
	if err := os.WriteFile(path, draw(board, found), 0o644); err != nil { //nolint:gosec // as above
		return err
	}
	fmt.Fprintf(stdout, "%s: %d panels, %d empty\n", path, len(found.panels), len(found.empty))
	for _, name := range found.empty {
		fmt.Fprintln(stdout, "empty:", name)
	}
	if *empty && len(found.empty) > 0 {
		return fmt.Errorf("empty panels: %s", strings.Join(found.empty, "; "))
	}
	return nil
}
