package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/config"
)

// docTable reads what stands between two marks of a page.
func docTable(t *testing.T, page, name string) string {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, began := strings.Cut(string(data), "<!-- "+name+": begin -->\n")
	table, _, ended := strings.Cut(rest, "<!-- "+name+": end -->")
	if !began || !ended {
		t.Fatalf("%s lacks the marks of %s", page, name)
	}
	return table
}

func TestSettingsPageListsEverySetting(t *testing.T) {
	var want strings.Builder
	want.WriteString("| name | flag | default | what it is |\n|---|---|---|---|\n")
	for _, s := range config.All() {
		flag, def := "", s.Default
		if s.Flag != "" {
			flag = "`--" + s.Flag + "`"
		}
		if s.Env == "OLLAMA_RAG_DATA_DIR" {
			def = "$XDG_DATA_HOME/ollama-rag, else ~/.local/share/ollama-rag"
		}
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", s.Env, flag, def, s.Help)
	}
	if got := docTable(t, "../../docs/settings.md", "settings"); got != want.String() {
		t.Errorf("docs/settings.md does not list the settings as they are; between its marks it must say:\n%s", want.String())
	}
}

func TestEveryRouteIsDocumented(t *testing.T) {
	_, h := scripted(t)
	data, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for series := range h.scrape() {
		rest, ok := strings.CutPrefix(series, `ollama_rag_http_request_duration_seconds_count{route="/api/`)
		if !ok {
			continue
		}
		route := "/api/" + strings.TrimSuffix(rest, `"}`)
		if !strings.Contains(string(data), route) {
			t.Errorf("docs/api.md does not name %s", route)
		}
	}
}
