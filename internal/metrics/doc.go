// Package metrics is the only importer of the Prometheus client. Three ways lead into it, and none touches the domain:
//
//	what flows through a port   a decorator around it (Generator, Retriever, Recaller, Route)
//	what a part is              read from its Stats when a scrape asks (Parts)
//	what only the part sees     a field of those Stats
//
// So /metrics, the JSON routes and the parts themselves tell one truth. Labels come from closed sets; names of models and
// knowledge bases are capped. Recording takes atomics and arrays made beforehand: it allocates nothing and cannot fail.
// With METRICS_ENABLED=false nothing of this package is made at all.
package metrics
