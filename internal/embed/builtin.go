//go:build !nomodel

package embed

import _ "embed" // for the model's files

// The files of the model in the binary, cut so that none is beyond what code hosts take. They are strings: read-only, shared by
// all processes, and resident only where they are read.
var (
	//go:embed model/e5-small.0
	model0 string
	//go:embed model/e5-small.1
	model1 string
)

// HasBuiltin says whether this program has a model in it.
const HasBuiltin = true

func builtin() (source, error) { return memory{stringBytes(model0), stringBytes(model1)}, nil }
