// Package chunk cuts texts into passages.
package chunk
