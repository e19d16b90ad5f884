package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ollama-rag/ollama-rag/"

// leaves import the standard library and golang.org/x only.
var leaves = []string{"breaker", "vec", "text", "problem", "stat", "wire"}

// adapters import rag and any leaves, never each other.
var adapters = []string{"cache", "chunk", "embed", "eval", "extract", "gateway", "ingest", "ollama", "openai", "search", "server", "store", "upstream", "worth"}

// only names the one package that may import a library.
var only = map[string]string{
	"github.com/prometheus/client_golang": "internal/metrics",
	"go.opentelemetry.io/otel":            "internal/trace",
	"modernc.org/sqlite":                  "internal/store",
	"github.com/klippa-app/go-pdfium":     "internal/extract",
	"github.com/spf13/cobra":              "cmd/ollama-rag",
}

type pkg struct {
	ImportPath string
	Doc        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,GoFiles,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// allowed says whether package from may import package to, both without the module's path.
func allowed(from, to string) bool {
	from, inner := strings.CutPrefix(from, "internal/")
	to = strings.TrimPrefix(to, "internal/")
	switch {
	case !inner:
		return to != "ollamatest" && to != "archtest" // cmd sees all but the tests' own
	case from == "metrics" || from == "trace" || from == "live":
		return to != "server" && to != "web"
	case slices.Contains(adapters, from):
		return to == "rag" || slices.Contains(leaves, to)
	case strings.HasPrefix(from, to+"/internal/"), strings.HasPrefix(from, to+"/cmd/"):
		return true // a package's own tools
	case strings.Contains(from, "/internal/"):
		return to == "rag" // tools of a package, for measuring
	case from == "ollamatest":
		return to == "wire"
	}
	return false // rag, leaves, config, web, archtest: nothing of the house
}

func TestImportsFollowTheLaw(t *testing.T) {
	all := packages(t)
	if len(all) < 15 {
		t.Fatalf("only %d packages were listed: the law would be checked on nothing", len(all))
	}
	for _, p := range all {
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module)
			if ours && !allowed(from, to) {
				t.Errorf("%s imports %s: the law of imports does not allow it", from, to)
			}
			checkLibrary(t, from, imported, ours)
		}
	}
}

func checkLibrary(t *testing.T, from, imported string, ours bool) {
	t.Helper()
	name := strings.TrimPrefix(from, "internal/")
	foreign := !ours && strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")
	if foreign && name == "rag" {
		t.Errorf("rag imports %s: it may import the standard library only", imported)
	}
	if foreign && slices.Contains(leaves, name) && !strings.HasPrefix(imported, "golang.org/x/") {
		t.Errorf("leaf %s imports %s: it may import the standard library and golang.org/x only", from, imported)
	}
	for library, owner := range only {
		if strings.HasPrefix(imported, library) && from != owner {
			t.Errorf("%s imports %s: only %s may", from, imported, owner)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}
