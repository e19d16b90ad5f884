package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func dbsCommand() *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error {
		return withAPI(cmd, func(a *api) error { return listDBs(cmd, a) })
	}
	cmd := &cobra.Command{Use: "dbs", Short: "List, create, delete or re-index knowledge bases", Args: noArgs, RunE: list}
	yes := false
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete a knowledge base with all that is in it", Args: oneArg("one name is needed"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return usageError{fmt.Errorf("this deletes %q with every document in it; say so with --yes", args[0])}
			}
			return change(cmd, "deleted", args[0], func(ctx context.Context, a *api) error {
				return a.get(ctx, "DELETE", "/api/dbs/"+url.PathEscape(args[0]), nil, &struct{}{})
			})
		},
	}
	remove.Flags().BoolVar(&yes, "yes", false, "really delete")
	reindex := &cobra.Command{
		Use: "reindex NAME", Short: "Build a knowledge base's vectors anew with EMBED_MODEL", Args: oneArg("one name is needed"),
		Long: `Embeds every passage with the embedder that is set now. Questions are answered with the old vectors until all new ones
are there. Ctrl-C stops it and leaves the knowledge base as it was.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAPI(cmd, func(a *api) error { return reindex(cmd, a, args[0]) })
		},
	}
	cmd.AddCommand(reindex,
		&cobra.Command{Use: "list", Short: "List knowledge bases", Args: noArgs, RunE: list},
		&cobra.Command{
			Use: "create NAME", Short: "Make an empty knowledge base", Args: oneArg("one name is needed"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return change(cmd, "created", args[0], func(ctx context.Context, a *api) error {
					return a.get(ctx, "POST", "/api/dbs/create", map[string]string{"name": args[0]}, &struct{}{})
				})
			},
		}, remove)
	return cmd
}

func reindex(cmd *cobra.Command, a *api, db string) error {
	var accepted struct {
		Job string `json:"job"`
	}
	if err := a.get(cmd.Context(), "POST", "/api/dbs/"+url.PathEscape(db)+"/reindex", nil, &accepted); err != nil {
		return err
	}
	j, err := follow(cmd.Context(), a, accepted.Job)
	if err != nil {
		return err
	}
	if wantJSON(cmd) {
		if err := printJSON(j); err != nil {
			return err
		}
		if j.State != rag.JobDone {
			return errSaid
		}
		return nil
	}
	switch {
	case j.State == rag.JobCancelled:
		return errors.New("stopped; the knowledge base keeps the vectors it had")
	case j.State == rag.JobFailed:
		return fmt.Errorf("reindex failed: %s", j.Error)
	case j.State == rag.JobPaused:
		return fmt.Errorf("%s (`ollama-rag jobs resume %s`)", j.Report.Notice, j.ID)
	}
	fmt.Printf("%s: %d passages have vectors of %s\n", j.DB, j.Report.Vectors, j.Report.Embedder)
	return nil
}

func change(cmd *cobra.Command, done, name string, f func(context.Context, *api) error) error {
	return withAPI(cmd, func(a *api) error {
		if err := f(cmd.Context(), a); err != nil {
			return err
		}
		if wantJSON(cmd) {
			return printJSON(map[string]string{"status": "ok", "db": name})
		}
		fmt.Println(done, name)
		return nil
	})
}

func listDBs(cmd *cobra.Command, a *api) error {
	var list struct {
		Current string         `json:"current"`
		Details []rag.BaseInfo `json:"details"`
	}
	if err := a.get(cmd.Context(), "GET", "/api/dbs", nil, &list); err != nil {
		return err
	}
	if wantJSON(cmd) {
		return printJSON(list)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(out, "NAME\tDOCUMENTS\tPASSAGES\tVECTORS\tEMBEDDER")
	for _, b := range list.Details {
		embedder := b.Embedder.Name
		if embedder == "" {
			embedder = "none (words alone)"
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%s\n", b.Name, b.Documents, b.Passages, b.Vectors, embedder)
	}
	return out.Flush()
}
