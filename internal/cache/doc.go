// Package cache remembers good answers. A look-up is exact first (the same normalised question in the same scope), then
// semantic (the nearest question of the scope whose similarity reaches the threshold). A scope is everything but question and
// documents that can change the answer, hashed by whoever asks. An entry keeps the passages it shows and the change of its
// knowledge base for which they were found to hold: whoever asks checks that, and Served or Missed ends the look-up.
//
// Entries live in memory, and in a file where Keep was called, which is written behind those who ask. They are bounded in number,
// memory and age; what is cheap to make again, large and unused goes first, and a hit does not renew the age.
// Calls keeps what models said, under exact keys and as bytes; Generator puts it before a model.
//
// What is stored is a deep copy and what is served is another, so that nobody can change a remembered answer. The package
// knows neither embedders nor HTTP.
package cache
