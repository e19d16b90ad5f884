package observe

import "time"

// cacheRules ask whether the answer cache is of use, and right.
func cacheRules() Group {
	const hitRatio = "job:ollama_rag_semcache_hits:ratio_rate1h"
	return Group{
		Name: "ollama-rag-cache",
		Records: []Record{{
			// Hits have a label that misses lack, so `or` is both of them.
			hitRatio, `
				sum by (job) (rate(ollama_rag_semcache_hits_total{$job}[1h]))
					/ (
						sum by (job) (
							rate(ollama_rag_semcache_hits_total{$job}[1h])
								or rate(ollama_rag_semcache_misses_total{$job}[1h])
						) > 0
					)
				`,
		}},
		Alerts: []Alert{
			{
				Name: "OllamaRAGCacheHitsGone", Severity: Warning, For: time.Hour,
				Expr: `
					` + hitRatio + ` < 0.25 * avg_over_time(` + hitRatio + `[1d] offset 2h)
						and avg_over_time(` + hitRatio + `[1d] offset 2h) > 0.2
						and sum by (job) (increase(ollama_rag_semcache_misses_total{$job}[1h])) >= 50
					`,
				Summary:     "The answer cache serves far less than it did.",
				Description: "Only {{ $value | humanizePercentage }} of the look-ups in the answer cache of {{ $labels.job }} hit, less than a quarter of the day before: each of the others costs a model call.",
				Fires: []Firing{{
					When: "from half of the look-ups to a tenth", At: 6 * time.Hour, Not: 290 * time.Minute, Labels: atJob(),
					Series: Series{
						{`ollama_rag_semcache_hits_total{$at,type="exact"}`, "0+9x180 1621+1x200"},
						{`ollama_rag_semcache_misses_total{$at}`, "0+9x380"},
					},
					Description: "Only 10% of the look-ups in the answer cache of ollama-rag hit, less than a quarter of the day before: each of the others costs a model call.",
				}},
				Quiet: []Quiet{{
					When: "from half to a fifth", At: 6 * time.Hour,
					Series: Series{
						{`ollama_rag_semcache_hits_total{$at,type="exact"}`, "0+2x180 360.5+0.5x200"},
						{`ollama_rag_semcache_misses_total{$at}`, "0+2x380"},
					},
				}, {
					When: "from a seventh, which is little, to none", At: 6 * time.Hour,
					Series: Series{
						{`ollama_rag_semcache_hits_total{$at,type="exact"}`, "0+1x180 180x200"},
						{`ollama_rag_semcache_misses_total{$at}`, "0+6x380"},
					},
				}, {
					When: "twenty questions an hour at night", At: 6 * time.Hour,
					Series: Series{
						{`ollama_rag_semcache_hits_total{$at,type="exact"}`, "0+3x180 540x200"},
						{`ollama_rag_semcache_misses_total{$at}`, "0+3x180 540.3+0.3x200"},
					},
				}, {
					When: "nobody asks at night", At: 6 * time.Hour,
					Series: Series{
						{`ollama_rag_semcache_hits_total{$at,type="exact"}`, "0+2x180 360x200"},
						{`ollama_rag_semcache_misses_total{$at}`, "0+2x180 360x200"},
					},
				}},
			},
			{
				Name: "OllamaRAGCacheThrashing", Severity: Warning, For: time.Hour,
				Expr: `
					sum by (job, instance) (increase(ollama_rag_semcache_evictions_total{$job,reason=~"size|bytes"}[1h]))
						> sum by (job, instance) (increase(ollama_rag_semcache_hits_total{$job}[1h]))
						and sum by (job, instance) (increase(ollama_rag_semcache_evictions_total{$job,reason=~"size|bytes"}[1h])) >= 200
					`,
				Summary:     "The answer cache is too small.",
				Description: "{{ $value | printf \"%.0f\" }} answers left the cache of {{ $labels.instance }} for want of room within an hour, more than were served from it.",
				Fires: []Firing{{
					When: "five leave for each that is served", At: 150 * time.Minute, Not: 90 * time.Minute, Labels: atInstance(),
					Series: Series{
						{`ollama_rag_semcache_evictions_total{$at,reason="size"}`, "0+5x160"},
						{`ollama_rag_semcache_evictions_total{$at,reason="bytes"}`, "0x160"},
						{`ollama_rag_semcache_hits_total{$at,type="exact"}`, "0+1x160"},
					},
					Description: "300 answers left the cache of rag:8000 for want of room within an hour, more than were served from it.",
				}},
				Quiet: []Quiet{{
					When: "a full cache that serves more than leaves", At: 150 * time.Minute,
					Series: Series{
						{`ollama_rag_semcache_evictions_total{$at,reason="size"}`, "0+5x160"},
						{`ollama_rag_semcache_hits_total{$at,type="exact"}`, "0+6x160"},
					},
				}, {
					When: "answers that grow old besides", At: 150 * time.Minute,
					Series: Series{
						{`ollama_rag_semcache_evictions_total{$at,reason="expired"}`, "0+9x160"},
						{`ollama_rag_semcache_evictions_total{$at,reason="size"}`, "0+4x160"},
						{`ollama_rag_semcache_hits_total{$at,type="exact"}`, "0+5x160"},
					},
				}, {
					When: "two a minute leave for each that is served", At: 150 * time.Minute,
					Series: Series{
						{`ollama_rag_semcache_evictions_total{$at,reason="expired"}`, "0+9x160"},
						{`ollama_rag_semcache_evictions_total{$at,reason="size"}`, "0+2x160"},
						{`ollama_rag_semcache_hits_total{$at,type="exact"}`, "0+1x160"},
					},
				}},
			},
			{
				Name: "OllamaRAGSemanticTierClosed", Severity: Warning, For: time.Hour,
				Expr:        `ollama_rag_semcache_semantic_open{$job} == 0`,
				Summary:     "Near questions are not answered from the cache.",
				Description: "The error contract has kept the semantic tier of {{ $labels.instance }} closed for an hour: too many of its answers differed from the model's.",
				Fires: []Firing{{
					When: "closed for more than an hour", At: 70 * time.Minute, Not: 65 * time.Minute, Labels: atInstance(),
					Series:      Series{{`ollama_rag_semcache_semantic_open{$at}`, "1x5 0x80"}},
					Description: "The error contract has kept the semantic tier of rag:8000 closed for an hour: too many of its answers differed from the model's.",
				}},
				Quiet: []Quiet{{
					When: "for 50 minutes", At: time.Hour,
					Series: Series{{`ollama_rag_semcache_semantic_open{$at}`, "1x9 0x60"}},
				}},
			},
			{
				// With fewer than five differences the bound is wide because little was compared.
				Name: "OllamaRAGFalseHitsLikely", Severity: Warning, For: 15 * time.Minute,
				Expr: `
					ollama_rag_semcache_false_hit_upper_bound{$job} > 0.1
						and sum without (result) (ollama_rag_semcache_shadow_samples{$job,result="different"}) >= 5
						and ollama_rag_semcache_semantic_open{$job} == 1
					`,
				Summary:     "Answers to near questions from the cache may be wrong.",
				Description: "Up to {{ $value | humanizePercentage }} of the answers that {{ $labels.instance }} serves to near questions differ from what the model says, and they are still served.",
				Fires: []Firing{{
					When: "ten of a hundred differ", At: 20 * time.Minute, Not: 14 * time.Minute, Labels: atInstance(),
					Series: Series{
						{`ollama_rag_semcache_false_hit_upper_bound{$at}`, "0.165x30"},
						{`ollama_rag_semcache_shadow_samples{$at,result="different"}`, "10x30"},
						{`ollama_rag_semcache_shadow_samples{$at,result="same"}`, "90x30"},
						{`ollama_rag_semcache_semantic_open{$at}`, "1x30"},
					},
					Description: "Up to 16.5% of the answers that rag:8000 serves to near questions differ from what the model says, and they are still served.",
				}},
				Quiet: []Quiet{{
					When: "nothing was compared yet", At: 20 * time.Minute,
					Series: Series{
						{`ollama_rag_semcache_false_hit_upper_bound{$at}`, "1x30"},
						{`ollama_rag_semcache_shadow_samples{$at,result="different"}`, "0x30"},
						{`ollama_rag_semcache_shadow_samples{$at,result="same"}`, "0x30"},
						{`ollama_rag_semcache_semantic_open{$at}`, "1x30"},
					},
				}, {
					When: "three differ of few", At: 20 * time.Minute,
					Series: Series{
						{`ollama_rag_semcache_false_hit_upper_bound{$at}`, "0.15x30"},
						{`ollama_rag_semcache_shadow_samples{$at,result="different"}`, "3x30"},
						{`ollama_rag_semcache_shadow_samples{$at,result="same"}`, "47x30"},
						{`ollama_rag_semcache_semantic_open{$at}`, "1x30"},
					},
				}, {
					When: "ten of 250 differ", At: 20 * time.Minute,
					Series: Series{
						{`ollama_rag_semcache_false_hit_upper_bound{$at}`, "0.067x30"},
						{`ollama_rag_semcache_shadow_samples{$at,result="different"}`, "10x30"},
						{`ollama_rag_semcache_shadow_samples{$at,result="same"}`, "240x30"},
						{`ollama_rag_semcache_semantic_open{$at}`, "1x30"},
					},
				}, {
					When: "the contract has closed the tier", At: 20 * time.Minute,
					Series: Series{
						{`ollama_rag_semcache_false_hit_upper_bound{$at}`, "0.165x30"},
						{`ollama_rag_semcache_shadow_samples{$at,result="different"}`, "10x30"},
						{`ollama_rag_semcache_semantic_open{$at}`, "0x30"},
					},
				}},
			},
			{
				Name: "OllamaRAGStaleServed", Severity: Warning, For: 5 * time.Minute,
				Expr:        `increase(ollama_rag_semcache_stale_served_total{$job}[15m]) >= 5`,
				Summary:     "Users get answers that are out of date.",
				Description: "{{ $labels.instance }} served {{ $value | printf \"%.0f\" }} remembered answers past their time within 15 minutes, since no model answered.",
				Fires: []Firing{{
					When: "one a minute", At: 25 * time.Minute, Not: 9 * time.Minute, Labels: atInstance(),
					Series:      Series{{`ollama_rag_semcache_stale_served_total{$at}`, "0+1x30"}},
					Description: "rag:8000 served 15 remembered answers past their time within 15 minutes, since no model answered.",
				}},
				Quiet: []Quiet{{
					When: "one in five minutes", At: 25 * time.Minute,
					Series: Series{{`ollama_rag_semcache_stale_served_total{$at}`, "0+0.2x30"}},
				}},
			},
		},
	}
}
