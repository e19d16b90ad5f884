// Package embed is the embedder inside the binary.
package embed
