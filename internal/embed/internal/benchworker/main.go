// Benchworker embeds for scripts/bench/embed.py: one JSON list of texts a line in, what it took out.
//
//	benchworker MODEL KERNEL CORES
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/embed"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchworker:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("MODEL KERNEL CORES are needed; kernels here: %v", embed.Kernels())
	}
	cores, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(cores)
	m, err := embed.Open(args[0], embed.WithKernel(args[1]))
	if err != nil {
		return err
	}
	vector := make([]float32, m.Identity().Dimension)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var texts []string
		if err := json.Unmarshal(lines.Bytes(), &texts); err != nil {
			return err
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		if cores == 1 {
			for _, text := range texts {
				if err := m.EmbedInto(context.Background(), vector, rag.ForPassage, text); err != nil {
					return err
				}
			}
		} else if _, err := m.Embed(context.Background(), rag.ForPassage, texts); err != nil {
			return err
		}
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		fmt.Printf("{\"seconds\":%g,\"allocations\":%g}\n", took.Seconds(), float64(after.Mallocs-before.Mallocs)/float64(len(texts)))
	}
	return lines.Err()
}
