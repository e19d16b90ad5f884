package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func cacheCommand() *cobra.Command {
	stats := func(cmd *cobra.Command, _ []string) error {
		return withAPI(cmd, func(a *api) error { return cacheStats(cmd, a) })
	}
	cmd := &cobra.Command{
		Use: "cache", Short: "Show, clear, warm or explain the answer cache", Args: noArgs, RunE: stats,
		Long: "The answer cache is the running server's: without one there is little to see.",
	}
	var db, entry, model string
	var logged bool
	clearing := &cobra.Command{
		Use: "clear", Short: "Remove kept answers: all, of one knowledge base, or one", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withAPI(cmd, func(a *api) error { return clearCache(cmd, a, db, entry) })
		},
	}
	clearing.Flags().StringVar(&db, "db", "", "only those of this knowledge base")
	clearing.Flags().StringVar(&entry, "entry", "", "only this one (entry_id of an answer, or of `cache explain`)")
	warming := &cobra.Command{
		Use: "warm FILE", Short: "Ask the questions in a file, a line each, so that their answers are kept", Args: oneArg("one file is needed; - is the standard input"),
		Long: `Asks each question the normal way, one after another: only what would be kept anyway is kept. Questions whose answer is there
already cost nothing. Exit 1 if one of them has no answer that is kept.

With --log FILE is a log that a server wrote with LOG_QUESTIONS=true, as text or JSON: what was asked and answered is asked again. The log does not say of
which knowledge base.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			read := strings.TrimSpace
			if logged {
				read = loggedQuestion
			}
			return withAPI(cmd, func(a *api) error { return warmCache(cmd, a, args[0], read, db, model) })
		},
	}
	warming.Flags().BoolVar(&logged, "log", false, "FILE is a server's log")
	explaining := &cobra.Command{
		Use: `explain "QUESTION"`, Short: "Show what the answer cache would do with a question, and why", Args: oneArg("one question is needed, in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAPI(cmd, func(a *api) error { return explainCache(cmd, a, question(args[0], db, model)) })
		},
	}
	for _, asks := range []*cobra.Command{warming, explaining} {
		asks.Flags().StringVar(&db, "db", "", "knowledge base (default: DB_NAME)")
		asks.Flags().StringVar(&model, "model", "", "chat model (default: LLM_MODEL)")
	}
	cmd.AddCommand(&cobra.Command{Use: "stats", Short: "Show the figures of the answer cache", Args: noArgs, RunE: stats}, clearing, warming, explaining)
	return cmd
}

// question is a request that leaves every option to the server, as most clients do: answers are kept for the options they had.
func question(text, db, model string) map[string]any {
	return map[string]any{"query": text, "db": db, "model": model}
}

func cacheStats(cmd *cobra.Command, a *api) error {
	if wantJSON(cmd) {
		var whole any
		if err := a.get(cmd.Context(), "GET", "/api/cache-stats", nil, &whole); err != nil {
			return err
		}
		return printJSON(whole)
	}
	var s struct {
		Cache struct {
			Enabled       bool    `json:"enabled"`
			Exact         uint64  `json:"exact_hits"`
			Semantic      uint64  `json:"semantic_hits"`
			Misses        uint64  `json:"misses"`
			Coalesced     uint64  `json:"coalesced"`
			HitRate       float64 `json:"hit_rate"`
			Size          int     `json:"size"`
			MaxSize       int     `json:"max_size"`
			Bytes         int64   `json:"bytes"`
			MaxBytes      int64   `json:"max_bytes"`
			Threshold     float64 `json:"similarity_threshold"`
			TTL           float64 `json:"ttl"`
			Evictions     uint64  `json:"evictions"`
			Expirations   uint64  `json:"expirations"`
			Invalidations uint64  `json:"invalidations"`
			Cleared       uint64  `json:"cleared"`

			Guards   map[string]uint64 `json:"guard_rejections"`
			Evidence map[string]uint64 `json:"stale"`
			Contract struct {
				Compared  int     `json:"compared"`
				Different int     `json:"different"`
				Bound     float64 `json:"upper_bound"`
				Promise   float64 `json:"max_error"`
				Tier      string  `json:"semantic_tier"`
				Least     float64 `json:"effective_threshold"`
			} `json:"contract"`
		} `json:"semantic_cache"`
		Calls struct {
			Enabled bool    `json:"enabled"`
			Hits    uint64  `json:"hits"`
			Misses  uint64  `json:"misses"`
			HitRate float64 `json:"hit_rate"`
			Size    int     `json:"size"`
			Bytes   int64   `json:"bytes"`
		} `json:"generation_cache"`
	}
	if err := a.get(cmd.Context(), "GET", "/api/cache-stats", nil, &s); err != nil {
		return err
	}
	c := s.Cache
	if !c.Enabled {
		fmt.Println("the answer cache is off (USE_SEMANTIC_CACHE, POST /api/cache/config)")
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(out, "entries\t%d of %d\n", c.Size, c.MaxSize)
	fmt.Fprintf(out, "memory\t%.1f of %.1f MB\n", float64(c.Bytes)/1e6, float64(c.MaxBytes)/1e6)
	fmt.Fprintf(out, "hits\t%d exact, %d semantic (%.1f %% of look-ups)\n", c.Exact, c.Semantic, 100*c.HitRate)
	fmt.Fprintf(out, "misses\t%d\n", c.Misses)
	fmt.Fprintf(out, "near, and told apart\t%s\n", counted(c.Guards))
	fmt.Fprintf(out, "found, and not served\t%s\n", counted(c.Evidence))
	fmt.Fprintf(out, "similar questions\t%s from %.3f on: %d answers made again, %d differed", c.Contract.Tier, c.Contract.Least, c.Contract.Compared, c.Contract.Different)
	if c.Contract.Compared > 0 {
		fmt.Fprintf(out, ", at most %.1f %% do (%.1f %% are promised)", 100*c.Contract.Bound, 100*c.Contract.Promise)
	}
	fmt.Fprintln(out)
	fmt.Fprintf(out, "joined\t%d followed the same question in flight\n", c.Coalesced)
	fmt.Fprintf(out, "gone\t%d evicted, %d expired, %d with their documents, %d cleared\n", c.Evictions, c.Expirations, c.Invalidations, c.Cleared)
	fmt.Fprintf(out, "threshold\t%g\n", c.Threshold)
	fmt.Fprintf(out, "time to live\t%s\n", time.Duration(c.TTL*float64(time.Second)))
	if g := s.Calls; g.Enabled {
		fmt.Fprintf(out, "model answers\t%d kept, %.1f MB; %d hits, %d misses (%.1f %%)\n", g.Size, float64(g.Bytes)/1e6, g.Hits, g.Misses, 100*g.HitRate)
	} else {
		fmt.Fprintln(out, "model answers\tnot kept (GEN_CACHE_ENABLE)")
	}
	return out.Flush()
}

// counted lists what was counted by reason, the most frequent first.
func counted(by map[string]uint64) string {
	var reasons []string
	for reason, n := range by {
		if n > 0 {
			reasons = append(reasons, reason)
		}
	}
	slices.SortFunc(reasons, func(a, b string) int { return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b)) })
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%d %s", by[reason], strings.ReplaceAll(reason, "_", " "))
	}
	if len(reasons) == 0 {
		return "none"
	}
	return strings.Join(reasons, ", ")
}

func clearCache(cmd *cobra.Command, a *api, db, entry string) error {
	body := map[string]any{}
	if db != "" {
		body["db"] = db
	}
	if entry != "" {
		body["entry"] = entry
	}
	var result struct {
		Removed int `json:"removed"`
		Size    int `json:"size"`
	}
	if err := a.get(cmd.Context(), "POST", "/api/cache/clear", body, &result); err != nil {
		return err
	}
	if wantJSON(cmd) {
		return printJSON(result)
	}
	fmt.Printf("%d answers removed, %d left\n", result.Removed, result.Size)
	return nil
}

// maxLine bounds a line of questions, in bytes: more than a question may be long, so that the server says so.
const maxLine = 1 << 20

// loggedQuestion is what a line of the server's log says was asked and answered, empty where it says of no question.
func loggedQuestion(line string) string {
	var entry struct {
		Status   int    `json:"status"`
		Question string `json:"question"`
	}
	if json.Unmarshal([]byte(line), &entry) == nil {
		if entry.Status != http.StatusOK {
			return ""
		}
		return strings.TrimSpace(entry.Question)
	}
	_, text, found := strings.Cut(line, " question=")
	if !found || !strings.Contains(line, " msg=request ") || !strings.Contains(line, " status=200 ") {
		return ""
	}
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		text, _ = strconv.Unquote(quoted) // it was found to be quoted
	} else {
		text, _, _ = strings.Cut(text, " ")
	}
	return strings.TrimSpace(text)
}

// readQuestions gives each question of a file once. It is read to its end before one is asked: asking may add to a log.
func readQuestions(in io.Reader, read func(line string) string) (list []string, err error) {
	seen := map[string]bool{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if text := read(lines.Text()); text != "" && !seen[text] {
			seen[text] = true
			list = append(list, text)
		}
	}
	return list, lines.Err()
}

// warmCache asks the questions in a file; read finds the one in a line, empty where there is none.
func warmCache(cmd *cobra.Command, a *api, file string, read func(line string) string, db, model string) (err error) {
	in := io.NopCloser(os.Stdin)
	if file != "-" {
		if in, err = os.Open(file); err != nil {
			return err
		}
	}
	defer in.Close()
	var result struct {
		Kept    int      `json:"kept"`
		There   int      `json:"there"` // already
		Refused []string `json:"refused"`
	}
	questions, err := readQuestions(in, read)
	if err != nil {
		return err
	}
	for _, text := range questions {
		if cmd.Context().Err() != nil {
			break
		}
		stored, why := warm(cmd.Context(), a, question(text, db, model))
		word := "kept"
		switch {
		case why != "":
			word = "not kept"
			result.Refused = append(result.Refused, text)
		case stored:
			result.Kept++
		default:
			word = "there"
			result.There++
		}
		if !wantJSON(cmd) {
			fmt.Printf("%s: %s\n", word, oneLine(text, 200))
			if why != "" {
				fmt.Println("  " + why)
			}
		}
	}
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	if wantJSON(cmd) {
		if err := printJSON(result); err != nil {
			return err
		}
	} else {
		fmt.Printf("%d kept, %d there already, %d not kept\n", result.Kept, result.There, len(result.Refused))
	}
	if n := len(result.Refused); n > 0 {
		return fmt.Errorf("%d questions have no answer that is kept", n)
	}
	return nil
}

// warm asks a question and says whether its answer is kept from now on, or why it is not; neither where it was there already.
func warm(ctx context.Context, a *api, body map[string]any) (stored bool, why string) {
	var got struct {
		Cache      rag.CacheInfo `json:"cache"`
		Notice     string        `json:"notice"`
		DoneReason string        `json:"done_reason"`
	}
	switch err := a.get(ctx, "POST", "/api/query", body, &got); {
	case err != nil:
		return false, err.Error()
	case got.Cache.Stored:
		return true, ""
	case got.Notice != "": // an answer that is stale has an entry too
		return false, got.Notice
	case got.Cache.EntryID != "":
		return false, ""
	case got.Cache.Status == rag.CacheBypass:
		return false, "the answer cache is off (USE_SEMANTIC_CACHE, POST /api/cache/config)"
	}
	return false, fmt.Sprintf("its answer ended with %q, or the documents changed meanwhile", got.DoneReason)
}

func explainCache(cmd *cobra.Command, a *api, body map[string]any) error {
	var x rag.Explanation
	if err := a.get(cmd.Context(), "POST", "/api/cache/explain", body, &x); err != nil {
		return err
	}
	if wantJSON(cmd) {
		return printJSON(x)
	}
	if !x.On {
		fmt.Println("the answer cache is off (USE_SEMANTIC_CACHE, POST /api/cache/config)")
		return nil
	}
	fmt.Printf("outcome: %s (threshold %g)\n", x.Outcome, x.Threshold)
	if len(x.Candidates) == 0 {
		fmt.Println("no answer is kept for this knowledge base, model and these options")
		return nil
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(out, "SIMILARITY\tAGE\tVERDICT\tENTRY\tQUESTION")
	for _, c := range x.Candidates {
		verdict := c.Refused
		if verdict == "" {
			verdict = "holds"
		}
		fmt.Fprintf(out, "%.3f\t%s\t%s\t%s\t%s\n", c.Similarity, time.Duration(c.Age*float64(time.Second)).Round(time.Second), verdict, c.EntryID, oneLine(c.Question, 80))
	}
	return out.Flush()
}
