package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/config"
	"github.com/ollama-rag/ollama-rag/internal/ollama"
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

func TestHelpSaysThatTheEnvironmentComesBeforeAFlagsDefault(t *testing.T) {
	help := runProgram(t, t.TempDir(), nil, "serve", "--help").stdout
	for _, want := range []string{"(default: OLLAMA_RAG_DATA_DIR, else /", "(default: OLLAMA_RAG_ADDR, else 127.0.0.1:8000)", "(default: OLLAMA_RAG_ADDR_FILE)"} {
		if !strings.Contains(help, want) {
			t.Errorf("serve --help lacks %q:\n%s", want, help)
		}
	}
}

func TestAllHintsNameTheSameModelToPull(t *testing.T) {
	for _, page := range []string{"../../README.md", "../../internal/web/static/ask.js"} {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		_, after, found := strings.Cut(string(data), "ollama pull ")
		if !found || !strings.HasPrefix(after, ollama.DefaultChatModel) {
			t.Errorf("%s: pull %.20q, want %s", page, after, ollama.DefaultChatModel)
		}
	}
}
