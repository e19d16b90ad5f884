// Package eval measures how well passages are found, on collections whose right answers people have marked.
//
//	corpus.jsonl, queries.jsonl, qrels/test.tsv --Read--> Set --Run(search)--> Report: nDCG@10, Recall@10, MAP, time a question
//	                                                                             Compare: is one search better than another?
//
// Collections have the layout of BEIR (N. Thakur et al., "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information
// Retrieval Models", NeurIPS 2021). Relevance is binary: a row of qrels with a score above 0 marks a relevant document, any other
// score says nothing. (Cranfield's judges also gave -1; whoever wants those to count writes them as 1, as some copies do.)
// Questions without a relevant document are left out.
//
// The package reaches whatever searches through one function and knows nothing else of it.
package eval
