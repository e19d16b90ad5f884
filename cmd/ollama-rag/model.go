package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/embed"
)

func modelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Prepare embedding models that run inside ollama-rag",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(packCommand())
	return cmd
}

func packCommand() *cobra.Command {
	var o embed.PackOptions
	cmd := &cobra.Command{
		Use:   "pack DIR OUT",
		Short: "Pack a sentence-transformers folder into one file for EMBED_MODEL=file:OUT",
		Long: `Reads config.json, tokenizer.json and model.safetensors of a BERT-shaped sentence model (WordPiece or XLM-R
unigram tokenizer), quantises it to 8 bits and writes one file. The folder may hold more; nothing in it is changed.`,
		Example: "  ollama-rag model pack all-MiniLM-L6-v2 minilm.bin\n  EMBED_MODEL=file:minilm.bin ollama-rag serve",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return wrongArgs(cmd, "the model's folder and the file to write are needed")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return pack(args[0], args[1], o) },
	}
	cmd.Flags().StringVar(&o.Name, "name", "", "name of the model (default: the folder's)")
	cmd.Flags().StringVar(&o.Question, "query-prefix", "", "what goes before questions (default: the folder's prompts)")
	cmd.Flags().StringVar(&o.Passage, "passage-prefix", "", "what goes before passages")
	return cmd
}

func pack(dir, out string, o embed.PackOptions) error {
	data, err := embed.PackFolder(dir, o)
	if err != nil {
		return err
	}
	// Beside its place first: a packed file that is in use must never be half of one.
	part, err := os.CreateTemp(filepath.Dir(out), filepath.Base(out)+".*.part")
	if err != nil {
		return fmt.Errorf("write the packed model: %w", err)
	}
	_, err = part.Write(data)
	err = errors.Join(err, part.Close())
	if err == nil {
		err = os.Chmod(part.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(part.Name(), out)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the packed model: %w", err), os.Remove(part.Name()))
	}
	m, err := embed.Open(embed.FilePrefix + out)
	if err != nil {
		return err
	}
	id := m.Identity()
	fmt.Printf("%s: %s, %d numbers a vector, %.1f MB; use it with EMBED_MODEL=file:%s\n", out, id.Name, id.Dimension, float64(len(data))/1e6, out)
	return m.Close()
}
