package observe

import (
	"fmt"
	"time"
)

// errorBudget is the share of requests that may fail for reasons of ours: 99.5 % of them must not.
const errorBudget = "0.005"

// sloWindows are the windows over which the share of failures is kept.
var sloWindows = [...]string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"}

// ownRoutes leaves out what machines ask all day long and pages poll: it would hide that users' requests fail.
const ownRoutes = `route!~"/metrics|/health.*|/static/.*|/dashboard|/api/(health|dashboard|cache-stats|.+/metrics)"`

// failures are requests that ended in a 5xx, and streams that a model server broke after they had begun with a 200. Faults of
// the client (4xx, and 499: it left) are none of ours. The two have different labels, so `or` is both of them.
func failures(over string) string {
	return `ollama_rag_http_requests_total{$job,code=~"5..",` + ownRoutes + `}[` + over + `]`
}

const broken = `ollama_rag_http_streams_aborted_total{$job,side="upstream"}`

func errorRatio(window string) Record {
	return Record{
		Name: "job:ollama_rag_http_errors:ratio_rate" + window,
		Expr: fmt.Sprintf(`
			sum by (job) (
				rate(%s)
					or rate(%s[%s])
			) / (
				sum by (job) (rate(ollama_rag_http_requests_total{$job,%s}[%[3]s])) > 0
			)
			`, failures(window), broken, window, ownRoutes),
	}
}

// errorCount keeps one failure in a quiet night from being a ratio that wakes somebody up.
func errorCount(window string) Record {
	return Record{
		Name: "job:ollama_rag_http_errors:increase" + window,
		Expr: fmt.Sprintf(`
			sum by (job) (
				increase(%s)
					or increase(%s[%s])
			)
			`, failures(window), broken, window),
	}
}

// budgetWindow is how fast the error budget of 30 days may be spent: over a long window, so that it matters, and over one of
// a twelfth, so that it still does.
type budgetWindow struct {
	long, short string
	minutes     int    // the long window
	factor      string // of the speed that spends the budget in exactly 30 days
	limit       int    // what that is in failures of 1,000 requests
	hold        time.Duration
	early       time.Duration // when the cases have failed for less than that
	severity    Severity
	summary     string
}

func burnAlerts() []Alert {
	return []Alert{
		budgetWindow{"1h", "5m", 60, "14.4", 72, 2 * time.Minute, 2 * time.Minute, Critical, "Requests fail: 2% of a month's error budget go within an hour."}.alert(),
		budgetWindow{"6h", "30m", 360, "6", 30, 5 * time.Minute, 10 * time.Minute, Critical, "Requests fail: 5% of a month's error budget go within six hours."}.alert(),
		budgetWindow{"1d", "2h", 1440, "3", 15, 15 * time.Minute, time.Hour, Warning, "Requests fail: 10% of a month's error budget go within a day."}.alert(),
		budgetWindow{"3d", "6h", 4320, "1", 5, time.Hour, time.Hour, Warning, "Requests fail: the month's error budget will not last."}.alert(),
	}
}

func (w budgetWindow) alert() Alert {
	limit, short := w.factor+" * "+errorBudget, w.minutes/12
	end := time.Duration(w.minutes+short) * time.Minute
	eight := fmt.Sprintf("0x%d 8x%d", w.minutes+short/5, short) // within the short window, for longer than w.hold
	return Alert{
		Name: "OllamaRAGErrorBudgetBurn" + w.long, Severity: w.severity, For: w.hold,
		Expr: fmt.Sprintf(`
			job:ollama_rag_http_errors:ratio_rate%s > %s
				and job:ollama_rag_http_errors:ratio_rate%s > %[2]s
				and job:ollama_rag_http_errors:increase%[1]s >= 10
			`, w.long, limit, w.short),
		Summary:     w.summary,
		Description: "{{ $value | humanizePercentage }} of the requests to {{ $labels.job }} failed over " + w.long + ", and too many over the last " + w.short + "; the goal is at most 0.5%.",
		Fires: []Firing{{
			When: "twice too many fail, half of them in mid-stream", At: end, Not: w.early, Labels: atJob(),
			Series: requests(fmt.Sprintf("0+%dx%d", 1000-w.limit, 2*w.minutes), fmt.Sprintf("0+%dx%d", w.limit, 2*w.minutes), fmt.Sprintf("0+%dx%d", w.limit, 2*w.minutes)),
			Description: fmt.Sprintf("%g%% of the requests to ollama-rag failed over %s, and too many over the last %s; the goal is at most 0.5%%.",
				float64(2*w.limit)/10, w.long, w.short),
		}},
		Quiet: []Quiet{
			{When: "not quite as many fail", At: end, Series: failing(w.limit*8/10, w.minutes, w.limit*8/10)},
			{When: "many fail, but only of late", At: end, Series: failing(0, w.minutes, 8*w.limit)},
			{When: "too many failed, and now fewer do", At: end, Series: failing(2*w.limit, w.minutes, w.limit/2)},
			{When: "eight fail of sixteen", At: end, Series: requests(eight, eight, "0x10")},
			{When: "clients' own faults and health checks", At: end, Series: Series{
				{`ollama_rag_http_requests_total{$at,route="/api/query",method="POST",code="200"}`, fmt.Sprintf("0+500x%d", 2*w.minutes)},
				{`ollama_rag_http_requests_total{$at,route="/api/query",method="POST",code="404"}`, fmt.Sprintf("0+300x%d", 2*w.minutes)},
				{`ollama_rag_http_requests_total{$at,route="/api/query",method="POST",code="499"}`, fmt.Sprintf("0+200x%d", 2*w.minutes)},
				{`ollama_rag_http_requests_total{$at,route="/health/ready",method="GET",code="503"}`, fmt.Sprintf("0+600x%d", 2*w.minutes)},
				{`ollama_rag_http_requests_total{$at,route="/api/circuit-breaker/metrics",method="GET",code="500"}`, fmt.Sprintf("0+600x%d", 2*w.minutes)},
				{`ollama_rag_http_streams_aborted_total{$at,side="client"}`, fmt.Sprintf("0+200x%d", 2*w.minutes)},
			}},
		},
	}
}

// requests are those of one route by minute: how many went well, failed, and broke off in the middle.
func requests(ok, failed, brokeOff string) Series {
	return Series{
		{`ollama_rag_http_requests_total{$at,route="/api/query",method="POST",code="200"}`, ok},
		{`ollama_rag_http_requests_total{$at,route="/api/query",method="POST",code="503"}`, failed},
		{`ollama_rag_http_streams_aborted_total{$at,side="upstream"}`, brokeOff},
	}
}

// failing are 1,000 requests a minute, of which so many fail for some minutes, and so many from then on.
func failing(before, minutes, then int) Series {
	steps := func(a, b int) string {
		return fmt.Sprintf("0+%dx%d %d+%dx%d", a, minutes, a*minutes+b, b, minutes)
	}
	return requests(steps(1000-before, 1000-then), steps(before, then), fmt.Sprintf("0x%d", 2*minutes))
}

// answerRules ask whether users get answers, good ones, and soon.
func answerRules() Group {
	const (
		degraded  = "job:ollama_rag_queries_degraded:ratio_rate15m"
		firstWord = "job_model:ollama_rag_llm_time_to_first_token_seconds:p95_rate15m"
		perToken  = "job_model:ollama_rag_llm_time_per_output_token_seconds:mean_rate30m"
		overhead  = "job:ollama_rag_gateway_overhead_seconds:p95_rate15m"
		retrieval = "job_stage:ollama_rag_retrieval_seconds:p95_rate15m"
	)
	g := Group{Name: "ollama-rag-answers"}
	for _, w := range sloWindows {
		g.Records = append(g.Records, errorRatio(w))
	}
	for _, w := range []string{"1h", "6h", "1d", "3d"} {
		g.Records = append(g.Records, errorCount(w))
	}
	g.Records = append(g.Records,
		Record{degraded, `
			sum by (job) (rate(ollama_rag_queries_total{$job,outcome="degraded"}[15m]))
				/ (sum by (job) (rate(ollama_rag_queries_total{$job,outcome!="abandoned"}[15m])) > 0)
			`},
		Record{firstWord, `histogram_quantile(0.95, sum by (job, model, le) (rate(ollama_rag_llm_time_to_first_token_seconds_bucket{$job}[15m])))`},
		Record{perToken, `
			sum by (job, model) (rate(ollama_rag_llm_time_per_output_token_seconds_sum{$job}[30m]))
				/ (sum by (job, model) (rate(ollama_rag_llm_time_per_output_token_seconds_count{$job}[30m])) > 0)
			`},
		Record{overhead, `histogram_quantile(0.95, sum by (job, le) (rate(ollama_rag_gateway_overhead_seconds_bucket{$job}[15m])))`},
		Record{retrieval, `histogram_quantile(0.95, sum by (job, stage, le) (rate(ollama_rag_retrieval_seconds_bucket{$job}[15m])))`},
	)
	g.Alerts = append(burnAlerts(),
		Alert{
			Name: "OllamaRAGAnswersDegraded", Severity: Warning, For: 5 * time.Minute,
			Expr: `
				` + degraded + ` > 0.2
					and sum by (job) (increase(ollama_rag_queries_total{$job,outcome="degraded"}[15m])) >= 5
				`,
			Summary:     "Users get passages in place of answers.",
			Description: "{{ $value | humanizePercentage }} of the questions to {{ $labels.job }} got a degraded answer over 15 minutes: quoted passages, an old answer, or one found by words alone.",
			Fires: []Firing{{
				When: "a quarter of the questions", At: 25 * time.Minute, Not: 9 * time.Minute, Labels: atJob(),
				Series: Series{
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="answered"}`, "0+3x30"},
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="degraded"}`, "0+1x30"},
				},
				Description: "25% of the questions to ollama-rag got a degraded answer over 15 minutes: quoted passages, an old answer, or one found by words alone.",
			}},
			Quiet: []Quiet{{
				When: "one in ten", At: 25 * time.Minute,
				Series: Series{
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="answered"}`, "0+9x30"},
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="degraded"}`, "0+1x30"},
				},
			}, {
				When: "three of ten", At: 25 * time.Minute,
				Series: Series{
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="answered"}`, "0+0.5x30"},
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="degraded"}`, "0+0.2x30"},
				},
			}},
		},
		Alert{
			Name: "OllamaRAGInternalFaults", Severity: Warning,
			Expr:        `increase(ollama_rag_query_errors_total{$job,error_type="internal"}[15m]) > 0`,
			Summary:     "Questions fail by a fault of ollama-rag itself.",
			Description: "Questions to {{ $labels.instance }} failed, {{ $value | printf \"%.0f\" }} within 15 minutes, by a fault that is neither the model server's nor the client's.",
			Fires: []Firing{{
				When: "one", At: 20 * time.Minute, Labels: atInstance("error_type", "internal"),
				Series:      Series{{`ollama_rag_query_errors_total{$at,error_type="internal"}`, "0x15 1x10"}},
				Description: "Questions to rag:8000 failed, 1 within 15 minutes, by a fault that is neither the model server's nor the client's.",
			}},
			Quiet: []Quiet{{
				When: "the model server's faults", At: 20 * time.Minute,
				Series: Series{
					{`ollama_rag_query_errors_total{$at,error_type="internal"}`, "3x25"},
					{`ollama_rag_query_errors_total{$at,error_type="bad_upstream"}`, "0x15 5x10"},
				},
			}},
		},
		Alert{
			Name: "OllamaRAGStreamsBroken", Severity: Warning, For: 5 * time.Minute,
			Expr: `
				sum by (job) (increase(ollama_rag_http_streams_aborted_total{$job,side="upstream"}[15m]))
					/ sum by (job) (increase(ollama_rag_http_requests_total{$job,route=~"/api/stream_query|gateway_.*"}[15m])) > 0.02
					and sum by (job) (increase(ollama_rag_http_streams_aborted_total{$job,side="upstream"}[15m])) >= 5
				`,
			Summary:     "Answers break off in the middle.",
			Description: "{{ $value | humanizePercentage }} of the streams of {{ $labels.job }} broke off over 15 minutes, and not because the client left.",
			Fires: []Firing{{
				When: "one in twenty", At: 25 * time.Minute, Not: 9 * time.Minute, Labels: atJob(),
				Series: Series{
					{`ollama_rag_http_requests_total{$at,route="gateway_chat",method="other",code="200"}`, "0+20x30"},
					{`ollama_rag_http_requests_total{$at,route="/api/search",method="POST",code="200"}`, "0+80x30"},
					{`ollama_rag_http_streams_aborted_total{$at,side="upstream"}`, "0+1x30"},
				},
				Description: "5% of the streams of ollama-rag broke off over 15 minutes, and not because the client left.",
			}},
			Quiet: []Quiet{{
				When: "one in a hundred", At: 25 * time.Minute,
				Series: Series{
					{`ollama_rag_http_requests_total{$at,route="gateway_chat",method="other",code="200"}`, "0+100x30"},
					{`ollama_rag_http_streams_aborted_total{$at,side="upstream"}`, "0+1x30"},
				},
			}, {
				When: "three, beside clients that leave", At: 25 * time.Minute,
				Series: Series{
					{`ollama_rag_http_requests_total{$at,route="/api/stream_query",method="POST",code="200"}`, "0+5x30"},
					{`ollama_rag_http_streams_aborted_total{$at,side="upstream"}`, "0+0.2x30"},
					{`ollama_rag_http_streams_aborted_total{$at,side="client"}`, "0+3x30"},
				},
			}},
		},
		Alert{
			Name: "OllamaRAGRefusalsHigh", Severity: Warning, For: 30 * time.Minute,
			Expr: `
				sum by (job) (increase(ollama_rag_refusals_total{$job}[1h]))
					/ sum by (job) (increase(ollama_rag_queries_total{$job,outcome=~"answered|degraded|refused"}[1h])) > 0.5
					and sum by (job) (increase(ollama_rag_refusals_total{$job}[1h])) >= 20
				`,
			Summary:     "Most questions find no passage.",
			Description: "For {{ $value | humanizePercentage }} of the questions to {{ $labels.job }} no passage was found over an hour: the documents may be gone, or not what people ask about.",
			Fires: []Firing{{
				When: "three in four", At: 100 * time.Minute, Not: 30 * time.Minute, Labels: atJob(),
				Series: Series{
					{`ollama_rag_refusals_total{$at,reason="no_passages"}`, "0+3x120"},
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="refused"}`, "0+3x120"},
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="answered"}`, "0+1x120"},
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="abandoned"}`, "0+9x120"},
				},
				Description: "For 75% of the questions to ollama-rag no passage was found over an hour: the documents may be gone, or not what people ask about.",
			}},
			Quiet: []Quiet{{
				When: "two in five", At: 100 * time.Minute,
				Series: Series{
					{`ollama_rag_refusals_total{$at,reason="no_passages"}`, "0+2x120"},
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="refused"}`, "0+2x120"},
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="answered"}`, "0+3x120"},
				},
			}, {
				When: "twelve of sixteen", At: 100 * time.Minute,
				Series: Series{
					{`ollama_rag_refusals_total{$at,reason="no_passages"}`, "0+0.2x120"},
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="refused"}`, "0+0.2x120"},
					{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="answered"}`, "0+0.06x120"},
				},
			}},
		},
		Alert{
			Name: "OllamaRAGCitationsUnsupported", Severity: Warning, For: 30 * time.Minute,
			Expr: `
				sum by (job) (increase(ollama_rag_citations_total{$job,verdict="unsupported"}[1h]))
					/ sum by (job) (increase(ollama_rag_citations_total{$job,verdict=~"supported|unsupported"}[1h])) > 0.3
					and sum by (job) (increase(ollama_rag_citations_total{$job,verdict="unsupported"}[1h])) >= 20
				`,
			Summary:     "Answers cite passages that do not say so.",
			Description: "{{ $value | humanizePercentage }} of the citations in answers of {{ $labels.job }} over an hour lack the claim's words or numbers in the passage that they name.",
			Fires: []Firing{{
				When: "two in five", At: 100 * time.Minute, Not: 30 * time.Minute, Labels: atJob(),
				Series: Series{
					{`ollama_rag_citations_total{$at,verdict="unsupported"}`, "0+2x120"},
					{`ollama_rag_citations_total{$at,verdict="supported"}`, "0+3x120"},
					{`ollama_rag_citations_total{$at,verdict="inferred"}`, "0+9x120"},
				},
				Description: "40% of the citations in answers of ollama-rag over an hour lack the claim's words or numbers in the passage that they name.",
			}},
			Quiet: []Quiet{{
				When: "one in five, and many that the model did not make", At: 100 * time.Minute,
				Series: Series{
					{`ollama_rag_citations_total{$at,verdict="unsupported"}`, "0+1x120"},
					{`ollama_rag_citations_total{$at,verdict="supported"}`, "0+4x120"},
					{`ollama_rag_citations_total{$at,verdict="inferred"}`, "0+9x120"},
				},
			}, {
				When: "twelve of thirty", At: 100 * time.Minute,
				Series: Series{
					{`ollama_rag_citations_total{$at,verdict="unsupported"}`, "0+0.2x120"},
					{`ollama_rag_citations_total{$at,verdict="supported"}`, "0+0.3x120"},
				},
			}},
		},
		Alert{
			Name: "OllamaRAGFirstTokenSlow", Severity: Warning, For: 10 * time.Minute,
			Expr: `
				` + firstWord + ` > 30
					and sum by (job, model) (increase(ollama_rag_llm_time_to_first_token_seconds_count{$job}[15m])) >= 20
				`,
			Summary:     "Users wait long for the first word.",
			Description: "One in twenty calls of {{ $labels.model }} waits {{ $value | humanizeDuration }} or more for its first piece of text.",
			Fires: []Firing{{
				When: "all between half a minute and a minute", At: 35 * time.Minute, Not: 14 * time.Minute, Labels: atJob("model", "llama3.1:8b"),
				Series: Series{
					{`ollama_rag_llm_time_to_first_token_seconds_bucket{$at,model="llama3.1:8b",le="30"}`, "0x40"},
					{`ollama_rag_llm_time_to_first_token_seconds_bucket{$at,model="llama3.1:8b",le="60"}`, "0+4x40"},
					{`ollama_rag_llm_time_to_first_token_seconds_bucket{$at,model="llama3.1:8b",le="+Inf"}`, "0+4x40"},
					{`ollama_rag_llm_time_to_first_token_seconds_count{$at,model="llama3.1:8b"}`, "0+4x40"},
				},
				Description: "One in twenty calls of llama3.1:8b waits 58.5s or more for its first piece of text.",
			}},
			Quiet: []Quiet{{
				When: "a minute for one call in thirty, as when a model is loaded", At: 35 * time.Minute,
				Series: Series{
					{`ollama_rag_llm_time_to_first_token_seconds_bucket{$at,model="llama3.1:8b",le="30"}`, "0+29x40"},
					{`ollama_rag_llm_time_to_first_token_seconds_bucket{$at,model="llama3.1:8b",le="60"}`, "0+30x40"},
					{`ollama_rag_llm_time_to_first_token_seconds_bucket{$at,model="llama3.1:8b",le="+Inf"}`, "0+30x40"},
					{`ollama_rag_llm_time_to_first_token_seconds_count{$at,model="llama3.1:8b"}`, "0+30x40"},
				},
			}, {
				When: "fifteen of fifteen calls", At: 35 * time.Minute,
				Series: Series{
					{`ollama_rag_llm_time_to_first_token_seconds_bucket{$at,model="llama3.1:8b",le="30"}`, "0x40"},
					{`ollama_rag_llm_time_to_first_token_seconds_bucket{$at,model="llama3.1:8b",le="60"}`, "0+1x40"},
					{`ollama_rag_llm_time_to_first_token_seconds_bucket{$at,model="llama3.1:8b",le="+Inf"}`, "0+1x40"},
					{`ollama_rag_llm_time_to_first_token_seconds_count{$at,model="llama3.1:8b"}`, "0+1x40"},
				},
			}},
		},
		Alert{
			Name: "OllamaRAGTokensSlow", Severity: Warning, For: 15 * time.Minute,
			Expr: `
				` + perToken + ` > 3 * avg_over_time(` + perToken + `[1d] offset 1h)
					and ` + perToken + ` > 0.1
					and sum by (job, model) (increase(ollama_rag_llm_time_per_output_token_seconds_count{$job}[30m])) >= 20
				`,
			Summary:     "A model writes far slower than it did.",
			Description: "{{ $labels.model }} takes {{ $value | humanizeDuration }} a token, more than three times what it took over the day before.",
			Fires: []Firing{{
				When: "from 50 ms to a quarter of a second", At: 190 * time.Minute, Not: 170 * time.Minute, Labels: atJob("model", "llama3.1:8b"),
				Series: Series{
					{`ollama_rag_llm_time_per_output_token_seconds_sum{$at,model="llama3.1:8b"}`, "0+0.1x139 14.4+0.5x60"},
					{`ollama_rag_llm_time_per_output_token_seconds_count{$at,model="llama3.1:8b"}`, "0+2x200"},
				},
				Description: "llama3.1:8b takes 250ms a token, more than three times what it took over the day before.",
			}},
			Quiet: []Quiet{{
				When: "twice as slow", At: 190 * time.Minute,
				Series: Series{
					{`ollama_rag_llm_time_per_output_token_seconds_sum{$at,model="llama3.1:8b"}`, "0+0.12x139 16.92+0.24x60"},
					{`ollama_rag_llm_time_per_output_token_seconds_count{$at,model="llama3.1:8b"}`, "0+2x200"},
				},
			}, {
				When: "five times as slow, over fifteen calls", At: 190 * time.Minute,
				Series: Series{
					{`ollama_rag_llm_time_per_output_token_seconds_sum{$at,model="llama3.1:8b"}`, "0+0.025x139 3.6+0.125x60"},
					{`ollama_rag_llm_time_per_output_token_seconds_count{$at,model="llama3.1:8b"}`, "0+0.5x200"},
				},
			}, {
				When: "four times as slow, and faster than anybody reads", At: 190 * time.Minute,
				Series: Series{
					{`ollama_rag_llm_time_per_output_token_seconds_sum{$at,model="qwen3:0.6b"}`, "0+0.02x139 2.82+0.08x60"},
					{`ollama_rag_llm_time_per_output_token_seconds_count{$at,model="qwen3:0.6b"}`, "0+2x200"},
				},
			}},
		},
		Alert{
			Name: "OllamaRAGGatewayOverheadHigh", Severity: Warning, For: 15 * time.Minute,
			Expr: `
				` + overhead + ` > 0.005
					and sum by (job) (increase(ollama_rag_gateway_overhead_seconds_count{$job}[15m])) >= 100
				`,
			Summary:     "The gateway itself costs time.",
			Description: "One in twenty requests to {{ $labels.job }} for Ollama's or OpenAI's API spends {{ $value | humanizeDuration }} or more in ollama-rag; usual is far below a millisecond.",
			Fires: []Firing{{
				When: "half of them take longer than 5 ms", At: 40 * time.Minute, Not: 19 * time.Minute, Labels: atJob(),
				Series: Series{
					{`ollama_rag_gateway_overhead_seconds_bucket{$at,le="0.005"}`, "0+10x50"},
					{`ollama_rag_gateway_overhead_seconds_bucket{$at,le="0.01"}`, "0+20x50"},
					{`ollama_rag_gateway_overhead_seconds_bucket{$at,le="+Inf"}`, "0+20x50"},
					{`ollama_rag_gateway_overhead_seconds_count{$at}`, "0+20x50"},
				},
				Description: "One in twenty requests to ollama-rag for Ollama's or OpenAI's API spends 9.5ms or more in ollama-rag; usual is far below a millisecond.",
			}},
			Quiet: []Quiet{{
				When: "one in a hundred takes longer than 5 ms", At: 40 * time.Minute,
				Series: Series{
					{`ollama_rag_gateway_overhead_seconds_bucket{$at,le="0.005"}`, "0+99x50"},
					{`ollama_rag_gateway_overhead_seconds_bucket{$at,le="0.01"}`, "0+100x50"},
					{`ollama_rag_gateway_overhead_seconds_bucket{$at,le="+Inf"}`, "0+100x50"},
					{`ollama_rag_gateway_overhead_seconds_count{$at}`, "0+100x50"},
				},
			}, {
				When: "half of sixty", At: 40 * time.Minute,
				Series: Series{
					{`ollama_rag_gateway_overhead_seconds_bucket{$at,le="0.005"}`, "0+2x50"},
					{`ollama_rag_gateway_overhead_seconds_bucket{$at,le="0.01"}`, "0+4x50"},
					{`ollama_rag_gateway_overhead_seconds_bucket{$at,le="+Inf"}`, "0+4x50"},
					{`ollama_rag_gateway_overhead_seconds_count{$at}`, "0+4x50"},
				},
			}},
		},
		Alert{
			Name: "OllamaRAGRetrievalSlow", Severity: Warning, For: 15 * time.Minute,
			Expr: `
				` + retrieval + ` > 1
					and sum by (job, stage) (increase(ollama_rag_retrieval_seconds_count{$job}[15m])) >= 20
				`,
			Summary:     "Finding passages takes long.",
			Description: "The stage {{ $labels.stage }} takes {{ $value | humanizeDuration }} or more for one in twenty questions to {{ $labels.job }}.",
			Fires: []Firing{{
				When: "questions wait for their vectors", At: 40 * time.Minute, Not: 19 * time.Minute, Labels: atJob("stage", "embed"),
				Series: Series{
					{`ollama_rag_retrieval_seconds_bucket{$at,stage="embed",le="0.5"}`, "0x50"},
					{`ollama_rag_retrieval_seconds_bucket{$at,stage="embed",le="2.5"}`, "0+4x50"},
					{`ollama_rag_retrieval_seconds_bucket{$at,stage="embed",le="+Inf"}`, "0+4x50"},
					{`ollama_rag_retrieval_seconds_count{$at,stage="embed"}`, "0+4x50"},
				},
				Description: "The stage embed takes 2.4s or more for one in twenty questions to ollama-rag.",
			}},
			Quiet: []Quiet{{
				When: "half a second at most", At: 40 * time.Minute,
				Series: Series{
					{`ollama_rag_retrieval_seconds_bucket{$at,stage="embed",le="0.5"}`, "0+4x50"},
					{`ollama_rag_retrieval_seconds_bucket{$at,stage="embed",le="2.5"}`, "0+4x50"},
					{`ollama_rag_retrieval_seconds_bucket{$at,stage="embed",le="+Inf"}`, "0+4x50"},
					{`ollama_rag_retrieval_seconds_count{$at,stage="embed"}`, "0+4x50"},
				},
			}, {
				When: "fifteen of fifteen", At: 40 * time.Minute,
				Series: Series{
					{`ollama_rag_retrieval_seconds_bucket{$at,stage="embed",le="0.5"}`, "0x50"},
					{`ollama_rag_retrieval_seconds_bucket{$at,stage="embed",le="2.5"}`, "0+1x50"},
					{`ollama_rag_retrieval_seconds_bucket{$at,stage="embed",le="+Inf"}`, "0+1x50"},
					{`ollama_rag_retrieval_seconds_count{$at,stage="embed"}`, "0+1x50"},
				},
			}},
		},
	)
	return g
}
