package main

import (
	"fmt"
	"net/url"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func docsCommand() *cobra.Command {
	var db string
	list := func(cmd *cobra.Command, _ []string) error {
		return withAPI(cmd, func(a *api) error { return listDocs(cmd, a, db) })
	}
	cmd := &cobra.Command{Use: "docs", Short: "List or delete the documents of a knowledge base", Args: noArgs, RunE: list}
	cmd.PersistentFlags().StringVar(&db, "db", "", "knowledge base (default: DB_NAME)")
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List documents", Args: noArgs, RunE: list},
		&cobra.Command{
			Use: "delete SOURCE...", Short: "Delete documents: from passages, index, vectors and cache", Args: someArgs("a source is needed; `ollama-rag docs` lists them"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return withAPI(cmd, func(a *api) error { return deleteDocs(cmd, a, db, args) })
			},
		})
	return cmd
}

func listDocs(cmd *cobra.Command, a *api, db string) error {
	var list struct {
		DB   string             `json:"db"`
		Docs []rag.DocumentInfo `json:"docs"`
	}
	if err := a.get(cmd.Context(), "GET", "/api/docs?db="+url.QueryEscape(db), nil, &list); err != nil {
		return err
	}
	if wantJSON(cmd) {
		return printJSON(list)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(out, "SOURCE\tKIND\tLANGUAGE\tVERSION\tBYTES\tPASSAGES")
	for _, d := range list.Docs {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%d\t%d\n", d.Source, d.MediaType, d.Language, d.Version, d.Bytes, d.Chunks)
	}
	return out.Flush()
}

func deleteDocs(cmd *cobra.Command, a *api, db string, sources []string) error {
	var result struct {
		DB       string   `json:"db"`
		Deleted  []string `json:"deleted"`
		NotFound []string `json:"not_found"`
	}
	if err := a.get(cmd.Context(), "DELETE", "/api/docs", map[string]any{"sources": sources, "db": db}, &result); err != nil {
		return err
	}
	if wantJSON(cmd) {
		return printJSON(result)
	}
	for _, s := range result.Deleted {
		fmt.Println("deleted", s)
	}
	for _, s := range result.NotFound {
		fmt.Fprintln(os.Stderr, "not there:", s)
	}
	if len(result.NotFound) > 0 {
		return errSaid
	}
	return nil
}
