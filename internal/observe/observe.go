// Package observe says once, in Go, what operators are shown and when they are called: every panel of the Grafana dashboard, every
// recording rule and every alert. The files under deploy/ are written from it by `make observe`, and the proof that each expression
// finds its series under real traffic reads it too. The binary does not import it.
package observe

// Files gives the content of each generated file by its path in the project.
func Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	contents := map[string]func() ([]byte, error){"deploy/grafana/ollama-rag.json": dashboardJSON, rulesPath: rulesFile, operatorPath: prometheusRuleFile}
	for _, f := range ruleTestFiles() {
		contents[f.path] = f.content
	}
	for path, content := range contents {
		b, err := content()
		if err != nil {
			return nil, err
		}
		files[path] = b
	}
	return files, nil
}
