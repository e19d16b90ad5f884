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

// Expressions are all of them. An alert's conditions are made 0 or 1, so that what it compares must be there though nothing fires.
func Expressions() []Expression {
	all := Dashboard().expressions()
	for _, g := range Rules() {
		for _, r := range g.Records {
			all = append(all, Expression{"record " + r.Name, r.Expr})
		}
		for _, a := range g.Alerts {
			all = append(all, Expression{"alert " + a.Name, comparison.ReplaceAllString(a.Expr, "$1 bool ")})
		}
	}
	return all
}

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
