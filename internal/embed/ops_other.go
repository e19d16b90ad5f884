//go:build !amd64 && !arm64

package embed

import "sync"

// kernels lists what this machine can run, best first.
var kernels = sync.OnceValue(func() []*kernel { return []*kernel{portable()} })
