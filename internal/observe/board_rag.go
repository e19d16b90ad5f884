package observe

func cacheRow() Row {
	return Row{"Cache", false, []Panel{
		{Title: "Hit rate", Description: "Share of look-ups that were answered from the answer cache: by the very same question (exact) or by a near one (semantic).", Kind: Lines, Unit: "percentunit", Stack: true,
			Queries: []Query{{Expr: `sum by (type) (rate(ollama_rag_semcache_hits_total[$__rate_interval])) / on () group_left () (sum(rate(ollama_rag_semcache_hits_total[$__rate_interval])) + sum(rate(ollama_rag_semcache_misses_total[$__rate_interval])) > 0)`, Legend: "{{type}}"}}},
		{Title: "Look-ups by result", Description: "coalesced: joined the answer to the same question in flight, neither hit nor miss.", Kind: Lines, Unit: "reqps", Stack: true,
			Queries: []Query{
				{Expr: `sum by (type) (rate(ollama_rag_semcache_hits_total[$__rate_interval]))`, Legend: "{{type}}"},
				{Expr: `sum(rate(ollama_rag_semcache_misses_total[$__rate_interval]))`, Legend: "miss"},
				{Expr: `sum(rate(ollama_rag_coalesced_requests_total[$__rate_interval]))`, Legend: "coalesced"},
			}, Paint: []Paint{{"miss", "orange"}}},
		{Title: "Model time saved", Description: "What the answers served in the time shown had cost when they were made.", Kind: Stat, Unit: "s", Width: 4,
			Queries: []Query{{Expr: `sum(increase(ollama_rag_semcache_saved_seconds_total[$__range]))`}}, Steps: []Step{{0, "blue"}}},
		{Title: "Tokens saved", Description: "As before, in tokens read and written.", Kind: Stat, Unit: "short", Width: 4,
			Queries: []Query{{Expr: `sum(increase(ollama_rag_semcache_saved_tokens_total[$__range]))`}}, Steps: []Step{{0, "blue"}}},
		{Title: "Fill", Description: "Entries over the most there may be. Full is no fault; full with many evictions and few hits is.", Kind: Bars, Unit: "percentunit", Width: 6,
			Queries: []Query{{Expr: `max by (instance) (ollama_rag_semcache_fill_ratio)`, Legend: "{{instance}}"}}, Steps: []Step{{0, "green"}, {.95, "orange"}}},
		{Title: "Entries", Description: "Answers that can still be served, and whole answers of models that are kept under the exact prompt.", Kind: Lines, Unit: "short", Width: 6,
			Queries: []Query{
				{Expr: `sum(ollama_rag_semcache_size)`, Legend: "answers"},
				{Expr: `sum(ollama_rag_gencache_entries)`, Legend: "models' words"},
			}},
		{Title: "Memory", Description: "Bounded by SEMANTIC_CACHE_BYTES and GEN_CACHE_BYTES.", Kind: Lines, Unit: "bytes", Width: 6,
			Queries: []Query{
				{Expr: `sum(ollama_rag_semcache_bytes)`, Legend: "answers"},
				{Expr: `sum(ollama_rag_gencache_bytes)`, Legend: "models' words"},
			}},
		{Title: "Evictions by reason", Description: "size, bytes: the cache is full. changed: documents changed. Many changed: the cache can do little for documents that move that fast.", Kind: Lines, Unit: "reqps", Width: 6,
			Queries: []Query{{Expr: `sum by (reason) (rate(ollama_rag_semcache_evictions_total[$__rate_interval]))`, Legend: "{{reason}}"}}},
		{Title: "Near questions", Description: "Similarity of the nearest remembered question, served or not. Much just below the threshold: more could be served, if `eval --cache` agrees.", Kind: Heatmap, Unit: "none",
			Queries: []Query{{Expr: `sum by (le) (increase(ollama_rag_semcache_similarity_bucket[$__rate_interval]))`, Legend: "{{le}}"}}},
		{Title: "Near, and not served: a guard spoke", Description: "The two questions differ in numbers, names, negation, comparison or language.", Kind: Lines, Unit: "reqps",
			Queries: []Query{{Expr: `sum by (reason) (rate(ollama_rag_semcache_guard_rejections_total[$__rate_interval]))`, Legend: "{{reason}}"}}},
		{Title: "Found, and not served: evidence", Description: "The passages behind the answer are gone or no longer the best ones for the question. contract: the tier is closed, or that answer was made anew to compare.", Kind: Lines, Unit: "reqps",
			Queries: []Query{{Expr: `sum by (reason) (rate(ollama_rag_semcache_stale_total[$__rate_interval]))`, Legend: "{{reason}}"}}},
		{Title: "Near tier", Description: "closed: too many answers to near questions differed from the model's (SEMANTIC_CACHE_MAX_ERROR). It opens again by itself.", Kind: Timeline, Width: 6,
			Queries: []Query{{Expr: `min by (instance) (ollama_rag_semcache_semantic_open)`, Legend: "{{instance}}"}}, States: []State{{0, "closed", "orange"}, {1, "open", "green"}}},
		{Title: "Error contract", Description: "Upper bound, at 95 %, of the share of answers to near questions that differ from the model's: 100 % before any was compared. And the least similarity that is served.", Kind: Lines, Unit: "percentunit", Width: 6,
			Queries: []Query{
				{Expr: `max(ollama_rag_semcache_false_hit_upper_bound)`, Legend: "upper bound"},
				{Expr: `max(ollama_rag_semcache_effective_threshold)`, Legend: "least similarity"},
			}},
		{Title: "Compared answers", Description: "Answers to near questions that were made again, the newest.", Kind: Lines, Unit: "short", Width: 6, Stack: true,
			Queries: []Query{{Expr: `sum by (result) (ollama_rag_semcache_shadow_samples)`, Legend: "{{result}}"}}, Paint: outcomes},
		{Title: "Models' words, given again", Description: "Whole answers under the exact prompt: hits cost no model even where documents changed around the passages.", Kind: Lines, Unit: "reqps", Width: 6, Stack: true,
			Queries: []Query{
				{Expr: `sum(rate(ollama_rag_gencache_hits_total[$__rate_interval]))`, Legend: "hit"},
				{Expr: `sum(rate(ollama_rag_gencache_misses_total[$__rate_interval]))`, Legend: "miss"},
			}, Paint: []Paint{{"hit", "green"}, {"miss", "orange"}}},
		{Title: "Time of a look-up, p99", Description: "The very same question, and the nearest by its vector.", Kind: Lines, Unit: "s", Width: 24, Height: 6,
			Queries: []Query{{Expr: `histogram_quantile(0.99, sum by (le, type) (rate(ollama_rag_semcache_lookup_duration_seconds_bucket[$__rate_interval]))) >= 0`, Legend: "{{type}}"}}},
	}}
}

func retrievalRow() Row {
	return Row{"Retrieval and ingest", false, []Panel{
		{Title: "Stages before the model, p95", Description: "embed is the question's vector; vector, bm25 and fuse are the search. embed alone is slow: the embedder is on a model host that is busy.", Kind: Lines, Unit: "s",
			Queries: []Query{{Expr: `histogram_quantile(0.95, sum by (le, stage) (rate(ollama_rag_retrieval_seconds_bucket[$__rate_interval]))) >= 0`, Legend: "{{stage}}"}}},
		{Title: "Best passages", Description: "Cosine of the best passage of each question. A fall: users ask what the documents do not say.", Kind: Heatmap, Unit: "none",
			Queries: []Query{{Expr: `sum by (le) (increase(ollama_rag_retrieval_top_score_bucket[$__rate_interval]))`, Legend: "{{le}}"}}},
		{Title: "Passages shown a question", Description: "The mean.", Kind: Lines, Unit: "short",
			Queries: []Query{{Expr: `sum(rate(ollama_rag_retrieved_docs_sum[$__rate_interval])) / (sum(rate(ollama_rag_retrieved_docs_count[$__rate_interval])) > 0)`, Legend: "passages"}}},
		{Title: "Citations by verdict", Description: "unsupported: the sentence names a passage that does not bear it out. Many: the model is too small, or the passages do not answer.", Kind: Lines, Unit: "cps", Stack: true,
			Queries: []Query{{Expr: `sum by (verdict) (rate(ollama_rag_citations_total[$__rate_interval]))`, Legend: "{{verdict}}"}}, Paint: []Paint{good, bad, {"inferred", "blue"}, {"quoted", "purple"}}},
		{Title: "Questions that no passage answers", Description: "no_passages: nothing was found at all.", Kind: Lines, Unit: "reqps",
			Queries: []Query{{Expr: `sum by (reason) (rate(ollama_rag_refusals_total[$__rate_interval]))`, Legend: "{{reason}}"}}},
		{Title: "Documents", Description: "By knowledge base: the first twenty by name, the rest as other.", Kind: Bars, Unit: "short",
			Queries: []Query{{Expr: `max by (db) (ollama_rag_database_documents)`, Legend: "{{db}}"}}, Steps: []Step{{0, "blue"}}},
		{Title: "Passages", Description: "In the loaded search indexes.", Kind: Lines, Unit: "short", Width: 6,
			Queries: []Query{{Expr: `sum by (instance) (ollama_rag_index_passages)`, Legend: "{{instance}}"}}},
		{Title: "Memory of the indexes", Description: "Indexes are loaded when a knowledge base is first asked.", Kind: Lines, Unit: "bytes", Width: 6,
			Queries: []Query{{Expr: `sum by (instance) (ollama_rag_index_size_bytes)`, Legend: "{{instance}}"}}},
		{Title: "Files by what became of them", Description: "skipped: could not be read; the job's report names each with the reason.", Kind: Lines, Unit: "cps", Width: 6, Stack: true,
			Queries: []Query{{Expr: `sum by (status) (rate(ollama_rag_documents_ingested_total[$__rate_interval]))`, Legend: "{{status}}"}},
			Paint:   []Paint{{"added", "green"}, {"replaced", "blue"}, {"skipped", "red"}, {"unchanged", "#8e8e8e"}}},
		{Title: "Passages made", Description: "By ingest, a second.", Kind: Lines, Unit: "cps", Width: 6,
			Queries: []Query{{Expr: `sum by (instance) (rate(ollama_rag_chunks_created_total[$__rate_interval]))`, Legend: "{{instance}}"}}},
		{Title: "Stages of ingest, p95", Description: "read, cut and store are of a file, embed is of a batch of passages.", Kind: Lines, Unit: "s",
			Queries: []Query{{Expr: `histogram_quantile(0.95, sum by (le, stage) (rate(ollama_rag_ingestion_seconds_bucket[$__rate_interval]))) >= 0`, Legend: "{{stage}}"}}},
		{Title: "Ingest jobs", Description: "At work, and waiting.", Kind: Lines, Unit: "short", Stack: true,
			Queries: []Query{
				{Expr: `sum(ollama_rag_ingest_jobs_running)`, Legend: "running"},
				{Expr: `sum(ollama_rag_ingest_queue_depth)`, Legend: "waiting"},
			}},
		{Title: "Age of the oldest job that waits", Description: "Climbs for long while one runs: that one is large, see `ollama-rag jobs`. Climbs while none runs: a fault.", Kind: Lines, Unit: "s",
			Queries: []Query{{Expr: `max by (instance) (ollama_rag_ingest_queue_oldest_seconds)`, Legend: "{{instance}}"}}},
	}}
}

func hostsRow() Row {
	return Row{"Hosts", false, []Panel{
		{Title: "Hosts", Description: "Whether the last contact with each model host came to something.", Kind: Timeline, Width: 12,
			Queries: []Query{{Expr: `min by (instance, backend) (ollama_rag_backend_up)`, Legend: "{{backend}} at {{instance}}"}}, States: upOrDown},
		{Title: "Attempts by outcome", Description: "neutral: says nothing about the host, such as a client's own fault or one that left.", Kind: Lines, Unit: "reqps", Width: 12,
			Queries: []Query{{Expr: `sum by (backend, outcome) (rate(ollama_rag_backend_requests_total[$__rate_interval])) > 0`, Legend: "{{outcome}} {{backend}}"}}},
		{Title: "Calls in flight", Description: "Calls whose answers are not read to their end yet.", Kind: Lines, Unit: "short",
			Queries: []Query{{Expr: `sum by (backend) (ollama_rag_backend_requests_in_flight)`, Legend: "{{backend}}"}}},
		{Title: "Calls at once that a host is trusted with", Description: "By model; found out by trying. Falls where more at once were not faster.", Kind: Lines, Unit: "short",
			Queries: []Query{{Expr: `sum by (backend, model) (ollama_rag_backend_model_places) > 0`, Legend: "{{model}} on {{backend}}"}}},
		{Title: "Answers that there is no room", Description: "503 and 429 of a model server.", Kind: Lines, Unit: "reqps",
			Queries: []Query{{Expr: `sum by (backend) (rate(ollama_rag_backend_saturated_total[$__rate_interval]))`, Legend: "{{backend}}"}}},
		{Title: "Models in memory", Description: "As the host last said. One that comes and goes: calls wait for it to load.", Kind: Lines, Unit: "short",
			Queries: []Query{{Expr: `max by (backend) (ollama_rag_backend_loaded_models)`, Legend: "{{backend}}"}}},
		{Title: "Graphics memory", Description: "That models take, as the host last said. 0 runs on the processor.", Kind: Lines, Unit: "bytes", Stack: true,
			Queries: []Query{{Expr: `max by (backend, model) (ollama_rag_backend_model_vram_bytes)`, Legend: "{{model}} on {{backend}}"}}},
		{Title: "Versions of model servers", Description: "As they last said.", Kind: Table,
			Queries: []Query{{Expr: `max by (backend, version) (ollama_rag_backend_info)`}}},
	}}
}

func processRow() Row {
	return Row{"Process", false, []Panel{
		{Title: "Build", Description: "Different versions at once: a roll-out is under way, or stuck.", Kind: Table, Width: 12, Height: 6,
			Queries: []Query{{Expr: `max by (instance, version, revision, goversion) (ollama_rag_app_info)`}}},
		{Title: "Up for", Description: "Since the start of the youngest process.", Kind: Stat, Unit: "s", Width: 4, Height: 6,
			Queries: []Query{{Expr: `min(time() - process_start_time_seconds)`}}, Steps: []Step{{0, "orange"}, {600, "green"}}},
		{Title: "Store", Description: "Whether the data folder's database answered the last scrape. FAILS: the disk is full or slow; the log says which.", Kind: Stat, Width: 4, Height: 6,
			Queries: []Query{{Expr: `max(ollama_rag_scrape_store_error)`}}, States: []State{{0, "answers", "green"}, {1, "FAILS", "red"}}},
		{Title: "Series", Description: "Of one scrape. Below 1,500 whatever clients send.", Kind: Stat, Unit: "none", Width: 4, Height: 6,
			Queries: []Query{{Expr: `max(scrape_samples_scraped)`}}, Steps: []Step{{0, "green"}, {1500, "red"}}},
		{Title: "Processor", Description: "Cores in use. The embedder in the binary, ingest and searches need them; a model on the same machine wants them too.", Kind: Lines, Unit: "short",
			Queries: []Query{{Expr: `sum by (instance) (rate(process_cpu_seconds_total[$__rate_interval]))`, Legend: "{{instance}}"}}},
		{Title: "Memory", Description: "Of the process, and of that what Go's heap holds. Indexes and caches are most of it: rows Retrieval and Cache.", Kind: Lines, Unit: "bytes",
			Queries: []Query{
				{Expr: `sum by (instance) (process_resident_memory_bytes)`, Legend: "process {{instance}}"},
				{Expr: `sum by (instance) (go_memstats_heap_inuse_bytes)`, Legend: "heap {{instance}}"},
			}},
		{Title: "Goroutines", Description: "A climb that never falls is a leak: DEBUG_ADDR shows where they are.", Kind: Lines, Unit: "short",
			Queries: []Query{{Expr: `sum by (instance) (go_goroutines)`, Legend: "{{instance}}"}}},
		{Title: "File descriptors in use", Description: "Share of what the process may have.", Kind: Lines, Unit: "percentunit",
			Queries: []Query{{Expr: `process_open_fds / process_max_fds`, Legend: "{{instance}}"}}, Steps: []Step{{0, "green"}, {.8, "red"}}},
		{Title: "Longest pause of the garbage collector", Description: "Of those since the start that Go remembers.", Kind: Lines, Unit: "s",
			Queries: []Query{{Expr: `max by (instance) (go_gc_duration_seconds{quantile=~"1(\\.0)?"})`, Legend: "{{instance}}"}}},
		{Title: "Time of a scrape", Description: "Near Prometheus' time limit figures get lost.", Kind: Lines, Unit: "s",
			Queries: []Query{{Expr: `max by (instance) (scrape_duration_seconds)`, Legend: "{{instance}}"}}},
	}}
}
