//go:build nomodel

package embed

import "errors"

// HasBuiltin says whether this program has a model in it.
const HasBuiltin = false

func builtin() (source, error) {
	return nil, errors.New("this program was built without a model (build tag nomodel); use a packed model's file or a model on Ollama")
}
