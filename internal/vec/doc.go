// Package vec finds the vectors nearest to a question by looking at all of them, fast:
//
//	float32 vectors --Append--> Matrix: int8 codes, one scale a row      (a quarter of the memory, all that a scan reads)
//	float32 question -Quantise-> Query: int16 codes                      (so only the rows lose precision)
//	            Scan: dot products of Query and rows, block by block --> the best rows, approximately
//
// The caller rescores a few more rows than it wants with their float32 vectors; with fifty for ten no row is missed in
// practice. A scan has no index to build, to tune or to go stale, and loses nothing when rows are filtered. The processor
// multiplies sixteen pairs at once, so 100,000 rows of 384 numbers cost one to three milliseconds: the time to read 38 MB.
//
// On amd64 with AVX2 the dot products are assembly; elsewhere Go, with the same integers as result. The package knows numbers
// only: not what a vector stands for, nor where it comes from.
package vec
