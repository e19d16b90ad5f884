package observe

import "strconv"

// Dashboard is what an operator is shown, from "is it up" down to the process. Status and users are open; the rest is a table of
// contents until it is needed.
func Dashboard() *Board {
	b := &Board{
		UID: "ollama-rag", Title: "ollama-rag",
		Description: "Questions over documents through Ollama: is it up, is anything broken, what do users feel, and why.",
		Variables: []Variable{
			{"job", "Job", "Scrape jobs whose name has ollama-rag in it.", "label_values(ollama_rag_app_info, job)", "/.*ollama-rag.*/", ".*ollama-rag.*"},
			{"instance", "Instance", "Servers.", `label_values(ollama_rag_app_info{job=~"$job"}, instance)`, "", ".*"},
			{"model", "Model", "Chat models, for the panels that tell them apart. The first twenty have a name, the rest is other.",
				`label_values(ollama_rag_llm_requests_total{job=~"$job",instance=~"$instance"}, model)`, "", ".*"},
		},
		Marks: []Mark{
			{"Breaker opens", "red", changedTo(1), "{{breaker_name}} opens"},
			{"Breaker closes", "green", changedTo(0), "{{breaker_name}} closes"},
			{"Restart", "blue", `process_start_time_seconds * 1000`, "{{instance}} starts"},
		},
		Rows: []Row{statusRow(), usersRow(), modelRow(), resilienceRow(), queueRow(), cacheRow(), retrievalRow(), hostsRow(), processRow()},
	}
	for i := range b.Marks {
		b.Marks[i].Expr = filtered(b.Marks[i].Expr)
	}
	for _, r := range b.Rows {
		for _, p := range r.Panels {
			for i := range p.Queries {
				p.Queries[i].Expr = filtered(p.Queries[i].Expr)
			}
		}
	}
	return b
}

// changedTo finds when breakers went to a state that they are in. A breaker that never changed has the time of its start, which is no
// change.
func changedTo(state int) string {
	return `ollama_rag_circuit_breaker_last_state_change_timestamp * 1000
and on (job, instance, breaker_name) (ollama_rag_circuit_breaker_state == ` + strconv.Itoa(state) + `)
and on (job, instance, breaker_name) (sum by (job, instance, breaker_name) (ollama_rag_circuit_breaker_transitions_total) > 0)`
}

// Colours that mean something.
var (
	good       = Paint{"success|answered|supported|won|ok|2..|added|exact|same", "green"}
	bad        = Paint{"failure|error|5..|unsupported|different|upstream|refused", "red"}
	middling   = Paint{"degraded|timeout|rejected|4..|miss", "orange"}
	aside      = Paint{"abandoned|neutral|unchanged|client|lost", "#8e8e8e"}
	outcomes   = []Paint{good, bad, middling, aside}
	upOrDown   = []State{{0, "DOWN", "red"}, {1, "UP", "green"}}
	breakers   = []State{{0, "closed", "green"}, {1, "OPEN", "red"}, {2, "half open", "orange"}}
	noneIsGood = []Step{{0, "green"}, {1, "red"}}
)

func statusRow() Row {
	const width, height = 3, 4
	stats := []Panel{
		{Title: "Server", Description: "Whether Prometheus reaches every server chosen above. DOWN: look at the process and its log, `ollama-rag doctor` helps.",
			Queries: []Query{{Expr: `min(up)`}}, States: upOrDown, NoValue: "not scraped"},
		{Title: "Models", Description: "DOWN: every model host of a server is cut off by its breaker. Questions are then answered from the cache, else by quoted passages.",
			Queries: []Query{{Expr: `min(ollama_rag_ollama_healthy)`}}, States: upOrDown, NoValue: "unknown"},
		{Title: "Hosts that are down", Description: "Model hosts whose last contact came to nothing. Which: row Hosts.",
			Queries: []Query{{Expr: `sum(ollama_rag_backend_up == bool 0)`}}, Steps: noneIsGood},
		{Title: "Breakers not closed", Description: "Breakers of hosts, and of models on hosts, that are open or half open. Which, and since when: row Resilience.",
			Queries: []Query{{Expr: `sum(ollama_rag_circuit_breaker_state > bool 0)`}}, Steps: noneIsGood},
		{Title: "Alerts that fire", Description: "Alerts of the project's rules. 0 as well where Prometheus has not loaded them.",
			Queries: []Query{{Expr: `count(ALERTS{alertname=~"OllamaRAG.+",alertstate="firing"}) or vector(0)`}}, Steps: noneIsGood},
		{Title: "Requests that went well", Description: "Share of requests, in the time shown, that were not answered with a 5xx. Scrapes and health checks do not count.", Unit: "percentunit",
			Queries: []Query{{Expr: `sum(rate(ollama_rag_http_requests_total{route!~"/metrics|/health.*|/api/health",code!~"5.."}[$__range]))
/ (sum(rate(ollama_rag_http_requests_total{route!~"/metrics|/health.*|/api/health"}[$__range])) > 0)`}},
			Steps: []Step{{0, "red"}, {.95, "orange"}, {.99, "green"}}, NoValue: "no traffic"},
		{Title: "First byte, p95", Description: "How long 95 % of those who asked for a stream waited for its first byte, in the time shown, cache hits included. High: a model is being loaded (row Model), or calls wait in line (row Pool and queue).", Unit: "s",
			Queries: []Query{{Expr: `histogram_quantile(0.95, sum by (le) (rate(ollama_rag_http_time_to_first_byte_seconds_bucket{route=~"/api/stream_query|gateway_chat"}[$__range]))) >= 0`}},
			Steps:   []Step{{0, "green"}, {5, "orange"}, {30, "red"}}, NoValue: "no traffic"},
		{Title: "Cache hit rate", Description: "Share of look-ups in the answer cache, in the time shown, that were answered from it.", Unit: "percentunit",
			Queries: []Query{{Expr: `sum(rate(ollama_rag_semcache_hits_total[$__range])) / (sum(rate(ollama_rag_semcache_hits_total[$__range])) + sum(rate(ollama_rag_semcache_misses_total[$__range])) > 0)`}},
			Steps:   []Step{{0, "blue"}}, NoValue: "no traffic"},
	}
	for i := range stats {
		stats[i].Kind, stats[i].Width, stats[i].Height = Stat, width, height
	}
	return Row{"Status", true, append(stats,
		Panel{Title: "Breakers", Description: "State of each breaker over time: a host, or HOST#MODEL. Open means that no call goes there until its cooldown has passed.", Kind: Timeline, Width: 12,
			Queries: []Query{{Expr: `max by (instance, breaker_name) (ollama_rag_circuit_breaker_state)`, Legend: "{{breaker_name}} at {{instance}}"}}, States: breakers},
		Panel{Title: "Questions by outcome", Description: "degraded: passages were quoted, since no model answered. refused: no passage answers the question. abandoned: who asked went away.", Kind: Lines, Width: 12, Unit: "reqps", Stack: true,
			Queries: []Query{{Expr: `sum by (outcome) (rate(ollama_rag_queries_total[$__rate_interval]))`, Legend: "{{outcome}}"}},
			Paint:   []Paint{good, bad, middling, aside, {"refused", "blue"}}},
	)}
}

func usersRow() Row {
	return Row{"Users", true, []Panel{
		{Title: "Requests by status", Description: "All but scrapes. 499 is a client that left before its answer began; 503 says that no model or no place was to be had.", Kind: Lines, Unit: "reqps", Stack: true,
			Queries: []Query{{Expr: `sum by (code) (rate(ollama_rag_http_requests_total{route!="/metrics"}[$__rate_interval]))`, Legend: "{{code}}"}},
			Paint:   []Paint{{"2..", "green"}, {"3..", "blue"}, {"4..", "orange"}, {"5..", "red"}}},
		{Title: "Time to the first byte", Description: "Of answers that come as a stream: what users feel as slow. The middle one of users, and the slowest twentieth.", Kind: Lines, Unit: "s",
			Queries: []Query{
				{Expr: `histogram_quantile(0.95, sum by (le, route) (rate(ollama_rag_http_time_to_first_byte_seconds_bucket{route=~"/api/stream_query|gateway_chat"}[$__rate_interval]))) >= 0`, Legend: "p95 {{route}}"},
				{Expr: `histogram_quantile(0.5, sum by (le, route) (rate(ollama_rag_http_time_to_first_byte_seconds_bucket{route=~"/api/stream_query|gateway_chat"}[$__rate_interval]))) >= 0`, Legend: "p50 {{route}}"},
			}},
		{Title: "Time of a whole answer, p95", Description: "From the request to the end of the answer, of the routes that users wait for.", Kind: Lines, Unit: "s",
			Queries: []Query{{Expr: `histogram_quantile(0.95, sum by (le, route) (rate(ollama_rag_http_request_duration_seconds_bucket{route=~"/api/query|/api/stream_query|/api/search|/api/upload|gateway_.*"}[$__rate_interval]))) >= 0`, Legend: "{{route}}"}}},
		{Title: "Failed questions by fault", Description: "unavailable: no model host. overloaded: no place in line. bad_upstream: the model server's answer made no sense. internal: a fault of ours, please report it.", Kind: Lines, Unit: "reqps", Width: 6,
			Queries: []Query{{Expr: `sum by (error_type) (rate(ollama_rag_query_errors_total[$__rate_interval]))`, Legend: "{{error_type}}"}}},
		{Title: "Answers broken off", Description: "Answers that began and did not become whole. client: who asked left. upstream: the model server, or we, broke off, and users saw half an answer.", Kind: Lines, Unit: "reqps", Width: 6,
			Queries: []Query{{Expr: `sum by (side) (rate(ollama_rag_http_streams_aborted_total[$__rate_interval]))`, Legend: "{{side}}"}}, Paint: outcomes},
		{Title: "Requests being answered", Description: "A climb without a fall means that answers do not end: look at the queue and the hosts.", Kind: Lines, Unit: "short", Width: 6,
			Queries: []Query{{Expr: `sum by (instance) (ollama_rag_http_requests_in_flight)`, Legend: "{{instance}}"}}},
		{Title: "Time added to the gateway's requests", Description: "What we add to a request of Ollama's or OpenAI's API, without the model server's own time and the wait in line. The aim is below 1 ms.", Kind: Lines, Unit: "s", Width: 6,
			Queries: []Query{
				{Expr: `histogram_quantile(0.99, sum by (le) (rate(ollama_rag_gateway_overhead_seconds_bucket[$__rate_interval]))) >= 0`, Legend: "p99"},
				{Expr: `histogram_quantile(0.5, sum by (le) (rate(ollama_rag_gateway_overhead_seconds_bucket[$__rate_interval]))) >= 0`, Legend: "p50"},
			}, Steps: []Step{{0, "green"}, {.001, "orange"}}},
		{Title: "Routes", Description: "The time shown, by route: how many requests, how many of them were refused and failed, and how long they took (not of routes that only show state).", Kind: Table, Width: 24, Height: 12,
			Queries: []Query{
				{Expr: `sum by (route) (increase(ollama_rag_http_requests_total[$__range])) > 0`, Legend: "requests", Unit: "short"},
				{Expr: `sum by (route) (increase(ollama_rag_http_requests_total{code=~"4.."}[$__range])) > 0`, Legend: "refused (4xx)", Unit: "short"},
				{Expr: `sum by (route) (increase(ollama_rag_http_requests_total{code=~"5.."}[$__range])) > 0`, Legend: "failed (5xx)", Unit: "short"},
				{Expr: `histogram_quantile(0.5, sum by (le, route) (rate(ollama_rag_http_request_duration_seconds_bucket[$__range]))) >= 0`, Legend: "p50", Unit: "s"},
				{Expr: `histogram_quantile(0.95, sum by (le, route) (rate(ollama_rag_http_request_duration_seconds_bucket[$__range]))) >= 0`, Legend: "p95", Unit: "s"},
			}},
	}}
}

func modelRow() Row {
	return Row{"Model", false, []Panel{
		{Title: "Calls by outcome", Description: "Calls of chat models for questions, retries counted as one. The gateway's own calls are in row Hosts.", Kind: Lines, Unit: "reqps", Stack: true,
			Queries: []Query{{Expr: `sum by (outcome) (rate(ollama_rag_llm_requests_total[$__rate_interval]))`, Legend: "{{outcome}}"}}, Paint: outcomes},
		{Title: "Calls that fail, by model", Description: "Share of a model's calls that ended in an error. One model alone: it is broken, or too large for the host. All: the host.", Kind: Lines, Unit: "percentunit",
			Queries: []Query{{Expr: `sum by (model) (rate(ollama_rag_llm_requests_total{outcome="error"}[$__rate_interval])) / (sum by (model) (rate(ollama_rag_llm_requests_total[$__rate_interval])) > 0)`, Legend: "{{model}}"}},
			Steps:   []Step{{0, "green"}, {.05, "red"}}},
		{Title: "Time to the first token", Description: "From the call to the first piece of text, wait in line and loading of the model included.", Kind: Lines, Unit: "s",
			Queries: []Query{
				{Expr: `histogram_quantile(0.95, sum by (le, model) (rate(ollama_rag_llm_time_to_first_token_seconds_bucket[$__rate_interval]))) >= 0`, Legend: "p95 {{model}}"},
				{Expr: `histogram_quantile(0.5, sum by (le, model) (rate(ollama_rag_llm_time_to_first_token_seconds_bucket[$__rate_interval]))) >= 0`, Legend: "p50 {{model}}"},
			}},
		{Title: "Times to the first token", Description: "All calls. Two bands: one of calls that found the model loaded, one of those that waited for it.", Kind: Heatmap, Unit: "s",
			Queries: []Query{{Expr: `sum by (le) (increase(ollama_rag_llm_time_to_first_token_seconds_bucket[$__rate_interval]))`, Legend: "{{le}}"}}},
		{Title: "Time of a whole answer, p95", Description: "Of the calls that ended well.", Kind: Lines, Unit: "s",
			Queries: []Query{{Expr: `histogram_quantile(0.95, sum by (le, model) (rate(ollama_rag_llm_response_seconds_bucket[$__rate_interval]))) >= 0`, Legend: "{{model}}"}}},
		{Title: "Speed of writing", Description: "Tokens a second of one answer, by the model server's own figures. A fall with many calls at once: they share the host. A fall alone: the model no longer fits into graphics memory.", Kind: Lines, Unit: "short",
			Queries: []Query{{Expr: `sum by (model) (rate(ollama_rag_llm_time_per_output_token_seconds_count[$__rate_interval])) / (sum by (model) (rate(ollama_rag_llm_time_per_output_token_seconds_sum[$__rate_interval])) > 0)`, Legend: "{{model}}"}}},
		{Title: "Tokens", Description: "Tokens a second that all answers together read (input) and wrote (output).", Kind: Lines, Unit: "short", Width: 12,
			Queries: []Query{{Expr: `sum by (model, type) (rate(ollama_rag_llm_tokens_total[$__rate_interval])) > 0`, Legend: "{{type}} {{model}}"}}},
		{Title: "Calls that waited for their model to load", Description: "More than a second. Many: models push each other out of memory; fewer models, OLLAMA_KEEP_ALIVE or OLLAMA_MAX_LOADED_MODELS on the host help.", Kind: Lines, Unit: "short", Width: 12,
			Queries: []Query{{Expr: `sum by (model) (increase(ollama_rag_llm_load_duration_seconds_count[$__rate_interval])) - sum by (model) (increase(ollama_rag_llm_load_duration_seconds_bucket{le=~"1(\\.0)?"}[$__rate_interval]))`, Legend: "{{model}}"}}},
	}}
}

func resilienceRow() Row {
	return Row{"Resilience", false, []Panel{
		{Title: "Breakers", Description: "The state now, and since when.", Kind: Table,
			Queries: []Query{
				{Expr: `max by (instance, breaker_name) (ollama_rag_circuit_breaker_state)`, Legend: "state", States: breakers},
				{Expr: `time() - max by (instance, breaker_name) (ollama_rag_circuit_breaker_last_state_change_timestamp)`, Legend: "for", Unit: "s"},
			}},
		{Title: "Calls at the hosts' breakers", Description: "rejected: the breaker was open and the host was not asked. A client that leaves counts as none of the three.", Kind: Lines, Unit: "reqps", Stack: true,
			Queries: []Query{{Expr: `sum by (status) (rate(ollama_rag_circuit_breaker_calls_total{breaker_name!~".*#.*"}[$__rate_interval]))`, Legend: "{{status}}"}}, Paint: outcomes},
		{Title: "Share of calls that fail", Description: "By breaker. Half of the last ten calls open it (CIRCUIT_BREAKER_FAILURE_RATIO).", Kind: Lines, Unit: "percentunit",
			Queries: []Query{{Expr: `sum without (status) (rate(ollama_rag_circuit_breaker_calls_total{status="failure"}[$__rate_interval])) / (sum without (status) (rate(ollama_rag_circuit_breaker_calls_total{status!="rejected"}[$__rate_interval])) > 0)`, Legend: "{{breaker_name}} at {{instance}}"}},
			Steps:   []Step{{0, "green"}, {.5, "red"}}},
		{Title: "Failures in a row", Description: "Five open the breaker (CIRCUIT_BREAKER_FAILURE_THRESHOLD).", Kind: Lines, Unit: "short",
			Queries: []Query{{Expr: `max by (instance, breaker_name) (ollama_rag_circuit_breaker_consecutive_failures)`, Legend: "{{breaker_name}} at {{instance}}"}}, Steps: []Step{{0, "green"}, {5, "red"}}},
		{Title: "Changes of state", Description: "By the state that was gone to. Again and again to open: the host answers probes and fails under load.", Kind: Lines, Unit: "short",
			Queries: []Query{{Expr: `sum by (to_state) (increase(ollama_rag_circuit_breaker_transitions_total[$__rate_interval]))`, Legend: "{{to_state}}"}},
			Paint:   []Paint{{"open", "red"}, {"half_open", "orange"}, {"closed", "green"}}},
		{Title: "Retries by reason", Description: "Attempts that were repeated. They stop when the breaker opens, and come from a budget of a fifth of the requests.", Kind: Lines, Unit: "reqps",
			Queries: []Query{{Expr: `sum by (reason) (rate(ollama_rag_retries_total[$__rate_interval]))`, Legend: "{{reason}}"}}},
		{Title: "Failovers and second attempts", Description: "Repeated on another host; and, with OLLAMA_HEDGE_AFTER, sent to a second host while the first was slow: won is of use, lost was in vain.", Kind: Lines, Unit: "reqps", Width: 12,
			Queries: []Query{
				{Expr: `sum(rate(ollama_rag_failovers_total[$__rate_interval]))`, Legend: "failovers"},
				{Expr: `sum by (outcome) (rate(ollama_rag_hedges_total[$__rate_interval]))`, Legend: "second attempts {{outcome}}"},
			}},
		{Title: "Answers while no model answers", Description: "Questions answered by quoted passages, and by remembered answers that are too old (SEMANTIC_CACHE_STALE_IF_ERROR).", Kind: Lines, Unit: "reqps", Width: 12,
			Queries: []Query{
				{Expr: `sum(rate(ollama_rag_queries_total{outcome="degraded"}[$__rate_interval]))`, Legend: "degraded"},
				{Expr: `sum(rate(ollama_rag_semcache_stale_served_total[$__rate_interval]))`, Legend: "stale"},
			}},
	}}
}

func queueRow() Row {
	return Row{"Pool and queue", false, []Panel{
		{Title: "Calls that wait for a place", Description: "Chat goes before embedding, embedding before ingest. Chat that waits for minutes: the hosts are too few or too slow.", Kind: Lines, Unit: "short", Stack: true,
			Queries: []Query{{Expr: `sum by (class) (ollama_rag_queue_depth)`, Legend: "{{class}}"}}},
		{Title: "Wait for a place, p95", Description: "Of the calls that got one.", Kind: Lines, Unit: "s",
			Queries: []Query{{Expr: `histogram_quantile(0.95, sum by (le, class) (rate(ollama_rag_queue_wait_seconds_bucket[$__rate_interval]))) >= 0`, Legend: "{{class}}"}}},
		{Title: "Calls that got no place", Description: "full: OLLAMA_QUEUE_SIZE were waiting. timeout: OLLAMA_QUEUE_TIMEOUT passed. cooling: every host asked to be left alone for longer than that. Clients got 503 with a Retry-After.", Kind: Lines, Unit: "reqps",
			Queries: []Query{{Expr: `sum by (reason) (rate(ollama_rag_queue_rejected_total[$__rate_interval]))`, Legend: "{{reason}}"}}},
		{Title: "Requests to model servers", Description: "Every HTTP request whose header went out, retries and health checks included.", Kind: Lines, Unit: "reqps", Width: 6,
			Queries: []Query{{Expr: `sum by (client_name) (rate(ollama_rag_connection_pool_requests_total[$__rate_interval]))`, Legend: "{{client_name}}"}}},
		{Title: "Connections", Description: "Open ones. More than maxsize are dialled anew for each request, unless OLLAMA_POOL_BLOCK is set.", Kind: Lines, Unit: "short", Width: 6,
			Queries: []Query{
				{Expr: `sum by (client_name, state) (ollama_rag_connection_pool_connections)`, Legend: "{{state}} {{client_name}}"},
				{Expr: `max(ollama_rag_connection_pool_size{pool_type="maxsize"})`, Legend: "maxsize"},
			}, Paint: []Paint{{"maxsize", "red"}}},
		{Title: "Requests on a connection that was there", Description: "Near 100 % is as it should be; every other request pays for a dial.", Kind: Lines, Unit: "percentunit", Width: 6,
			Queries: []Query{{Expr: `sum by (client_name) (rate(ollama_rag_connection_pool_reused_total[$__rate_interval])) / (sum by (client_name) (rate(ollama_rag_connection_pool_requests_total[$__rate_interval])) > 0)`, Legend: "{{client_name}}"}}},
		{Title: "Dials by result", Description: "refused: nothing listens there. timeout: the network, or a host that is no more.", Kind: Lines, Unit: "reqps", Width: 6,
			Queries: []Query{{Expr: `sum by (result) (rate(ollama_rag_connection_pool_dials_total[$__rate_interval]))`, Legend: "{{result}}"}}, Paint: outcomes},
		{Title: "Wait for a connection, p99", Description: "Dialled or reused.", Kind: Lines, Unit: "s", Width: 24, Height: 6,
			Queries: []Query{{Expr: `histogram_quantile(0.99, sum by (le, client_name) (rate(ollama_rag_connection_pool_wait_seconds_bucket[$__rate_interval]))) >= 0`, Legend: "{{client_name}}"}}},
	}}
}
