package main

import (
	"fmt"
	"net/url"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func jobsCommand() *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error {
		return withAPI(cmd, func(a *api) error { return listJobs(cmd, a) })
	}
	cmd := &cobra.Command{Use: "jobs", Short: "List, pause, resume or cancel ingest jobs", Args: noArgs, RunE: list}
	cmd.AddCommand(&cobra.Command{Use: "list", Short: "List jobs, the oldest first", Args: noArgs, RunE: list})
	for _, act := range []struct{ name, short, method, path string }{
		{"pause", "Stop a job until it is resumed, also over a restart", "POST", "/pause"},
		{"resume", "Let a paused job go on where it was", "POST", "/resume"},
		{"cancel", "End a job; what it has stored stays", "DELETE", ""},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: act.name + " ID", Short: act.short, Args: oneArg("a job's id is needed; `ollama-rag jobs` lists them"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return withAPI(cmd, func(a *api) error {
					var j jobView
					if err := a.get(cmd.Context(), act.method, "/api/jobs/"+url.PathEscape(args[0])+act.path, nil, &j); err != nil {
						return err
					}
					if wantJSON(cmd) {
						return printJSON(j)
					}
					fmt.Println(j.ID, j.State)
					return nil
				})
			},
		})
	}
	return cmd
}

func listJobs(cmd *cobra.Command, a *api) error {
	var list struct {
		Jobs []jobView `json:"jobs"`
	}
	if err := a.get(cmd.Context(), "GET", "/api/jobs", nil, &list); err != nil {
		return err
	}
	if wantJSON(cmd) {
		return printJSON(list.Jobs)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(out, "ID\tKNOWLEDGE BASE\tSTATE\tDONE")
	for _, j := range list.Jobs {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", j.ID, j.DB, j.State, standing(j.Report))
	}
	return out.Flush()
}
