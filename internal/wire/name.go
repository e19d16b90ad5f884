package wire

import "strings"

// FullName is a model's name with its tag, as Ollama lists it: "latest" where none is given.
func FullName(name string) string {
	last := name[strings.LastIndexByte(name, '/')+1:]
	if name == "" || strings.Contains(last, ":") {
		return name
	}
	return name + ":latest"
}
