// Package text knows about words and nothing else: where they begin and end, which form of a word is looked up, which
// language a text is in, where its sentences are.
//
//	text -> Fold (NFC, lower case) -> AppendWords -> words, every one a slice of the folded text
//	                                                   |- Stem      English forms of one word meet
//	                                                   |- IsStop    English words that carry no meaning
//	                                                   '- Unaccent  "Đà Nẵng" and "da nang" meet
//
// Scripts that put no spaces between words (Chinese, Japanese, Thai, Khmer, ...) and Korean, which glues particles to its
// words, are cut into overlapping pairs of characters. Nothing here keeps state, knows what an index is, or looks at more
// than the text it is given; all functions are safe to call from many goroutines.
package text
