package extract

import (
	"context"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func (e *Extractor) markdown(_ context.Context, data []byte) (rag.Extracted, error) {
	return e.readMarkdown(data, func(s string) string { return s })
}

func (e *Extractor) mdx(_ context.Context, data []byte) (rag.Extracted, error) {
	return e.readMarkdown(data, withoutJSX)
}

// readMarkdown gives the source less its front matter, whose title and description are kept.
func (e *Extractor) readMarkdown(data []byte, filter func(string) string) (rag.Extracted, error) {
	d, ok := decode(data)
	if !ok {
		return rag.Extracted{}, errBinary()
	}
	matter, body := frontMatter(tidy(d.text))
	body = filter(body)
	if matter.description != "" {
		body = matter.description + "\n\n" + strings.TrimLeft(body, "\n")
	}
	x := rag.Extracted{Text: body, Title: matter.title, Encoding: d.encoding, Warnings: d.warnings}
	x.Headings = e.markdownHeadings(x.Text)
	if x.Title == "" {
		x.Title = firstHeading(x.Headings)
	}
	return x, nil
}

type matter struct{ title, description string }

// maxFrontMatter is how long front matter may be, in bytes; a longer one is text between two rules.
const maxFrontMatter = 64 << 10

var matterField = regexp.MustCompile(`(?m)^(title|description):[ \t]*(\S.*)$`)

// frontMatter splits YAML front matter from the text behind it.
func frontMatter(s string) (matter, string) {
	body, ok := strings.CutPrefix(s, "---\n")
	if !ok {
		return matter{}, s
	}
	fields, rest, ok := strings.Cut(body[:min(len(body), maxFrontMatter)], "\n---")
	if !ok || strings.HasPrefix(fields, "\n") || !strings.Contains(fields, ":") || rest != "" && rest[0] != '\n' {
		return matter{}, s
	}
	var m matter
	for _, f := range matterField.FindAllStringSubmatch(fields, -1) {
		value := strings.TrimSpace(f[2])
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		if strings.Trim(value, "|>-+") == "" {
			continue // a block that goes over several lines
		}
		if f[1] == "title" {
			m.title = oneLine(value)
		} else {
			m.description = oneLine(value)
		}
	}
	return m, strings.TrimLeft(body[len(fields)+len("\n---"):], "\n")
}

// markdownHeadings finds the headings that are not inside lists, quotes or code.
func (e *Extractor) markdownHeadings(source string) []rag.Heading {
	if deepMarkdown(source, e.config.MaxDepth) {
		return nil
	}
	// Blocks only: inline syntax has no headings and its worst cases take long.
	p := parser.NewParser(parser.WithBlockParsers(blockParsers()...))
	var headings []rag.Heading
	for n := p.Parse(text.NewReader([]byte(source))).FirstChild(); n != nil; n = n.NextSibling() {
		h, ok := n.(*ast.Heading)
		if !ok || h.Lines().Len() == 0 {
			continue
		}
		if found, ok := headingAt(source, h); ok {
			headings = append(headings, found)
		}
	}
	return headings
}

func blockParsers() []util.PrioritizedValue { return parser.DefaultBlockParsers() }

var underline = regexp.MustCompile(`^\n {0,3}(=+|-+)[ \t]*(\n|$)`)

// headingAt gives the whole lines of a heading, with the line under it where that makes it one.
func headingAt(source string, h *ast.Heading) (rag.Heading, bool) {
	lines := h.Lines()
	start, end := lines.At(0).Start, lines.At(lines.Len()-1).Stop
	name := plainHeading(source[start:end])
	start = strings.LastIndexByte(source[:start], '\n') + 1
	end = max(end, start)
	for end > start && source[end-1] == '\n' {
		end--
	}
	if i := strings.IndexByte(source[end:], '\n'); i >= 0 {
		end += i
	} else {
		end = len(source)
	}
	if m := underline.FindString(source[end:min(len(source), end+1000)]); m != "" && !strings.HasPrefix(strings.TrimLeft(source[start:], " "), "#") {
		end += len(strings.TrimRight(m, "\n"))
	}
	return rag.Heading{Level: h.Level, Text: name, Span: rag.Span{Start: start, End: end}}, name != "" && len(name) <= maxHeading
}

var (
	headingNote = regexp.MustCompile(`\{/\*.*?\*/\}|\{#[^}]*\}|<[^<>]*>|[ \t]#+[ \t]*$`)
	inlineLink  = regexp.MustCompile(`!?\[([^\[\]]*)\](\([^()]*\)|\[[^\[\]]*\])`)
	inlineMarks = strings.NewReplacer("**", "", "__", "", "~~", "", "`", "", "*", "", `\`, "")
)

// plainHeading is the text of a heading without its markup.
func plainHeading(s string) string {
	s = headingNote.ReplaceAllString(s, "")
	s = inlineLink.ReplaceAllString(s, "$1")
	return oneLine(inlineMarks.Replace(s))
}

// deepMarkdown says whether a line opens more lists and quotes than max inside each other: the parser is recursive.
func deepMarkdown(source string, max int) bool {
	for line := range strings.Lines(source) {
		depth := 0
		for i := 0; i < len(line) && strings.IndexByte(" \t>-+*.)0123456789", line[i]) >= 0; i++ {
			if line[i] == '>' || i > 0 && line[i] == ' ' && strings.IndexByte("-+*.)", line[i-1]) >= 0 {
				depth++
			}
		}
		if depth > max {
			return true
		}
		if indent := len(line) - len(strings.TrimLeft(line, " \t")); indent > 4*max {
			return true
		}
	}
	return false
}

var (
	moduleLine = regexp.MustCompile(`^(import|export)[ \t{*"']`)
	jsxLine    = regexp.MustCompile(`^[ \t]*(</?[A-Z][\w.]*([ \t][^<>]*)?/?>|\{/\*.*\*/\})[ \t]*$`)
)

// withoutJSX leaves out of an MDX source what is program: imports, exports, and components' tags on lines of their own.
func withoutJSX(source string) string {
	var b strings.Builder
	fence, module := "", false
	for line := range strings.Lines(source) {
		bare := strings.TrimSpace(line)
		switch {
		case fence != "":
			if strings.HasPrefix(bare, fence) && strings.Trim(bare, fence[:1]) == "" {
				fence = ""
			}
		case strings.HasPrefix(bare, "```"), strings.HasPrefix(bare, "~~~"):
			fence, module = bare[:len(bare)-len(strings.TrimLeft(bare, bare[:1]))], false
		case bare == "":
			module = false
		case module || moduleLine.MatchString(line):
			module = true
			continue
		case jsxLine.MatchString(strings.TrimRight(line, "\n")):
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}
