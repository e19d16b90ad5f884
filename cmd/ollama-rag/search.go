package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func searchCommand() *cobra.Command {
	var f questionFlags
	cmd := &cobra.Command{
		Use:   `search "QUESTION"`,
		Short: "Find passages without asking a model",
		Args:  oneArg("one question is needed, in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAPI(cmd, func(a *api) error { return searchPassages(cmd, a, f.body(args[0])) })
		},
	}
	f.add(cmd)
	return cmd
}

func searchPassages(cmd *cobra.Command, a *api, body map[string]any) error {
	var found struct {
		Results []struct {
			N       int      `json:"n"`
			Source  string   `json:"source"`
			Page    int      `json:"page"`
			Heading string   `json:"heading"`
			Score   float64  `json:"score"`
			BM25    *float64 `json:"bm25"`
			Cosine  *float64 `json:"cosine"`
			Text    string   `json:"text"`
		} `json:"results"`
		Retrieval struct {
			Method string `json:"method"`
		} `json:"retrieval"`
		Notice string `json:"notice"`
	}
	if wantJSON(cmd) {
		var whole any
		if err := a.get(cmd.Context(), "POST", "/api/search", body, &whole); err != nil {
			return err
		}
		return printJSON(whole)
	}
	if err := a.get(cmd.Context(), "POST", "/api/search", body, &found); err != nil {
		return err
	}
	for _, r := range found.Results {
		where := r.Source
		if r.Page > 0 {
			where += fmt.Sprintf(", page %d", r.Page)
		}
		if r.Heading != "" {
			where += ", " + r.Heading
		}
		fmt.Printf("%2d. %.3f  %s%s%s\n    %s\n", r.N, r.Score, where, figure(" bm25 %.2f", r.BM25), figure(" cosine %.3f", r.Cosine), oneLine(r.Text, 240))
	}
	if len(found.Results) == 0 {
		fmt.Fprintln(os.Stderr, "nothing found")
	}
	if found.Notice != "" {
		fmt.Fprintln(os.Stderr, found.Notice)
	}
	return nil
}

func figure(format string, v *float64) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf(format, *v)
}
