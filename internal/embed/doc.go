// Package embed is the embedder inside the binary: sentence models of BERT's shape, with no server, no cgo and no file but the
// program itself.
//
//	text -NFC-> tokenizer -ids-> windows of 512 -> encoder -means, weighted-> one unit vector
//	                                                  |
//	     words, read where they lie in the file ------+--- layers, int8, arranged for the kernel at the start
//
// In the file words are 4-bit numbers, layers 4-bit or int8. Layers are multiplied as int8 weights by uint8 activations, with a
// scale and a zero point a token that are found on the way; norms, softmax and attention are float32. The arithmetic is in
// assembly for AVX-512 VNNI, AVX-VNNI, AVX2 and arm64's dot product, in Go elsewhere (Kernel says which), and all of these give
// the same bits: a sum is folded in one order, and a product and a sum are rounded together or apart in one way. So a knowledge
// base built on one machine is asked on another, and a test on one machine speaks for all.
//
// The model in the binary is multilingual-e5-small with its whole vocabulary, since rare pieces carry meaning: leaving pieces out
// costs more across languages than leaving out bits. It lies in model/, packed by PackNano; the build tag
// nomodel leaves it out. PackFolder packs others. Opening a model reads what a flipped byte could crash and no more:
// nothing read from a file is trusted to be in bounds, and its digest is for Verify, which reads it all.
//
// A text longer than the model's window is embedded window by window as it is read; neither its tokens nor its normal form are
// ever held as a whole. As many texts are worked on at once as there are processors (lanes), and a question waits for one
// passage at most. Nothing is allocated for a text once memory for its length is there.
//
// The package does not know what is embedded, nor what becomes of it.
package embed
