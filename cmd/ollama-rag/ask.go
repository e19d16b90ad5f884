package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// questionFlags are the flags of ask and search.
type questionFlags struct {
	db, method, model            string
	k                            int
	weight                       float64
	languages, versions, sources []string
}

func (f *questionFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.db, "db", "", "knowledge base (default: DB_NAME)")
	cmd.Flags().IntVar(&f.k, "k", 5, "passages to find, 1 to 50")
	cmd.Flags().StringVar(&f.method, "method", "hybrid", "hybrid, vector or bm25")
	cmd.Flags().Float64Var(&f.weight, "bm25-weight", -1, "share of the words in hybrid, 0 to 1; below 0 it follows the languages")
	cmd.Flags().StringSliceVar(&f.languages, "language", nil, "only passages in this language (ISO 639-1)")
	cmd.Flags().StringSliceVar(&f.versions, "version", nil, "only documents of this version")
	cmd.Flags().StringSliceVar(&f.sources, "source", nil, "only this document")
}

func (f *questionFlags) body(question string) map[string]any {
	body := map[string]any{
		"query": question, "db": f.db, "k": f.k, "method": f.method, "model": f.model,
		"languages": f.languages, "versions": f.versions, "sources": f.sources,
	}
	if f.weight >= 0 {
		body["bm25_weight"] = f.weight
	}
	return body
}

func askCommand() *cobra.Command {
	var f questionFlags
	cmd := &cobra.Command{
		Use:     `ask "QUESTION"`,
		Short:   "Ask a question and print the answer with its citations",
		Example: `  ollama-rag ask "How long does the breaker stay open?"`,
		Args:    oneArg("one question is needed, in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAPI(cmd, func(a *api) error { return ask(cmd, a, f.body(args[0])) })
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.model, "model", "", "chat model (default: LLM_MODEL)")
	return cmd
}

// answer is what ask prints of an answer.
type answer struct {
	Answer    string         `json:"answer"`
	Citations []rag.Citation `json:"citations"`
	Model     string         `json:"model"`
	Notice    string         `json:"notice"`
	Cache     rag.CacheInfo  `json:"cache"`
	Dropped   []rag.Dropped  `json:"dropped"`
	Timings   rag.Timings    `json:"timings"`
	Degraded  bool           `json:"degraded"`
}

func ask(cmd *cobra.Command, a *api, body map[string]any) error {
	ctx := cmd.Context()
	if wantJSON(cmd) {
		var whole any
		if err := a.get(ctx, "POST", "/api/query", body, &whole); err != nil {
			return err
		}
		return printJSON(whole)
	}
	resp, err := a.do(ctx, "POST", "/api/stream_query", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return printStream(ctx, resp.Body)
}

// maxFrame bounds one line of a stream.
const maxFrame = 32 << 20

func printStream(ctx context.Context, stream io.Reader) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxFrame)
	for lines.Scan() {
		var frame struct {
			Event string          `json:"event"`
			Token string          `json:"token"`
			Error problem.Problem `json:"error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &frame); err != nil {
			return fmt.Errorf("the server's stream cannot be read: %w", err)
		}
		switch frame.Event {
		case "token":
			fmt.Print(frame.Token)
		case "error":
			fmt.Println()
			return errors.New(frame.Error.Detail)
		case "done":
			var done answer
			if err := json.Unmarshal(lines.Bytes(), &done); err != nil {
				return err
			}
			printSources(done)
			return nil
		}
	}
	if ctx.Err() != nil {
		fmt.Println()
		return ctx.Err()
	}
	return errors.Join(errors.New("the answer broke off"), lines.Err())
}

func printSources(a answer) {
	fmt.Print("\n\n")
	for _, c := range a.Citations {
		where := c.Source
		if c.Page > 0 {
			where += fmt.Sprintf(", page %d", c.Page)
		}
		if c.Heading != "" {
			where += ", " + c.Heading
		}
		fmt.Printf("  [%d] %s (%s)\n", c.N, where, c.Verdict)
		if c.Verdict != rag.Quoted {
			fmt.Printf("      “%s”\n", oneLine(c.Quote, 200))
		}
	}
	if a.Notice != "" {
		fmt.Fprintf(os.Stderr, "\n%s\n", a.Notice)
	}
	if len(a.Dropped) > 0 {
		fmt.Fprintf(os.Stderr, "%d passages did not fit the model's context window whole.\n", len(a.Dropped))
	}
	by := "no model"
	if a.Model != "" && !(a.Degraded && a.Timings.Generate == 0) {
		by = a.Model
	}
	if a.Cache.Status == rag.CacheExact || a.Cache.Status == rag.CacheSemantic {
		by += fmt.Sprintf(", from the cache (%s)", a.Cache.Status)
	}
	fmt.Fprintf(os.Stderr, "%s, %.2f s\n", by, a.Timings.Total)
}

func oneLine(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}
