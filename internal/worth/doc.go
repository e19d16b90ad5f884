// Package worth measures what an embedder is worth in a language, so that a model that knows English alone has little say
// about Vietnamese (docs/adr/0008).
//
// A probe is a question and the sentence that answers it in other words, in ten languages (probes.txt). An embedder is worth in
// a language what its vectors find there: how near each question its own answer comes among all answers in that language.
package worth
