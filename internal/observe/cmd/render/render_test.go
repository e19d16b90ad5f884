package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/observe"
)

// scriptedProm answers every query with two series, but for those with a certain name in them.
func scriptedProm(t *testing.T, nothing string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		if strings.Contains(query, "$") {
			t.Errorf("a variable is not filled in: %s", query)
		}
		at := `"value":[1e9,"1"]`
		if r.URL.Path == "/api/v1/query_range" {
			at = `"values":[[1e9,"0"],[1000000010,"NaN"],[1000000020,"2"]]`
		}
		label := func(le string) string {
			return fmt.Sprintf(`{"metric":{"le":%q,"route":"<u>","breaker_name":"b"},%s}`, le, at)
		}
		if nothing != "" && strings.Contains(query, nothing) {
			fmt.Fprint(w, `{"status":"success","data":{"result":[]}}`)
			return
		}
		fmt.Fprintf(w, `{"status":"success","data":{"result":[%s,%s]}}`, label("0.5"), label("+Inf"))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestEveryPanelIsDrawn(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-prometheus", scriptedProm(t, ""), "-out", dir, "-range", "1m", "-end", "2001-09-09T01:46:50Z", "-empty"}
	if err := run(args, io.Discard); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "dashboard.html"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for i, r := range observe.Dashboard().Rows {
		for j, p := range r.Panels {
			_, rest, ok := strings.Cut(page, `id="panel-`+strconv.Itoa(observe.PanelID(i, j))+`"`)
			body, _, closed := strings.Cut(rest, "</section>")
			if !ok || !closed || !strings.Contains(body, "<svg") && !strings.Contains(body, "<td") && !strings.Contains(body, "value\">") && !strings.Contains(body, "bar\">") || strings.Contains(body, "No data") {
				t.Errorf("%s: %s is not drawn: %s", r.Title, p.Title, body)
			}
		}
	}
	for _, not := range []string{"<u>", "NaN", "ZgotmplZ"} {
		if strings.Contains(page, not) {
			t.Errorf("%s is in the page", not)
		}
	}
}

func TestEmptyPanelsAreNamedAndFailWhereThatIsAskedFor(t *testing.T) {
	url := scriptedProm(t, "ollama_rag_semcache_fill_ratio")
	args := []string{"-prometheus", url, "-out", t.TempDir()}
	var says strings.Builder
	if err := run(args, &says); err != nil || !strings.Contains(says.String(), "\nempty: Cache: Fill\n") {
		t.Errorf("%v, %s", err, &says)
	}
	if err := run(append(args, "-empty"), io.Discard); err == nil || err.Error() != "empty panels: Cache: Fill" {
		t.Errorf("got %v", err)
	}
	if err := run(append(args, "-empty", "-panels", "^Hosts:"), io.Discard); err != nil {
		t.Error(err)
	}
}

func TestFaultsSayWhere(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "error": "parse error"})
	}))
	t.Cleanup(broken.Close)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-prometheus", broken.URL, "-out", t.TempDir()}, "Status: Server: parse error"},
		{[]string{"-prometheus", "http://127.0.0.1:1", "-out", t.TempDir()}, "refused"},
		{nil, "-out names a folder"},
		{[]string{"-out", "x", "-end", "noon"}, "-end"},
		{[]string{"-out", "x", "-panels", "("}, "-panels"},
	} {
		if err := run(c.args, io.Discard); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %q", c.args, err, c.says)
		}
	}
}

func TestValuesAreWrittenInTheirUnit(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{.0004, "s", "400 µs"}, {.25, "s", "250 ms"}, {90, "s", "1.50 min"}, {7200, "s", "2 h"}, {0, "s", "0 s"},
		{1536, "bytes", "1.50 KiB"}, {0, "bytes", "0 B"}, {.123, "percentunit", "12.3 %"}, {1234, "short", "1.23 K"}, {.5, "reqps", "0.50 req/s"}, {740, "none", "740"},
	} {
		if got := format(c.v, c.unit); got != c.want {
			t.Errorf("%g %s: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}
