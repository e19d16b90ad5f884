// Package archtest holds the law of imports as a test: which package may import which. It is the table to change when the
// house changes, together with the decision record that says why.
package archtest
