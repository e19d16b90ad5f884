package observe

import "time"

// hostRules ask whether model hosts answer, and what breakers and retries make of those that do not.
func hostRules() Group {
	const success = "job_instance_breaker_name:ollama_rag_circuit_breaker_calls:success_ratio_rate10m"
	return Group{
		Name: "ollama-rag-hosts",
		Records: []Record{{
			Name: success,
			Expr: `
				sum without (status) (rate(ollama_rag_circuit_breaker_calls_total{$job,status="success"}[10m]))
					/ (sum without (status) (rate(ollama_rag_circuit_breaker_calls_total{$job,status!="rejected"}[10m])) > 0)
				`,
		}},
		Alerts: []Alert{
			{
				Name: "OllamaRAGNoModelHost", Severity: Critical, For: 2 * time.Minute, Keep: 2 * time.Minute,
				Expr: `
					max by (job, instance) (ollama_rag_backend_up{$job}) == 0
						or min by (job, instance) (ollama_rag_ollama_healthy{$job}) == 0
					`,
				Summary:     "No model host can be asked.",
				Description: "For {{ $labels.instance }} every model host is down or cut off by its circuit breaker: questions get quoted passages, clients of the gateway get 503.",
				Fires: []Firing{{
					When: "both hosts are down", At: 5 * time.Minute, Not: 2 * time.Minute, Labels: atInstance(),
					Series: Series{
						{`ollama_rag_backend_up{$at,backend="ollama_client"}`, "1 0x10"},
						{`ollama_rag_backend_up{$at,backend="ollama_client/b:11434"}`, "0x10"},
						{`ollama_rag_ollama_healthy{$at}`, "1x10"},
					},
					Description: "For rag:8000 every model host is down or cut off by its circuit breaker: questions get quoted passages, clients of the gateway get 503.",
				}, {
					When: "the only host is reached, but cut off by its breaker, which has just let a probe through", At: 7 * time.Minute, Labels: atInstance(),
					Series: Series{
						{`ollama_rag_backend_up{$at,backend="ollama_client"}`, "1x10"},
						{`ollama_rag_ollama_healthy{$at}`, "1 0x4 1x10"},
					},
					Description: "For rag:8000 every model host is down or cut off by its circuit breaker: questions get quoted passages, clients of the gateway get 503.",
				}},
				Quiet: []Quiet{{
					When: "one of two hosts is left", At: 8 * time.Minute,
					Series: Series{
						{`ollama_rag_backend_up{$at,backend="ollama_client"}`, "0x10"},
						{`ollama_rag_backend_up{$at,backend="ollama_client/b:11434"}`, "1x10"},
						{`ollama_rag_ollama_healthy{$at}`, "1x10"},
					},
				}},
			},
			{
				Name: "OllamaRAGHostDown", Severity: Warning, For: 5 * time.Minute,
				Expr:        `ollama_rag_backend_up{$job} == 0`,
				Summary:     "A model host is down.",
				Description: "{{ $labels.instance }} has not reached the model host {{ $labels.backend }} for 5 minutes.",
				Fires: []Firing{{
					When: "down since minute 2", At: 8 * time.Minute, Not: 7 * time.Minute, Labels: atInstance("backend", "ollama_client"),
					Series:      Series{{`ollama_rag_backend_up{$at,backend="ollama_client"}`, "1x2 0x10"}},
					Description: "rag:8000 has not reached the model host ollama_client for 5 minutes.",
				}},
				Quiet: []Quiet{{
					When: "for four minutes", At: 7 * time.Minute,
					Series: Series{{`ollama_rag_backend_up{$at,backend="ollama_client"}`, "1x2 0x10"}},
				}},
			},
			{
				Name: "OllamaRAGCircuitBreakerOpen", Severity: Warning, For: time.Minute, Keep: 5 * time.Minute,
				Expr:        `ollama_rag_circuit_breaker_state{$job,breaker_name!~".*#.*"} == 1`,
				Summary:     "A model host is cut off by its circuit breaker.",
				Description: "The circuit breaker {{ $labels.breaker_name }} of {{ $labels.instance }} is open: the host failed so often that it is not asked.",
				Fires: []Firing{{
					When: "open for three minutes", At: 5 * time.Minute, Not: 3 * time.Minute, Labels: atInstance("breaker_name", "ollama_client"),
					Series:      Series{{`ollama_rag_circuit_breaker_state{$at,breaker_name="ollama_client"}`, "0x2 1x10"}},
					Description: "The circuit breaker ollama_client of rag:8000 is open: the host failed so often that it is not asked.",
				}, {
					When: "let through a probe two minutes ago, and may open again", At: 8 * time.Minute, Labels: atInstance("breaker_name", "ollama_client"),
					Series:      Series{{`ollama_rag_circuit_breaker_state{$at,breaker_name="ollama_client"}`, "0x2 1x3 2x10"}},
					Description: "The circuit breaker ollama_client of rag:8000 is open: the host failed so often that it is not asked.",
				}},
				Quiet: []Quiet{{
					When: "open for the shortest time, then half open", At: 5 * time.Minute,
					Series: Series{{`ollama_rag_circuit_breaker_state{$at,breaker_name="ollama_client"}`, "0x2 1 2x10"}},
				}, {
					When: "a model's own breaker is another alert's", At: 5 * time.Minute,
					Series: Series{{`ollama_rag_circuit_breaker_state{$at,breaker_name="ollama_client#llama3.1:8b"}`, "1x10"}},
				}},
			},
			{
				Name: "OllamaRAGModelBreakerOpen", Severity: Warning, For: time.Minute, Keep: 5 * time.Minute,
				Expr:        `ollama_rag_circuit_breaker_state{$job,breaker_name=~".*#.*"} == 1`,
				Summary:     "A model is cut off on a host that answers otherwise.",
				Description: "The circuit breaker {{ $labels.breaker_name }} of {{ $labels.instance }} is open: the host answers, but fails with this model.",
				Fires: []Firing{{
					When: "open for three minutes", At: 5 * time.Minute, Not: 3 * time.Minute, Labels: atInstance("breaker_name", "ollama_client#llama3.1:8b"),
					Series:      Series{{`ollama_rag_circuit_breaker_state{$at,breaker_name="ollama_client#llama3.1:8b"}`, "0x2 1x10"}},
					Description: "The circuit breaker ollama_client#llama3.1:8b of rag:8000 is open: the host answers, but fails with this model.",
				}, {
					When: "let through a probe two minutes ago, and may open again", At: 8 * time.Minute, Labels: atInstance("breaker_name", "ollama_client#llama3.1:8b"),
					Series:      Series{{`ollama_rag_circuit_breaker_state{$at,breaker_name="ollama_client#llama3.1:8b"}`, "0x2 1x3 2x10"}},
					Description: "The circuit breaker ollama_client#llama3.1:8b of rag:8000 is open: the host answers, but fails with this model.",
				}},
				Quiet: []Quiet{{
					When: "the host's own breaker is another alert's", At: 5 * time.Minute,
					Series: Series{{`ollama_rag_circuit_breaker_state{$at,breaker_name="ollama_client"}`, "1x10"}},
				}, {
					When: "half open, with nobody asking", At: 9 * time.Minute,
					Series: Series{{`ollama_rag_circuit_breaker_state{$at,breaker_name="ollama_client#llama3.1:8b"}`, "0x2 1 2x10"}},
				}},
			},
			{
				Name: "OllamaRAGCircuitBreakerFlapping", Severity: Warning,
				Expr: `
					sum without (from_state, to_state) (
						increase(ollama_rag_circuit_breaker_transitions_total{$job,from_state="closed",to_state="open"}[1h])
					) > 3
					`,
				Summary:     "A host or model recovers and fails again.",
				Description: "The circuit breaker {{ $labels.breaker_name }} of {{ $labels.instance }} opened {{ $value | printf \"%.0f\" }} times within an hour after it had closed.",
				Fires: []Firing{{
					When: "once in ten minutes", At: time.Hour, Labels: atInstance("breaker_name", "ollama_client"),
					Series: Series{
						{`ollama_rag_circuit_breaker_transitions_total{$at,breaker_name="ollama_client",from_state="closed",to_state="open"}`, "0x9 1x9 2x9 3x9 4x9 5x9 6x9"},
					},
					Description: "The circuit breaker ollama_client of rag:8000 opened 6 times within an hour after it had closed.",
				}},
				Quiet: []Quiet{{
					When: "one long outage, whose probes all fail", At: time.Hour,
					Series: Series{
						{`ollama_rag_circuit_breaker_transitions_total{$at,breaker_name="ollama_client",from_state="closed",to_state="open"}`, "0x9 1x60"},
						{`ollama_rag_circuit_breaker_transitions_total{$at,breaker_name="ollama_client",from_state="half_open",to_state="open"}`, "0x10 0+1x60"},
					},
				}},
			},
			{
				Name: "OllamaRAGCallsRejected", Severity: Warning, For: 5 * time.Minute,
				Expr: `
					sum without (status) (rate(ollama_rag_circuit_breaker_calls_total{$job,status="rejected"}[10m]))
						/ sum without (status) (rate(ollama_rag_circuit_breaker_calls_total{$job}[10m])) > 0.1
						and sum without (status) (increase(ollama_rag_circuit_breaker_calls_total{$job,status="rejected"}[10m])) >= 10
					`,
				Summary:     "Circuit breakers turn calls away.",
				Description: "{{ $labels.breaker_name }} of {{ $labels.instance }} turns away {{ $value | humanizePercentage }} of the calls.",
				Fires: []Firing{{
					When: "a fifth of the calls", At: 20 * time.Minute, Not: 9 * time.Minute, Labels: atInstance("breaker_name", "ollama_client"),
					Series: Series{
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="success"}`, "0+8x30"},
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="rejected"}`, "0+2x30"},
					},
					Description: "ollama_client of rag:8000 turns away 20% of the calls.",
				}},
				Quiet: []Quiet{{
					When: "half of very few calls", At: 20 * time.Minute,
					Series: Series{
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="success"}`, "0+0.7x30"},
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="rejected"}`, "0+0.7x30"},
					},
				}, {
					When: "a twentieth of many", At: 20 * time.Minute,
					Series: Series{
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="success"}`, "0+95x30"},
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="rejected"}`, "0+5x30"},
					},
				}},
			},
			{
				Name: "OllamaRAGHostFailing", Severity: Warning, For: 5 * time.Minute,
				Expr: `
					` + success + ` < 0.9
						and sum without (status) (increase(ollama_rag_circuit_breaker_calls_total{$job,status="failure"}[10m])) >= 10
					`,
				Summary:     "Calls of a model host fail.",
				Description: "Only {{ $value | humanizePercentage }} of the calls by {{ $labels.breaker_name }} of {{ $labels.instance }} succeed; retries hide some of the others.",
				Fires: []Firing{{
					When: "a fifth fails", At: 20 * time.Minute, Not: 9 * time.Minute, Labels: atInstance("breaker_name", "ollama_client"),
					Series: Series{
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="success"}`, "0+8x30"},
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="failure"}`, "0+2x30"},
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="rejected"}`, "0x30"},
					},
					Description: "Only 80% of the calls by ollama_client of rag:8000 succeed; retries hide some of the others.",
				}},
				Quiet: []Quiet{{
					When: "one in twenty fails", At: 20 * time.Minute,
					Series: Series{
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="success"}`, "0+95x30"},
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="failure"}`, "0+5x30"},
					},
				}, {
					When: "half of very few calls", At: 20 * time.Minute,
					Series: Series{
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="success"}`, "0+0.7x30"},
						{`ollama_rag_circuit_breaker_calls_total{$at,breaker_name="ollama_client",status="failure"}`, "0+0.7x30"},
					},
				}},
			},
			{
				Name: "OllamaRAGRetryStorm", Severity: Warning, For: 10 * time.Minute,
				Expr: `
					sum by (job, instance) (rate(ollama_rag_retries_total{$job}[10m]))
						/ sum by (job, instance) (rate(ollama_rag_connection_pool_requests_total{$job}[10m])) > 0.25
						and sum by (job, instance) (increase(ollama_rag_retries_total{$job}[10m])) >= 20
					`,
				Summary:     "Much of the load on model hosts is retries.",
				Description: "{{ $value | humanizePercentage }} of what {{ $labels.instance }} sends to model hosts are attempts that are repeated, on the same host or on another.",
				Fires: []Firing{{
					When: "two in five of the requests", At: 25 * time.Minute, Not: 11 * time.Minute, Labels: atInstance(),
					Series: Series{
						{`ollama_rag_retries_total{$at,reason="reset"}`, "0+4x30"},
						{`ollama_rag_retries_total{$at,reason="status"}`, "0+6x30"},
						{`ollama_rag_connection_pool_requests_total{$at,client_name="ollama_client"}`, "0+25x30"},
					},
					Description: "40% of what rag:8000 sends to model hosts are attempts that are repeated, on the same host or on another.",
				}},
				Quiet: []Quiet{{
					When: "a fifth of the requests", At: 25 * time.Minute,
					Series: Series{
						{`ollama_rag_retries_total{$at,reason="reset"}`, "0+5x30"},
						{`ollama_rag_connection_pool_requests_total{$at,client_name="ollama_client"}`, "0+25x30"},
					},
				}, {
					When: "half of the requests, which are few", At: 25 * time.Minute,
					Series: Series{
						{`ollama_rag_retries_total{$at,reason="reset"}`, "0+1.5x30"},
						{`ollama_rag_connection_pool_requests_total{$at,client_name="ollama_client"}`, "0+3x30"},
					},
				}},
			},
			{
				Name: "OllamaRAGModelsLoadedAnew", Severity: Warning, For: 10 * time.Minute,
				Expr: `
					sum by (job, model) (increase(ollama_rag_llm_load_duration_seconds_count{$job}[30m]))
						- sum by (job, model) (increase(ollama_rag_llm_load_duration_seconds_bucket{$job,le=~"1(\\.0)?"}[30m])) > 10
					`,
				Summary:     "A model is loaded again and again.",
				Description: "{{ $labels.model }} was loaded {{ $value | printf \"%.0f\" }} times within 30 minutes for more than a second: models push each other out of memory.",
				Fires: []Firing{{
					When: "every other minute", At: 45 * time.Minute, Not: 20 * time.Minute, Labels: atJob("model", "llama3.1:8b"),
					Series: Series{
						{`ollama_rag_llm_load_duration_seconds_count{$at,model="llama3.1:8b"}`, "0+2x60"},
						{`ollama_rag_llm_load_duration_seconds_bucket{$at,model="llama3.1:8b",le="1"}`, "0+1x60"},
						{`ollama_rag_llm_load_duration_seconds_bucket{$at,model="llama3.1:8b",le="+Inf"}`, "0+2x60"},
					},
					Description: "llama3.1:8b was loaded 30 times within 30 minutes for more than a second: models push each other out of memory.",
				}},
				Quiet: []Quiet{{
					When: "every six minutes, as where it is asked seldom", At: 45 * time.Minute,
					Series: Series{
						{`ollama_rag_llm_load_duration_seconds_count{$at,model="llama3.1:8b"}`, "0x5 1x5 2x5 3x5 4x5 5x5 6x5 7x5"},
						{`ollama_rag_llm_load_duration_seconds_bucket{$at,model="llama3.1:8b",le="1.0"}`, "0x60"},
					},
				}, {
					When: "many calls of a model that is there", At: 45 * time.Minute,
					Series: Series{
						{`ollama_rag_llm_load_duration_seconds_count{$at,model="llama3.1:8b"}`, "0+60x60"},
						{`ollama_rag_llm_load_duration_seconds_bucket{$at,model="llama3.1:8b",le="1.0"}`, "0+60x60"},
					},
				}},
			},
		},
	}
}
