// Command generate writes the files that package observe declares below the current folder, which is the project's.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/ollama-rag/ollama-rag/internal/observe"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	files, err := observe.Files()
	if err != nil {
		return err
	}
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a folder of the project, for everybody
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // as above
			return err
		}
		fmt.Println(path)
	}
	return nil
}
