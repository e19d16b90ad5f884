package extract

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// style is what a paragraph style says of structure.
type style struct {
	level  int // of the heading it makes; 0: none
	list   string
	indent int
	base   string
}

var (
	headingName  = regexp.MustCompile(`(?i)^(?:heading|überschrift|titre|título|titolo|kop|rubrik|nagłówek|заголовок|标题|見出し|제목|đề mục|tiêu đề)\s*([1-9])$`)
	headingStyle = regexp.MustCompile(`(?i)^(?:heading|berschrift|überschrift|titre|ttulo|titolo|kop|rubrik|nagwek)([1-9])$`)
)

// styles reads the paragraph styles. Those of headings are known by their outline level, else by name.
func (a *archive) styles(name string) (map[string]style, error) {
	all := map[string]style{}
	in, err := a.optional(name)
	if in == nil || err != nil {
		return all, err
	}
	err = in.each(func(root *xml.StartElement) error {
		return in.each(func(e *xml.StartElement) error {
			if !in.is(e, "w", "style") || attr(e, "type") != "paragraph" {
				return in.Skip()
			}
			s, err := readStyle(in, attr(e, "styleId"))
			all[attr(e, "styleId")] = s
			return err
		})
	})
	for id, s := range all {
		for hops := 0; s.level == 0 && s.base != "" && hops < 20; hops++ {
			base := all[s.base]
			s.level, s.base = base.level, base.base
			if s.list == "" {
				s.list, s.indent = base.list, base.indent
			}
		}
		if s.level > 9 {
			s.level = 0
		}
		all[id] = s
	}
	return all, in.refusal(err)
}

func readStyle(in *input, id string) (style, error) {
	var s style
	named := 0
	if m := headingStyle.FindStringSubmatch(id); m != nil {
		named = number(m[1], 0)
	}
	var read func(e *xml.StartElement) error
	read = func(e *xml.StartElement) error {
		value := attr(e, "val")
		switch e.Name.Local {
		case "name":
			if m := headingName.FindStringSubmatch(value); m != nil {
				named = number(m[1], 0)
			} else if strings.EqualFold(value, "title") {
				named = 1
			}
		case "basedOn":
			s.base = value
		case "outlineLvl":
			s.level = number(value, 9) + 1
		case "numId":
			s.list = value
		case "ilvl":
			s.indent = number(value, 0)
		case "pPr", "numPr":
			return in.each(read)
		}
		return in.Skip()
	}
	err := in.each(read)
	if s.level == 0 {
		s.level = named
	}
	return s, err
}

// numbering reads the formats of the lists: by list, one a level.
func (a *archive) numbering(name string) (map[string][]string, error) {
	lists, abstract, uses := map[string][]string{}, map[string][]string{}, map[string]string{}
	in, err := a.optional(name)
	if in == nil || err != nil {
		return lists, err
	}
	err = in.each(func(root *xml.StartElement) error {
		return in.each(func(e *xml.StartElement) error {
			id := attr(e, "abstractNumId")
			num := attr(e, "numId")
			switch e.Name.Local {
			case "abstractNum":
				return in.each(func(lvl *xml.StartElement) error {
					if lvl.Name.Local != "lvl" {
						return in.Skip()
					}
					return in.each(func(f *xml.StartElement) error {
						if f.Name.Local == "numFmt" && len(abstract[id]) < 16 {
							abstract[id] = append(abstract[id], attr(f, "val"))
						}
						return in.Skip()
					})
				})
			case "num":
				return in.each(func(f *xml.StartElement) error {
					if f.Name.Local == "abstractNumId" {
						uses[num] = attr(f, "val")
					}
					return in.Skip()
				})
			}
			return in.Skip()
		})
	})
	for num, id := range uses {
		lists[num] = abstract[id]
	}
	return lists, in.refusal(err)
}

// bullet is what a list item begins with, "" for a paragraph that is none.
func (d *docx) bullet(p *paragraph) string {
	list, indent := p.list, p.indent
	if list == "" {
		list, indent = d.styles[p.style].list, d.styles[p.style].indent
	}
	levels := d.lists[list]
	if list == "" || list == "0" || indent >= len(levels) {
		return ""
	}
	space := strings.Repeat("  ", indent)
	for deeper := indent + 1; deeper < len(levels); deeper++ {
		delete(d.counters, list+":"+strconv.Itoa(deeper))
	}
	switch levels[indent] {
	case "none":
		return ""
	case "bullet":
		return space + "- "
	}
	key := list + ":" + strconv.Itoa(indent)
	d.counters[key]++
	return space + strconv.Itoa(d.counters[key]) + ". "
}

// number reads a small number, otherwise where it is none.
func number(s string, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 99 {
		return otherwise
	}
	return n
}

// title is the title in the document's properties.
func (a *archive) title() string {
	in, err := a.optional("docProps/core.xml")
	if in == nil || err != nil {
		return ""
	}
	title := ""
	_ = in.each(func(root *xml.StartElement) error {
		return in.each(func(e *xml.StartElement) error {
			if e.Name.Local != "title" {
				return in.Skip()
			}
			s, err := in.text()
			title = oneLine(s)
			return err
		})
	})
	if notATitle.MatchString(title) || len(title) > maxHeading {
		return ""
	}
	return title
}

// mainPart is the name of the part that holds the document.
func (a *archive) mainPart() (string, error) {
	in, err := a.optional("_rels/.rels")
	if err != nil {
		return "", err
	}
	name := ""
	if in != nil {
		err = in.each(func(root *xml.StartElement) error {
			return in.each(func(e *xml.StartElement) error {
				if strings.HasSuffix(attr(e, "Type"), "/officeDocument") {
					name = strings.TrimPrefix(attr(e, "Target"), "/")
				}
				return in.Skip()
			})
		})
		if err := in.refusal(err); err != nil {
			return "", err
		}
	}
	if a.files[name] == nil {
		name = "word/document.xml"
	}
	if a.files[name] == nil {
		return "", unreadable("is named .docx and is not a Word document: give it the name of what it is")
	}
	return name, nil
}

// refusal keeps of the faults of a part that a document may lack only those that refuse the whole file.
func (in *input) refusal(err error) error {
	if errors.Is(err, io.EOF) || err == nil {
		return nil
	}
	if e := in.refused; e != nil {
		return e
	}
	return nil
}
