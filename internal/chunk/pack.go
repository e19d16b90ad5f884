package chunk

// run is a half-open range of atoms.
type run struct{ from, to int }

// deepest is the level of the innermost headings that part sections.
const deepest = 2

// sections parts atoms at headings of the outer levels. Tiny neighbours are joined up to half of size; a heading that nothing
// follows before the next one goes with it.
func (c *Cutter) sections(atoms []atom) []run {
	var all []run
	onlyHeadings := true // in the last section
	for i := range atoms {
		starts := atoms[i].level > 0 && atoms[i].level <= deepest
		if len(all) == 0 || starts && !onlyHeadings && !c.joins(atoms, all[len(all)-1], i) {
			all = append(all, run{i, i})
			onlyHeadings = true
		}
		all[len(all)-1].to = i + 1
		onlyHeadings = onlyHeadings && atoms[i].level > 0
	}
	return all
}

// joins says whether the section that starts at atom i belongs to the sections before it.
func (c *Cutter) joins(atoms []atom, before run, i int) bool {
	if first := atoms[before.from].level; first > atoms[i].level {
		return false // an outer heading begins something new
	}
	end := i + 1
	for end < len(atoms) && (atoms[end].level == 0 || atoms[end].level > deepest) {
		if atoms[end].to-atoms[i].from >= c.size/4 {
			return false
		}
		end++
	}
	tiny := atoms[end-1].to-atoms[i].from < c.size/4
	return tiny && atoms[end-1].to-atoms[before.from].from <= c.size/2
}

// pack fills passages with the atoms of a section.
func (c *Cutter) pack(atoms []atom, s run) []run {
	var runs []run
	for from, last := s.from, s.from; last < s.to; {
		end := c.end(atoms, from, last, s.to)
		runs = append(runs, run{from, end})
		if end < s.to {
			from = c.next(atoms, from, end)
		}
		last = end
	}
	return runs
}

// least is how full a passage must be, in tenths of size, to be cut at a border of each kind.
var least = [...]int{section: 4, paragraph: 5, sentence: 3, word: 0}

// end is where the passage that starts at from ends: at the strongest border that leaves it full enough, the last of them. It
// lies behind last.
func (c *Cutter) end(atoms []atom, from, last, limit int) int {
	full := from + 1
	for full < limit && atoms[full].to-atoms[from].from <= c.size {
		full++
	}
	if full == limit {
		return limit
	}
	for want := section; want >= word; want-- {
		for k := full; k > last && k > from; k-- {
			if atoms[k].before >= want && (atoms[k-1].to-atoms[from].from)*10 >= least[want]*c.size {
				return k
			}
		}
	}
	return full
}

// next is where the passage after one that ends at end starts: at end, or at a sentence before it that both share.
func (c *Cutter) next(atoms []atom, from, end int) int {
	start := end
	if c.overlap == 0 || atoms[end].before == section {
		return end
	}
	for k := end - 1; k > from && atoms[k].level == 0 && atoms[end-1].to-atoms[k].from <= c.overlap; k-- {
		if atoms[end].to-atoms[k].from > c.size {
			break
		}
		if atoms[k].before == section || atoms[k].before == glued {
			break
		}
		if atoms[k].before >= sentence {
			start = k
		}
	}
	return start
}
