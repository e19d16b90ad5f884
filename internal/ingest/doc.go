// Package ingest brings files into a knowledge base by durable jobs:
//
//	folder, file or upload -> read (extract) -> cut (chunk) -> embed -> store -> index
//
// A job is kept before it is answered and goes on after a restart. Doing it again is harmless: a file that is the same in
// bytes, recipe and version changes nothing; a changed one replaces its passages in one transaction; a file that is gone
// from an ingested folder is gone from the knowledge base. A bad file is reported and skipped, the others go on. Where the
// embedder does not answer, passages are kept and searchable by their words at once, and get their vectors later.
//
// One job runs at a time; reading runs on several cores ahead of embedding and storing, which keep the order. The package
// reaches everything else through the ports below; it knows neither formats, nor SQL, nor model servers.
package ingest
