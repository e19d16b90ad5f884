package observe

import (
	"fmt"
	"regexp"
)

// Expression is one PromQL expression and where it stands.
type Expression struct {
	Where string // such as "dashboard, Cache: Hit rate, query A"
	Expr  string // with Grafana's variables in it
}

// Expressions are all of them. An alert's conditions are made 0 or 1, so that what it compares must be there though nothing fires; what
// keeps it from firing (unless) is an expression of its own.
func Expressions() []Expression {
	all := Dashboard().expressions()
	for _, g := range Rules() {
		for _, r := range g.Records {
			all = append(all, Expression{"record " + r.Name, r.Expr})
		}
		for _, a := range g.Alerts {
			where := "alert " + a.Name
			for _, part := range unless.Split(comparison.ReplaceAllString(a.Expr, "$1 bool "), -1) {
				all = append(all, Expression{where, part})
				where = "alert " + a.Name + ", unless"
			}
		}
	}
	return all
}

var unless = regexp.MustCompile(`\s+unless\s+(?:(?:on|ignoring)\s*\([^)]*\)\s*)?`)

var comparison = regexp.MustCompile(`(==|!=|<=|>=|<|>)\s`)

func (b *Board) expressions() []Expression {
	var all []Expression
	for _, m := range b.Marks {
		all = append(all, Expression{"dashboard, mark " + m.Name, m.Expr})
	}
	for _, r := range b.Rows {
		for _, p := range r.Panels {
			for i, q := range p.Queries {
				all = append(all, Expression{fmt.Sprintf("dashboard, %s: %s, query %s", r.Title, p.Title, refID(i)), q.Expr})
			}
		}
	}
	return all
}

// refID is Grafana's name of a panel's query.
func refID(i int) string { return string(rune('A' + i)) }
