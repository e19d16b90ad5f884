// Package cache remembers good answers. A look-up is exact first (the same normalised question in the same scope), then
// semantic (the nearest question of the scope whose cosine reaches the threshold). A scope is everything but the question that
// can change the answer, hashed by whoever asks; it includes the knowledge base's change counter, and every change of a
// knowledge base also empties its entries, so that nothing is served whose evidence has changed.
//
// Entries live in memory, bounded in number and age; the least recently used goes first, and a hit does not renew the age.
// What is stored is a deep copy and what is served is another, so that nobody can change a remembered answer. The package
// knows neither embedders nor HTTP.
package cache
