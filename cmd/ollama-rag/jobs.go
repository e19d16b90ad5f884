package main

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/rag"
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
	return printJobs(os.Stdout, list.Jobs)
}

// maxSkippedShown is how many skipped files of a job are listed under it.
const maxSkippedShown = 5

// printJobs prints a table of jobs, the files that each skipped under its row.
func printJobs(to io.Writer, jobs []jobView) error {
	var table bytes.Buffer // whole before anything goes between its rows, or the columns would not line up
	out := tabwriter.NewWriter(&table, 0, 4, 2, ' ', 0)
	fmt.Fprintln(out, "ID\tKNOWLEDGE BASE\tSTATE\tDONE")
	for _, j := range jobs {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", j.ID, j.DB, j.State, standing(j.Report))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	header, rows, _ := strings.Cut(table.String(), "\n")
	fmt.Fprintln(to, header)
	for _, j := range jobs {
		var row string
		row, rows, _ = strings.Cut(rows, "\n")
		fmt.Fprintln(to, row)
		printSkipped(to, j.Report)
	}
	return nil
}

func printSkipped(to io.Writer, r rag.IngestReport) {
	shown := 0
	for _, it := range r.Items {
		if it.Status == rag.FileSkipped && shown < maxSkippedShown {
			fmt.Fprintf(to, "  skipped %s: %s\n", it.Source, it.Reason)
			shown++
		}
	}
	if more := r.Skipped - shown; more > 0 {
		fmt.Fprintf(to, "  ... and %d more: --json has all\n", more)
	}
}
