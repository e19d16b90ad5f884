// Package store keeps the truth in SQLite: knowledge bases, documents, passages, vectors and jobs, in one data folder that
// one process at a time may hold.
//
//	data folder/
//	  ollama-rag.db     everything below, WAL, synchronous=FULL: a write is durable when it is answered
//	  lock              held by the process that has the folder open
//	  server.json       where that process listens, for the other commands (0600: it holds their token)
//	  index/            search snapshots, derived from the database
//	  uploads/          files of jobs that are not finished
//
// Every change of a knowledge base's documents happens in one transaction that also raises its change counter, and
// returns the rag.Update by which an index follows. Deleting removes: secure_delete overwrites the bytes in the database
// file, and the write-ahead log is truncated after a deletion. The schema has a version: an older one is upgraded after a
// copy, a newer one is refused. The package knows nothing of files' formats, of search, or of HTTP.
package store
