package observe

import "time"

// queueRules ask whether calls get a place on a model host, and a connection to it.
func queueRules() Group {
	const (
		place      = "job_class:ollama_rag_queue_wait_seconds:p95_rate10m"
		connection = "job_instance_client_name:ollama_rag_connection_pool_wait_seconds:p95_rate10m"
	)
	return Group{
		Name: "ollama-rag-queue",
		Records: []Record{
			{place, `histogram_quantile(0.95, sum by (job, class, le) (rate(ollama_rag_queue_wait_seconds_bucket{$job}[10m])))`},
			{connection, `histogram_quantile(0.95, sum by (job, instance, client_name, le) (rate(ollama_rag_connection_pool_wait_seconds_bucket{$job}[10m])))`},
		},
		Alerts: []Alert{
			{
				Name: "OllamaRAGQueueDeep", Severity: Warning, For: 10 * time.Minute,
				Expr:        `ollama_rag_queue_depth{$job,class="chat"} > 20`,
				Summary:     "Chats queue for a model.",
				Description: "{{ $value }} chats wait at {{ $labels.instance }} for a place on a model host, and more than 20 did for 10 minutes.",
				Fires: []Firing{{
					When: "30 wait", At: 15 * time.Minute, Not: 13 * time.Minute, Labels: atInstance("class", "chat"),
					Series:      Series{{`ollama_rag_queue_depth{$at,class="chat"}`, "0x3 30x20"}},
					Description: "30 chats wait at rag:8000 for a place on a model host, and more than 20 did for 10 minutes.",
				}},
				Quiet: []Quiet{{
					When: "passages wait, which is what ingest does", At: 15 * time.Minute,
					Series: Series{{`ollama_rag_queue_depth{$at,class="chat"}`, "20x20"}, {`ollama_rag_queue_depth{$at,class="ingest"}`, "200x20"}},
				}, {
					When: "a rush of nine minutes", At: 13 * time.Minute,
					Series: Series{{`ollama_rag_queue_depth{$at,class="chat"}`, "0x3 30x20"}},
				}},
			},
			{
				Name: "OllamaRAGQueueWaitLong", Severity: Warning, For: 10 * time.Minute,
				Expr: `
					` + place + `{class="chat"} > 30
						and sum by (job, class) (increase(ollama_rag_queue_wait_seconds_count{$job}[10m])) >= 10
					`,
				Summary:     "Chats wait long for their turn.",
				Description: "One in twenty chats of {{ $labels.job }} waits {{ $value | humanizeDuration }} or more before a model host takes it.",
				Fires: []Firing{{
					When: "all longer than half a minute", At: 30 * time.Minute, Not: 14 * time.Minute, Labels: atJob("class", "chat"),
					Series: Series{
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="chat",le="30"}`, "0x40"},
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="chat",le="120"}`, "0+2x40"},
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="chat",le="+Inf"}`, "0+2x40"},
						{`ollama_rag_queue_wait_seconds_count{$at,class="chat"}`, "0+2x40"},
					},
					Description: "One in twenty chats of ollama-rag waits 1m 55s or more before a model host takes it.",
				}},
				Quiet: []Quiet{{
					When: "chats wait 30 seconds at most, passages two minutes", At: 30 * time.Minute,
					Series: Series{
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="chat",le="30"}`, "0+2x40"},
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="chat",le="120"}`, "0+2x40"},
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="chat",le="+Inf"}`, "0+2x40"},
						{`ollama_rag_queue_wait_seconds_count{$at,class="chat"}`, "0+2x40"},
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="ingest",le="30"}`, "0x40"},
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="ingest",le="120"}`, "0+2x40"},
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="ingest",le="+Inf"}`, "0+2x40"},
						{`ollama_rag_queue_wait_seconds_count{$at,class="ingest"}`, "0+2x40"},
					},
				}, {
					When: "five of five chats", At: 30 * time.Minute,
					Series: Series{
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="chat",le="30"}`, "0x40"},
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="chat",le="120"}`, "0+0.5x40"},
						{`ollama_rag_queue_wait_seconds_bucket{$at,class="chat",le="+Inf"}`, "0+0.5x40"},
						{`ollama_rag_queue_wait_seconds_count{$at,class="chat"}`, "0+0.5x40"},
					},
				}},
			},
			{
				Name: "OllamaRAGQueueRejecting", Severity: Warning, For: 5 * time.Minute,
				Expr:        `sum by (job, instance, reason) (increase(ollama_rag_queue_rejected_total{$job}[10m])) >= 10`,
				Summary:     "Calls get no place on a model host.",
				Description: "{{ $value | printf \"%.0f\" }} calls of {{ $labels.instance }} got no place within 10 minutes, for the reason {{ $labels.reason }}: users got 503 or quoted passages.",
				Fires: []Firing{{
					When: "two a minute", At: 20 * time.Minute, Not: 9 * time.Minute, Labels: atInstance("reason", "full"),
					Series:      Series{{`ollama_rag_queue_rejected_total{$at,reason="full"}`, "0+2x30"}},
					Description: "20 calls of rag:8000 got no place within 10 minutes, for the reason full: users got 503 or quoted passages.",
				}},
				Quiet: []Quiet{{
					When: "one every other minute", At: 20 * time.Minute,
					Series: Series{{`ollama_rag_queue_rejected_total{$at,reason="full"}`, "0+0.5x30"}},
				}, {
					When: "one burst that is over", At: 20 * time.Minute,
					Series: Series{{`ollama_rag_queue_rejected_total{$at,reason="timeout"}`, "0x5 50x30"}},
				}},
			},
			{
				Name: "OllamaRAGConnectionWaitLong", Severity: Warning, For: 10 * time.Minute,
				Expr: `
					` + connection + ` > 1
						and sum by (job, instance, client_name) (increase(ollama_rag_connection_pool_wait_seconds_count{$job}[10m])) >= 10
					`,
				Summary:     "Calls wait for a connection to a model host.",
				Description: "One in twenty calls of {{ $labels.instance }} to {{ $labels.client_name }} waits {{ $value | humanizeDuration }} or more for a connection: the pool is exhausted, or dialling is slow.",
				Fires: []Firing{{
					When: "one in ten between one and five seconds", At: 30 * time.Minute, Not: 10 * time.Minute, Labels: atInstance("client_name", "ollama_client"),
					Series: Series{
						{`ollama_rag_connection_pool_wait_seconds_bucket{$at,client_name="ollama_client",le="1"}`, "0+9x40"},
						{`ollama_rag_connection_pool_wait_seconds_bucket{$at,client_name="ollama_client",le="5"}`, "0+10x40"},
						{`ollama_rag_connection_pool_wait_seconds_bucket{$at,client_name="ollama_client",le="+Inf"}`, "0+10x40"},
						{`ollama_rag_connection_pool_wait_seconds_count{$at,client_name="ollama_client"}`, "0+10x40"},
					},
					Description: "One in twenty calls of rag:8000 to ollama_client waits 3s or more for a connection: the pool is exhausted, or dialling is slow.",
				}},
				Quiet: []Quiet{{
					When: "one in fifty dials for seconds", At: 30 * time.Minute,
					Series: Series{
						{`ollama_rag_connection_pool_wait_seconds_bucket{$at,client_name="ollama_client",le="1"}`, "0+49x40"},
						{`ollama_rag_connection_pool_wait_seconds_bucket{$at,client_name="ollama_client",le="5"}`, "0+50x40"},
						{`ollama_rag_connection_pool_wait_seconds_bucket{$at,client_name="ollama_client",le="+Inf"}`, "0+50x40"},
						{`ollama_rag_connection_pool_wait_seconds_count{$at,client_name="ollama_client"}`, "0+50x40"},
					},
				}, {
					When: "five of five calls", At: 30 * time.Minute,
					Series: Series{
						{`ollama_rag_connection_pool_wait_seconds_bucket{$at,client_name="ollama_client",le="1"}`, "0x40"},
						{`ollama_rag_connection_pool_wait_seconds_bucket{$at,client_name="ollama_client",le="5"}`, "0+0.5x40"},
						{`ollama_rag_connection_pool_wait_seconds_bucket{$at,client_name="ollama_client",le="+Inf"}`, "0+0.5x40"},
						{`ollama_rag_connection_pool_wait_seconds_count{$at,client_name="ollama_client"}`, "0+0.5x40"},
					},
				}},
			},
			{
				// Of a host that is down, HostDown tells.
				Name: "OllamaRAGDialsFail", Severity: Warning, For: 15 * time.Minute,
				Expr: `
					sum by (job, instance, client_name) (increase(ollama_rag_connection_pool_dials_total{$job,result!="ok"}[10m]))
						/ sum by (job, instance, client_name) (increase(ollama_rag_connection_pool_dials_total{$job}[10m])) > 0.1
						and sum by (job, instance, client_name) (increase(ollama_rag_connection_pool_dials_total{$job,result!="ok"}[10m])) >= 5
						unless on (job, instance, client_name)
							label_replace(ollama_rag_backend_up{$job} == 0, "client_name", "$1", "backend", "(.+)")
					`,
				Summary:     "Connections to a model host that is up fail.",
				Description: "{{ $value | humanizePercentage }} of the connections that {{ $labels.instance }} dials to {{ $labels.client_name }} fail, although the host answers others.",
				Fires: []Firing{{
					When: "a fifth of the dials", At: 35 * time.Minute, Not: 19 * time.Minute, Labels: atInstance("client_name", "ollama_client"),
					Series: Series{
						{`ollama_rag_connection_pool_dials_total{$at,client_name="ollama_client",result="ok"}`, "0+4x40"},
						{`ollama_rag_connection_pool_dials_total{$at,client_name="ollama_client",result="timeout"}`, "0+1x40"},
						{`ollama_rag_backend_up{$at,backend="ollama_client"}`, "1x40"},
					},
					Description: "20% of the connections that rag:8000 dials to ollama_client fail, although the host answers others.",
				}},
				Quiet: []Quiet{{
					When: "one in twenty", At: 35 * time.Minute,
					Series: Series{
						{`ollama_rag_connection_pool_dials_total{$at,client_name="ollama_client",result="ok"}`, "0+19x40"},
						{`ollama_rag_connection_pool_dials_total{$at,client_name="ollama_client",result="timeout"}`, "0+1x40"},
						{`ollama_rag_backend_up{$at,backend="ollama_client"}`, "1x40"},
					},
				}, {
					When: "three of ten", At: 35 * time.Minute,
					Series: Series{
						{`ollama_rag_connection_pool_dials_total{$at,client_name="ollama_client",result="ok"}`, "0+0.7x40"},
						{`ollama_rag_connection_pool_dials_total{$at,client_name="ollama_client",result="timeout"}`, "0+0.3x40"},
						{`ollama_rag_backend_up{$at,backend="ollama_client"}`, "1x40"},
					},
				}, {
					When: "the host is down", At: 35 * time.Minute,
					Series: Series{
						{`ollama_rag_connection_pool_dials_total{$at,client_name="ollama_client",result="ok"}`, "5x40"},
						{`ollama_rag_connection_pool_dials_total{$at,client_name="ollama_client",result="refused"}`, "0+30x40"},
						{`ollama_rag_backend_up{$at,backend="ollama_client"}`, "0x40"},
					},
				}, {
					When: "the host is back since twelve minutes", At: 42 * time.Minute,
					Series: Series{
						{`ollama_rag_connection_pool_dials_total{$at,client_name="ollama_client",result="ok"}`, "5x30 6x20"},
						{`ollama_rag_connection_pool_dials_total{$at,client_name="ollama_client",result="refused"}`, "0+30x30 900x20"},
						{`ollama_rag_backend_up{$at,backend="ollama_client"}`, "0x30 1x20"},
					},
				}},
			},
		},
	}
}
