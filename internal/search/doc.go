// Package search finds passages: by words (BM25), by meaning (a scan over quantised vectors), or by both, fused.
//
//	store commits --Apply--> new segment --> new snapshot --atomic swap--> questions
//	                                             |
//	     segments of like size merge; deleted passages are bits, until a merge leaves them out
//
//	Retrieve:  snapshot -> filter (bits a passage) -+-> postings walk -> best by BM25 -----+-> fuse -> texts from Corpus -> hits
//	                                                '-> int8 scan -> rescored by Corpus ---'
//
// A knowledge base's index is a snapshot that never changes: a question sees one state from beginning to end and takes no lock.
// It is derived from the Corpus and holds no text, only words, numbers and vectors in one byte a number. Files written by Save
// spare a restart the rebuild; a file that is stale, cut, flipped or foreign is worth nothing and is ignored. Figures that BM25
// needs (passages, passages with a word, average length) are those of the live passages of the whole knowledge base, never of
// a segment, so results do not depend on how the passages came in.
//
// No language is told of a question, since short ones do not show it. English passages are indexed by stems, all others by their
// words as they are, and a question is asked in both ways; a word is as rare as the passages of both kinds together make it.
//
// The package does not know where passages are kept, who asks, or which model made the vectors.
package search
