package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func ingestCommand() *cobra.Command {
	var db, ver string
	cmd := &cobra.Command{
		Use:   "ingest PATH...",
		Short: "Read files and folders into a knowledge base",
		Long: `Reads .txt, .md, .html, .pdf and .docx files, folders with all that is in them. The same file again changes
nothing, a changed one replaces its passages, and what is gone from an ingested folder is gone from the
knowledge base. A file that cannot be read is reported and skipped. Ctrl-C stops it;
what was read stays.`,
		Args: someArgs("a file or folder is needed"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAPI(cmd, func(a *api) error { return ingestPaths(cmd, a, db, ver, args) })
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "knowledge base (default: DB_NAME); made where it is missing")
	cmd.Flags().StringVar(&ver, "version", "", "version of these documents (default: made from each file)")
	return cmd
}

type jobView struct {
	ID     string           `json:"id"`
	DB     string           `json:"db"`
	State  rag.JobState     `json:"state"`
	Report rag.IngestReport `json:"report"`
	Error  string           `json:"error"`
}

// pollEvery is how often the progress of a job is asked for.
const pollEvery = 150 * time.Millisecond

func ingestPaths(cmd *cobra.Command, a *api, db, ver string, args []string) error {
	ctx := cmd.Context()
	if db != "" {
		if err := ensureDB(ctx, a, db); err != nil {
			return err
		}
	}
	paths := make([]string, len(args))
	for i, arg := range args {
		abs, err := filepath.Abs(arg)
		if err != nil {
			return err
		}
		paths[i] = abs
	}
	var accepted struct {
		Job string `json:"job"`
	}
	body := map[string]any{"paths": paths, "names": args, "db": db, "version": ver, "async": true}
	if err := a.get(ctx, "POST", "/api/ingest", body, &accepted); err != nil {
		return err
	}
	job, err := follow(ctx, a, accepted.Job)
	if err != nil {
		return err
	}
	if wantJSON(cmd) {
		return errors.Join(printJSON(job), outcome(job))
	}
	printReport(job)
	return outcome(job)
}

func ensureDB(ctx context.Context, a *api, db string) error {
	var list struct {
		DBs []string `json:"dbs"`
	}
	if err := a.get(ctx, "GET", "/api/dbs", nil, &list); err != nil {
		return err
	}
	for _, name := range list.DBs {
		if name == db {
			return nil
		}
	}
	return a.get(ctx, "POST", "/api/dbs/create", map[string]string{"name": db}, &struct{}{})
}

// follow shows a job's progress until it ended. When the person stops the command, the job is stopped too.
func follow(ctx context.Context, a *api, id string) (jobView, error) {
	show := progressOf()
	path := "/api/jobs/" + url.PathEscape(id)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		var j jobView
		asked := ctx
		method := "GET"
		if ctx.Err() != nil {
			// The job must hear of it: with a context of its own.
			var cancel context.CancelFunc
			asked, cancel = context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			method = "DELETE"
		}
		if err := a.get(asked, method, path, nil, &j); err != nil {
			if ctx.Err() != nil && method == "GET" {
				continue
			}
			return j, err
		}
		switch j.State {
		case rag.JobDone, rag.JobFailed, rag.JobCancelled, rag.JobPaused:
			show(j.Report, true)
			return j, nil
		}
		show(j.Report, false)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// progressOf gives a line that is written over on a terminal, a plain line now and then elsewhere.
func progressOf() func(rag.IngestReport, bool) {
	line := newProgressLine()
	if line == nil {
		last := time.Now()
		return func(r rag.IngestReport, ended bool) {
			if !ended && time.Since(last) > 5*time.Second {
				last = time.Now()
				fmt.Fprintln(os.Stderr, standing(r))
			}
		}
	}
	return func(r rag.IngestReport, ended bool) {
		if ended {
			line.clear()
			return
		}
		line.show(fmt.Sprintf("%s %s %s", gauge(shareOf(r)), standing(r), r.Current))
	}
}

// shareOf is how much of a job is done, 0 to 1.
func shareOf(r rag.IngestReport) float64 {
	if r.Files == 0 {
		return float64(r.Vectors) / float64(max(1, r.Vectors+r.Pending))
	}
	return float64(r.FilesDone) / float64(r.Files)
}

// standing is how far a job has come.
func standing(r rag.IngestReport) string {
	if r.Files == 0 && r.Vectors+r.Pending > 0 {
		return fmt.Sprintf("%d of %d passages embedded%s", r.Vectors, r.Vectors+r.Pending, paceOf(r))
	}
	return fmt.Sprintf("%d of %d files, %d passages%s", r.FilesDone, r.Files, r.Passages, paceOf(r))
}

// paceOf says how fast the embedder is and how long it will take.
func paceOf(r rag.IngestReport) string {
	if r.Rate == 0 {
		return ""
	}
	if r.SecondsLeft == 0 {
		return fmt.Sprintf(", %.0f passages/s", r.Rate)
	}
	return fmt.Sprintf(", %.0f passages/s, about %s left", r.Rate, (time.Duration(r.SecondsLeft) * time.Second).String())
}

func outcome(j jobView) error {
	switch j.State {
	case rag.JobPaused:
		return fmt.Errorf("the job was paused; `ollama-rag jobs resume %s` goes on", j.ID)
	case rag.JobFailed:
		return fmt.Errorf("ingest failed: %s", j.Error)
	case rag.JobCancelled:
		return errors.New("stopped; what was read stays, and the same command goes on from here")
	}
	return j.Report.Nothing()
}

// printReport prints what was read, and a line for each file that was not, or not as it says of itself.
func printReport(j jobView) {
	r := j.Report
	out := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(out, "KIND\tREAD\tPASSAGES")
	for _, row := range byKind(r) {
		fmt.Fprintf(out, "%s\t%d\t%d\n", row.kind, row.files, row.passages)
	}
	var notes []rag.ReportItem
	for _, it := range r.Items {
		legacy := it.Encoding != "" && it.Encoding != "utf-8" && it.Encoding != "UTF-8"
		if it.Status == rag.FileSkipped || it.Status == rag.FileDeleted || legacy || len(it.Warnings) > 0 {
			notes = append(notes, it)
		}
	}
	if len(notes) > 0 {
		fmt.Fprintln(out, "\t\t\nFILE\tRESULT\tNOTE")
		for _, it := range notes {
			fmt.Fprintf(out, "%s\t%s\t%s\n", it.Source, it.Status, noteOf(it))
		}
	}
	_ = out.Flush()
	fmt.Printf("\n%s: %d read (%d new, %d changed, %d unchanged), %d skipped, %d removed; %d passages, %d vectors, %.1f s\n",
		j.DB, r.Added+r.Replaced+r.Unchanged, r.Added, r.Replaced, r.Unchanged, r.Skipped, r.Deleted, r.Passages, r.Vectors, r.Seconds)
	switch {
	case r.Notice != "":
		fmt.Fprintln(os.Stderr, r.Notice)
	case r.Embedder == "" && r.Passages > 0 && j.State == rag.JobDone:
		fmt.Fprintln(os.Stderr, "No embedding model: passages are found by their words. To add vectors, set EMBED_MODEL to a packed file or to a model on Ollama.")
	}
	if r.ItemsOmitted > 0 {
		fmt.Printf("(%d more files are counted but not listed)\n", r.ItemsOmitted)
	}
}

func noteOf(it rag.ReportItem) string {
	var parts []string
	if it.Reason != "" {
		parts = append(parts, it.Reason)
	}
	if it.Encoding != "" && it.Status != rag.FileSkipped {
		parts = append(parts, "read as "+it.Encoding)
	}
	return oneLine(strings.Join(append(parts, it.Warnings...), "; "), 160)
}

type kindRow struct {
	kind            string
	files, passages int
}

func byKind(r rag.IngestReport) []kindRow {
	rows := map[string]*kindRow{}
	for _, it := range r.Items {
		if it.Status == rag.FileSkipped || it.Status == rag.FileDeleted {
			continue
		}
		kind := it.Kind
		if kind == "" {
			kind = string(it.Status)
		}
		if rows[kind] == nil {
			rows[kind] = &kindRow{kind: kind}
		}
		rows[kind].files++
		rows[kind].passages += it.Passages
	}
	var out []kindRow
	for _, row := range rows {
		out = append(out, *row)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].kind < out[j].kind })
	return out
}
