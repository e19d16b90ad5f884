package observe

import "time"

// serverRules ask whether the process is there, stays there, and has what it needs of the machine.
func serverRules() Group {
	const (
		unexplained = "job_instance:ollama_rag_memory_unexplained:bytes"
		gib         = " * 1073741824"
	)
	return Group{
		Name: "ollama-rag-server",
		Records: []Record{{
			// What the process takes beyond what it says that documents and answers need.
			Name: unexplained,
			Expr: `
				process_resident_memory_bytes{$job}
					- ollama_rag_index_size_bytes{$job}
					- ollama_rag_semcache_bytes{$job}
					- ollama_rag_gencache_bytes{$job}
				`,
		}},
		Alerts: []Alert{
			{
				Name: "OllamaRAGDown", Severity: Critical, For: 2 * time.Minute,
				Expr:        `up{$job} == 0`,
				Summary:     "ollama-rag does not answer scrapes.",
				Description: "{{ $labels.instance }} of {{ $labels.job }} has not answered Prometheus for 2 minutes: it is down, cannot be reached, or refuses the scrape.",
				Fires: []Firing{{
					When: "down since minute 5", At: 8 * time.Minute, Not: 7 * time.Minute, Labels: atInstance(),
					Series:      Series{{`up{$at}`, "1x5 0x10"}},
					Description: "rag:8000 of ollama-rag has not answered Prometheus for 2 minutes: it is down, cannot be reached, or refuses the scrape.",
				}},
				Quiet: []Quiet{{
					When: "down for a minute, as at a restart", At: 6 * time.Minute,
					Series: Series{{`up{$at}`, "1x4 0 0 1x10"}},
				}},
			},
			{
				Name: "OllamaRAGAbsent", Severity: Critical, For: 5 * time.Minute,
				Expr:        `absent(up{$job})`,
				Summary:     "Prometheus knows no target of ollama-rag.",
				Description: "No job with ollama-rag in its name has a target: the other alerts see nothing.",
				Fires: []Firing{{
					When: "only another job is there", At: 6 * time.Minute, Not: 4 * time.Minute, Labels: Labels{},
					Series:      Series{{`up{job="node",instance="rag:9100"}`, "1x10"}},
					Description: "No job with ollama-rag in its name has a target: the other alerts see nothing.",
				}},
				Quiet: []Quiet{{
					When: "a target that is down is no absent one", At: 10 * time.Minute,
					Series: Series{{`up{$at}`, "0x10"}},
				}},
			},
			{
				Name: "OllamaRAGRestarting", Severity: Critical,
				Expr:        `changes(process_start_time_seconds{$job}[30m]) > 2`,
				Summary:     "ollama-rag starts again and again.",
				Description: "{{ $labels.instance }} started {{ $value }} times within 30 minutes; each time running answers were cut off.",
				Fires: []Firing{{
					When: "three starts", At: 20 * time.Minute, Labels: atInstance(),
					Series:      Series{{`process_start_time_seconds{$at}`, "1000x5 1300x5 1700x3 1900x10"}},
					Description: "rag:8000 started 3 times within 30 minutes; each time running answers were cut off.",
				}},
				Quiet: []Quiet{{
					When: "two, as of a release and its correction", At: 20 * time.Minute,
					Series: Series{{`process_start_time_seconds{$at}`, "1000x5 1300x5 1700x13"}},
				}},
			},
			{
				Name: "OllamaRAGStoreSilent", Severity: Critical, For: 5 * time.Minute,
				Expr:        `ollama_rag_scrape_store_error{$job} == 1`,
				Summary:     "The database does not answer.",
				Description: "The store of {{ $labels.instance }} has not answered scrapes for 5 minutes: questions, uploads and deletions fail or hang.",
				Fires: []Firing{{
					When: "silent since minute 3", At: 9 * time.Minute, Not: 8 * time.Minute, Labels: atInstance(),
					Series:      Series{{`ollama_rag_scrape_store_error{$at}`, "0x3 1x10"}},
					Description: "The store of rag:8000 has not answered scrapes for 5 minutes: questions, uploads and deletions fail or hang.",
				}},
				Quiet: []Quiet{{
					When: "it answers one scrape in four", At: 15 * time.Minute,
					Series: Series{{`ollama_rag_scrape_store_error{$at}`, "1 1 1 0 1 1 1 0 1 1 1 0 1 1 1 0"}},
				}},
			},
			{
				Name: "OllamaRAGFilesRunningOut", Severity: Warning, For: 10 * time.Minute,
				Expr:        `process_open_fds{$job} / process_max_fds{$job} > 0.8`,
				Summary:     "File descriptors run out.",
				Description: "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its file descriptors in use; without free ones it takes no connections.",
				Fires: []Firing{{
					When: "900 of 1,000", At: 15 * time.Minute, Not: 9 * time.Minute, Labels: atInstance(),
					Series:      Series{{`process_open_fds{$at}`, "900x20"}, {`process_max_fds{$at}`, "1000x20"}},
					Description: "rag:8000 has 90% of its file descriptors in use; without free ones it takes no connections.",
				}},
				Quiet: []Quiet{{
					When: "800 of 1,000", At: 15 * time.Minute,
					Series: Series{{`process_open_fds{$at}`, "800x20"}, {`process_max_fds{$at}`, "1000x20"}},
				}},
			},
			{
				Name: "OllamaRAGMemoryGrowing", Severity: Warning, For: time.Hour,
				Expr: `
					min_over_time(` + unexplained + `[1h])
						> 2 * min_over_time(` + unexplained + `[1h] offset 1d)
						and min_over_time(` + unexplained + `[1h]) > 2` + gib + `
					`,
				Summary:     "Memory grows that neither documents nor answers explain.",
				Description: "{{ $labels.instance }} takes {{ $value | humanize1024 }}B beyond its search indexes and caches, more than twice what it did a day ago.",
				Fires: []Firing{{
					When: "4 GiB after 1 GiB", At: 28 * time.Hour, Not: 27 * time.Hour, Labels: atInstance(),
					Series: append(Series{{`process_resident_memory_bytes{$at}`, "1610612736x1500 4831838208x300"}},
						keptMemory()...),
					Description: "rag:8000 takes 4GiB beyond its search indexes and caches, more than twice what it did a day ago.",
				}},
				Quiet: []Quiet{{
					When: "half as much again", At: 28 * time.Hour,
					Series: append(Series{{`process_resident_memory_bytes{$at}`, "3758096384x1500 5368709120x300"}}, keptMemory()...),
				}, {
					When: "search indexes grew by as much", At: 28 * time.Hour,
					Series: Series{
						{`process_resident_memory_bytes{$at}`, "1610612736x1500 4831838208x300"},
						{`ollama_rag_index_size_bytes{$at}`, "536870912x1500 3758096384x300"},
						{`ollama_rag_semcache_bytes{$at}`, "0x1800"}, {`ollama_rag_gencache_bytes{$at}`, "0x1800"},
					},
				}, {
					When: "twice of little is little", At: 28 * time.Hour,
					Series: append(Series{{`process_resident_memory_bytes{$at}`, "805306368x1500 2362232012x300"}}, keptMemory()...),
				}},
			},
			{
				Name: "OllamaRAGGoroutinesGrowing", Severity: Warning, For: time.Hour,
				Expr: `
					min_over_time(go_goroutines{$job}[1h])
						> 2 * min_over_time(go_goroutines{$job}[1h] offset 1d)
						and min_over_time(go_goroutines{$job}[1h]) > 2000
					`,
				Summary:     "Goroutines pile up.",
				Description: "{{ $labels.instance }} never had fewer than {{ $value }} goroutines within the last hour, more than twice what it had a day ago.",
				Fires: []Firing{{
					When: "3,000 after 1,000", At: 28 * time.Hour, Not: 27 * time.Hour, Labels: atInstance(),
					Series:      Series{{`go_goroutines{$at}`, "1000x1500 3000x300"}},
					Description: "rag:8000 never had fewer than 3000 goroutines within the last hour, more than twice what it had a day ago.",
				}},
				Quiet: []Quiet{{
					When: "many only at the peak of each hour", At: 28 * time.Hour,
					Series: Series{{`go_goroutines{$at}`, "100x1500 3000x50 150x5 3000x50 150x5 3000x200"}},
				}, {
					When: "1,500 after 100", At: 28 * time.Hour,
					Series: Series{{`go_goroutines{$at}`, "100x1500 1500x300"}},
				}, {
					When: "as many as a day ago", At: 28 * time.Hour,
					Series: Series{{`go_goroutines{$at}`, "3000x1800"}},
				}},
			},
		},
	}
}

// keptMemory is half a GiB of search indexes and empty caches.
func keptMemory() Series {
	return Series{
		{`ollama_rag_index_size_bytes{$at}`, "536870912x1800"},
		{`ollama_rag_semcache_bytes{$at}`, "0x1800"},
		{`ollama_rag_gencache_bytes{$at}`, "0x1800"},
	}
}
