package observe

import "fmt"

// Expression is one PromQL expression and where it stands.
type Expression struct {
	Where string // such as "dashboard, Cache: Hit rate, query A"
	Expr  string // with Grafana's variables in it
}

// Expressions are all of them.
func Expressions() []Expression {
	return Dashboard().expressions()
}

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
