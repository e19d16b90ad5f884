package observe

import "time"

// ingestRules ask whether documents get in, and stay.
func ingestRules() Group {
	return Group{
		Name: "ollama-rag-ingest",
		Alerts: []Alert{
			{
				Name: "OllamaRAGIngestStuck", Severity: Warning, For: 5 * time.Minute,
				Expr: `
					ollama_rag_ingest_queue_oldest_seconds{$job} > 900
						and sum without (stage) (increase(ollama_rag_ingestion_seconds_count{$job}[15m])) == 0
					`,
				Summary:     "Ingest does not move.",
				Description: "A job of {{ $labels.instance }} has waited for {{ $value | humanizeDuration }}, and no file or passage was worked on for 15 minutes.",
				Fires: []Firing{{
					When: "a job waits and nothing moves", At: 40 * time.Minute, Not: 20 * time.Minute, Labels: atInstance(),
					Series: Series{
						{`ollama_rag_ingest_queue_oldest_seconds{$at}`, "0+60x50"},
						{`ollama_rag_ingestion_seconds_count{$at,stage="read"}`, "7x50"},
						{`ollama_rag_ingestion_seconds_count{$at,stage="embed"}`, "9x50"},
					},
					Description: "A job of rag:8000 has waited for 40m 0s, and no file or passage was worked on for 15 minutes.",
				}},
				Quiet: []Quiet{{
					When: "a job waits for hours behind a large one that moves", At: 3 * time.Hour,
					Series: Series{
						{`ollama_rag_ingest_queue_oldest_seconds{$at}`, "0+60x200"},
						{`ollama_rag_ingestion_seconds_count{$at,stage="read"}`, "7x200"},
						{`ollama_rag_ingestion_seconds_count{$at,stage="embed"}`, "0+1x200"},
					},
				}, {
					When: "a job has waited for twelve minutes", At: 12 * time.Minute,
					Series: Series{
						{`ollama_rag_ingest_queue_oldest_seconds{$at}`, "0+60x50"},
						{`ollama_rag_ingestion_seconds_count{$at,stage="read"}`, "7x50"},
					},
				}, {
					When: "nothing is to do", At: 40 * time.Minute,
					Series: Series{
						{`ollama_rag_ingest_queue_oldest_seconds{$at}`, "0x50"},
						{`ollama_rag_ingestion_seconds_count{$at,stage="read"}`, "7x50"},
					},
				}},
			},
			{
				Name: "OllamaRAGIngestFailing", Severity: Warning, For: 5 * time.Minute,
				Expr: `
					sum by (job, instance) (increase(ollama_rag_documents_ingested_total{$job,status="skipped"}[1h]))
						/ sum by (job, instance) (increase(ollama_rag_documents_ingested_total{$job}[1h])) > 0.5
						and sum by (job, instance) (increase(ollama_rag_documents_ingested_total{$job,status="skipped"}[1h])) >= 10
					`,
				Summary:     "Most files cannot be read.",
				Description: "{{ $labels.instance }} skipped {{ $value | humanizePercentage }} of the files that it was given within an hour.",
				Fires: []Firing{{
					When: "four in five", At: 30 * time.Minute, Not: 7 * time.Minute, Labels: atInstance(),
					Series: Series{
						{`ollama_rag_documents_ingested_total{$at,status="skipped"}`, "0+4x40"},
						{`ollama_rag_documents_ingested_total{$at,status="added"}`, "0+1x40"},
					},
					Description: "rag:8000 skipped 80% of the files that it was given within an hour.",
				}},
				Quiet: []Quiet{{
					When: "two in five, and the rest was there already", At: 30 * time.Minute,
					Series: Series{
						{`ollama_rag_documents_ingested_total{$at,status="skipped"}`, "0+4x40"},
						{`ollama_rag_documents_ingested_total{$at,status="unchanged"}`, "0+6x40"},
					},
				}, {
					When: "eight of the fourteen of one upload", At: 30 * time.Minute,
					Series: Series{
						{`ollama_rag_documents_ingested_total{$at,status="skipped"}`, "0x9 8x40"},
						{`ollama_rag_documents_ingested_total{$at,status="added"}`, "0x9 6x40"},
					},
				}},
			},
			{
				// Where no knowledge base is left there is no series: a store that answered then stands for 0.
				Name: "OllamaRAGDocumentsGone", Severity: Warning, For: 5 * time.Minute,
				Expr: `
					(
						sum by (job, instance) (ollama_rag_database_documents{$job})
							or sum by (job, instance) (ollama_rag_scrape_store_error{$job} == 0)
					) < 0.5 * sum by (job, instance) (ollama_rag_database_documents{$job} offset 1h)
						and sum by (job, instance) (ollama_rag_database_documents{$job} offset 1h) >= 20
					`,
				Summary:     "More than half of the documents went away.",
				Description: "{{ $labels.instance }} has {{ $value }} documents, less than half of what it had an hour ago.",
				Fires: []Firing{{
					When: "started with an empty data folder", At: 80 * time.Minute, Not: 70 * time.Minute, Labels: atInstance(),
					Series: Series{
						{`ollama_rag_database_documents{$at,db="default"}`, "500x65 stale"},
						{`ollama_rag_scrape_store_error{$at}`, "0x120"},
					},
					Description: "rag:8000 has 0 documents, less than half of what it had an hour ago.",
				}, {
					When: "the larger of two knowledge bases was deleted", At: 80 * time.Minute, Labels: atInstance(),
					Series: Series{
						{`ollama_rag_database_documents{$at,db="default"}`, "40x120"},
						{`ollama_rag_database_documents{$at,db="handbook"}`, "100x65 stale"},
						{`ollama_rag_scrape_store_error{$at}`, "0x120"},
					},
					Description: "rag:8000 has 40 documents, less than half of what it had an hour ago.",
				}},
				Quiet: []Quiet{{
					When: "a third was deleted", At: 80 * time.Minute,
					Series: Series{
						{`ollama_rag_database_documents{$at,db="default"}`, "60x65 40x60"},
						{`ollama_rag_scrape_store_error{$at}`, "0x120"},
					},
				}, {
					When: "all twelve of a knowledge base on trial", At: 80 * time.Minute,
					Series: Series{
						{`ollama_rag_database_documents{$at,db="default"}`, "12x65 0x60"},
						{`ollama_rag_scrape_store_error{$at}`, "0x120"},
					},
				}, {
					When: "the store does not answer, of which another alert tells", At: 80 * time.Minute,
					Series: Series{
						{`ollama_rag_database_documents{$at,db="default"}`, "500x65 stale"},
						{`ollama_rag_scrape_store_error{$at}`, "0x65 1x60"},
					},
				}},
			},
		},
	}
}
