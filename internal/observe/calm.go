package observe

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// calmTime is longer than any alert waits, and calmAt the moment at which none may fire.
const (
	calmTime = 300 // minutes
	calmAt   = 290 * time.Minute
)

// calm proves that no alert fires at a server that nobody asks, for the sake of a handful of requests, and at one in good health
// under load with its share of small faults.
func calm() []ruleTest {
	idle := ruleTest{Name: "nothing fires: nobody asks", Every: "1m"}
	few := ruleTest{Name: "nothing fires: one request in half an hour, and everything goes wrong", Every: "1m"}
	busy := ruleTest{Name: "nothing fires: everybody asks", Every: "1m"}
	for _, s := range calmSeries() {
		name := strings.ReplaceAll(s.name, "$at", at)
		idle.Series = append(idle.Series, input{name, s.values(s.idle)})
		few.Series = append(few.Series, input{name, s.values(s.few)})
		busy.Series = append(busy.Series, input{name, s.values(s.busy)})
	}
	for _, g := range Rules() {
		for _, a := range g.Alerts {
			quiet := alertTest{At: span(calmAt), Alert: a.Name, Want: []expected{}}
			idle.Alerts, few.Alerts, busy.Alerts = append(idle.Alerts, quiet), append(few.Alerts, quiet), append(busy.Alerts, quiet)
		}
	}
	return []ruleTest{idle, few, busy}
}

// calmed is a series of a healthy server: a gauge's value, or how much a counter grows in a minute.
type calmed struct {
	name string

	idle float64 // nobody asks
	few  float64 // hardly anybody asks, and everything goes wrong
	busy float64 // everybody asks, and a little goes wrong
}

func (c calmed) values(v float64) string {
	family, _, _ := strings.Cut(c.name, "{")
	for _, suffix := range []string{"_total", "_count", "_sum", "_bucket"} {
		if strings.HasSuffix(family, suffix) {
			return fmt.Sprintf("0+%gx%d", v, calmTime)
		}
	}
	return fmt.Sprintf("%sx%d", strconv.FormatFloat(v, 'f', -1, 64), calmTime)
}

// calmSeries have every family that a rule reads.
func calmSeries() []calmed {
	const host, model = "ollama_client", "llama3.1:8b"
	all := []calmed{
		{"up{$at}", 1, 1, 1},
		{"process_start_time_seconds{$at}", 1000, 1000, 1000},
		{"process_open_fds{$at}", 20, 20, 400}, {"process_max_fds{$at}", 1024, 1024, 1024},
		{"process_resident_memory_bytes{$at}", 2e8, 2e8, 6e9},
		{"go_goroutines{$at}", 40, 40, 3000},
		{"ollama_rag_index_size_bytes{$at}", 0, 0, 2e9}, {"ollama_rag_semcache_bytes{$at}", 0, 0, 2e8}, {"ollama_rag_gencache_bytes{$at}", 0, 0, 6e7},
		{"ollama_rag_scrape_store_error{$at}", 0, 0, 0},
		{`ollama_rag_database_documents{$at,db="default"}`, 0, 0, 5000},

		{`ollama_rag_http_requests_total{$at,route="/api/query",method="POST",code="200"}`, 0, 0, 300},
		{`ollama_rag_http_requests_total{$at,route="/api/query",method="POST",code="404"}`, 0, 0, 30},
		{`ollama_rag_http_requests_total{$at,route="gateway_chat",method="other",code="200"}`, 0, .01, 300},
		{`ollama_rag_http_requests_total{$at,route="gateway_chat",method="other",code="503"}`, 0, .02, 1},
		{`ollama_rag_http_requests_total{$at,route="/metrics",method="GET",code="200"}`, 4, 4, 4},
		{`ollama_rag_http_streams_aborted_total{$at,side="client"}`, 0, 0, 30}, {`ollama_rag_http_streams_aborted_total{$at,side="upstream"}`, 0, .01, 1},
		{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="answered"}`, 0, 0, 250},
		{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="degraded"}`, 0, .03, 5},
		{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="refused"}`, 0, 0, 40},
		{`ollama_rag_queries_total{$at,method="hybrid",provider="ollama",outcome="error"}`, 0, 0, 5},
		{`ollama_rag_query_errors_total{$at,error_type="internal"}`, 0, 0, 0}, {`ollama_rag_query_errors_total{$at,error_type="unavailable"}`, 0, .03, 5},
		{`ollama_rag_refusals_total{$at,reason="no_passages"}`, 0, .03, 40},
		{`ollama_rag_citations_total{$at,verdict="supported"}`, 0, 0, 400}, {`ollama_rag_citations_total{$at,verdict="unsupported"}`, 0, .03, 40},

		{`ollama_rag_backend_up{$at,backend="` + host + `"}`, 1, 1, 1}, {"ollama_rag_ollama_healthy{$at}", 1, 1, 1},
		{`ollama_rag_circuit_breaker_state{$at,breaker_name="` + host + `"}`, 0, 0, 0},
		{`ollama_rag_circuit_breaker_state{$at,breaker_name="` + host + "#" + model + `"}`, 0, 0, 0},
		{`ollama_rag_circuit_breaker_transitions_total{$at,breaker_name="` + host + `",from_state="closed",to_state="open"}`, 0, .03, .02},
		{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="` + host + `",status="success"}`, 0, 0, 500},
		{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="` + host + `",status="failure"}`, 0, .03, 5},
		{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="` + host + `",status="rejected"}`, 0, .03, 5},
		{`ollama_rag_retries_total{$at,reason="reset"}`, 0, .03, 5},
		{`ollama_rag_connection_pool_requests_total{$at,client_name="` + host + `"}`, 12, .03, 520},
		{`ollama_rag_connection_pool_dials_total{$at,client_name="` + host + `",result="ok"}`, .2, 0, 10},
		{`ollama_rag_connection_pool_dials_total{$at,client_name="` + host + `",result="timeout"}`, 0, .03, .2},
		{`ollama_rag_queue_depth{$at,class="chat"}`, 0, 0, 8}, {`ollama_rag_queue_depth{$at,class="ingest"}`, 0, 0, 100},
		{`ollama_rag_queue_rejected_total{$at,reason="full"}`, 0, .03, .5},

		{`ollama_rag_semcache_hits_total{$at,type="exact"}`, 0, 0, 60}, {`ollama_rag_semcache_hits_total{$at,type="semantic"}`, 0, 0, 30},
		{"ollama_rag_semcache_misses_total{$at}", 0, .03, 200},
		{`ollama_rag_semcache_evictions_total{$at,reason="size"}`, 0, .03, 50},
		{"ollama_rag_semcache_semantic_open{$at}", 1, 1, 1}, {"ollama_rag_semcache_false_hit_upper_bound{$at}", 1, 1, .01},
		{`ollama_rag_semcache_shadow_samples{$at,result="different"}`, 0, 0, 3}, {`ollama_rag_semcache_shadow_samples{$at,result="same"}`, 0, 0, 997},
		{"ollama_rag_semcache_stale_served_total{$at}", 0, .03, .1},
		{"ollama_rag_ingest_queue_oldest_seconds{$at}", 0, 0, 7200},
		{`ollama_rag_ingestion_seconds_count{$at,stage="embed"}`, 0, 0, 20},
		{`ollama_rag_documents_ingested_total{$at,status="added"}`, 0, 0, 5}, {`ollama_rag_documents_ingested_total{$at,status="skipped"}`, 0, .03, 1},
	}
	for _, h := range []struct {
		family, labels string
		usual, slow    string // bounds of the buckets that hold nearly all of the busy, and all of the few
		busy           float64
		sum            float64
	}{
		{"llm_time_to_first_token_seconds", `,model="` + model + `"`, "2.5", "60", 100, 150},
		{"llm_time_per_output_token_seconds", `,model="` + model + `"`, "0.1", "1", 100, 5},
		{"llm_load_duration_seconds", `,model="` + model + `"`, "1", "60", 5, 2},
		{"gateway_overhead_seconds", "", "0.00025", "0.01", 300, .05},
		{"retrieval_seconds", `,stage="embed"`, "0.025", "2.5", 300, 4},
		{"queue_wait_seconds", `,class="chat"`, "5", "120", 500, 900},
		{"connection_pool_wait_seconds", `,client_name="` + host + `"`, "0.001", "5", 520, .2},
	} {
		name := "ollama_rag_" + h.family
		all = append(all,
			calmed{name + `_bucket{$at` + h.labels + `,le="` + h.usual + `"}`, 0, 0, h.busy * .98},
			calmed{name + `_bucket{$at` + h.labels + `,le="` + h.slow + `"}`, 0, .03, h.busy},
			calmed{name + `_bucket{$at` + h.labels + `,le="+Inf"}`, 0, .03, h.busy},
			calmed{name + `_count{$at` + h.labels + `}`, 0, .03, h.busy},
			calmed{name + `_sum{$at` + h.labels + `}`, 0, 3, h.sum},
		)
	}
	return all
}
