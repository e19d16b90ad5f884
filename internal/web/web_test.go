package web_test

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/web"
)

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := fs.ReadFile(web.FS(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func all(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(web.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[name] = read(t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var comment = regexp.MustCompile(`(?s)<!--.*?-->`)

// pages are the documents that a browser opens.
var pages = []string{"index.html", "dashboard.html"}

func TestPagesHoldNothingInlineThatThePolicyForbids(t *testing.T) {
	for _, name := range pages {
		holdsNothingInline(t, name)
	}
}

func holdsNothingInline(t *testing.T, name string) {
	t.Helper()
	page := comment.ReplaceAllString(read(t, name), "")
	forbidden := map[string]*regexp.Regexp{
		"inline script":         regexp.MustCompile(`(?is)<script(?:\s[^>]*)?>\s*[^<\s]`),
		"script without a file": regexp.MustCompile(`(?i)<script(?:\s+(?:type|defer|async)(?:="[^"]*")?)*\s*>`),
		"style element":         regexp.MustCompile(`(?i)<style\b`),
		"style attribute":       regexp.MustCompile(`(?i)<[^>]*\sstyle\s*=`),
		"event attribute":       regexp.MustCompile(`(?i)<[^>]*\son[a-z]+\s*=`),
		"javascript: link":      regexp.MustCompile(`(?i)javascript:`),
		"base element":          regexp.MustCompile(`(?i)<base\b`),
	}
	for what, re := range forbidden {
		if found := re.FindString(page); found != "" {
			t.Errorf("%s: %s: %q", name, what, found)
		}
	}
}

var (
	reference = regexp.MustCompile(`(?:src|href)="([^"#][^"]*)"`)
	imported  = regexp.MustCompile(`(?m)^\s*(?:import|export)\b[^;]*?from\s+"([^"]+)"|import\("([^"]+)"\)`)
	identity  = regexp.MustCompile(`\sid="([^"]+)"`)
	wanted    = regexp.MustCompile(`\$\("([^"]+)"\)`)
	sprite    = regexp.MustCompile(`\bicon\("([^"]+)"|<use href="#i-([^"]+)"`)
)

func TestEveryReferencedFileExists(t *testing.T) {
	files := all(t)
	for _, page := range pages {
		for _, m := range reference.FindAllStringSubmatch(files[page], -1) {
			if m[1] == "/" || m[1] == "/dashboard" || strings.HasPrefix(m[1], "/#/") {
				continue // the pages themselves
			}
			name, ok := strings.CutPrefix(m[1], "/static/")
			if !ok {
				t.Errorf("%s refers to %q, outside /static/", page, m[1])
			} else if _, ok := files[name]; !ok {
				t.Errorf("%s refers to %q, which does not exist", page, m[1])
			}
		}
	}
	for name, text := range files {
		if path.Ext(name) != ".js" {
			continue
		}
		for _, m := range imported.FindAllStringSubmatch(text, -1) {
			target := m[1] + m[2]
			if _, ok := files[strings.TrimPrefix(target, "./")]; !ok || !strings.HasPrefix(target, "./") {
				t.Errorf("%s imports %q, which does not exist", name, target)
			}
		}
	}
}

// modulesOf are the scripts that a page runs, and those that they import.
func modulesOf(files map[string]string, page string) []string {
	var found []string
	var follow func(text string, links *regexp.Regexp, prefix string)
	follow = func(text string, links *regexp.Regexp, prefix string) {
		for _, m := range links.FindAllStringSubmatch(text, -1) {
			name := strings.TrimPrefix(strings.Join(m[1:], ""), prefix)
			if path.Ext(name) == ".js" && !slices.Contains(found, name) {
				found = append(found, name)
				follow(files[name], imported, "./")
			}
		}
	}
	follow(files[page], reference, "/static/")
	return found
}

func TestEveryElementAndIconThatModulesNameIsOnTheirPage(t *testing.T) {
	files := all(t)
	run := map[string]bool{}
	for _, page := range pages {
		ids := map[string]bool{}
		for _, m := range identity.FindAllStringSubmatch(files[page], -1) {
			if ids[m[1]] {
				t.Errorf("id %q is on %s twice", m[1], page)
			}
			ids[m[1]] = true
		}
		for _, name := range append(modulesOf(files, page), page) {
			run[name] = true
			for _, m := range wanted.FindAllStringSubmatch(files[name], -1) {
				if !ids[m[1]] {
					t.Errorf("%s looks for #%s, which is not on %s", name, m[1], page)
				}
			}
			for _, m := range sprite.FindAllStringSubmatch(files[name], -1) {
				if id := "i-" + m[1] + m[2]; !ids[id] {
					t.Errorf("%s draws the icon %q, which is not in the sprite of %s", name, id, page)
				}
			}
		}
	}
	for name := range files {
		if path.Ext(name) == ".js" && !run[name] {
			t.Errorf("no page runs %s", name)
		}
	}
}

func TestModulesMakeNoHTMLAndReachNoOtherHost(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\("style"|DOMParser|https?://[^\s"'` + "`" + `]*`)
	for name, text := range all(t) {
		for _, found := range forbidden.FindAllString(text, -1) {
			if found != "http://www.w3.org/2000/svg" { // a name, not an address
				t.Errorf("%s: %q", name, found)
			}
		}
	}
}
