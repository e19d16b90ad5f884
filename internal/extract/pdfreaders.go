package extract

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed" // PDFium
	"errors"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// pdfReaders lends out PDF readers. Each is a fresh WebAssembly instance of PDFium: it sees no file system, has a memory of
// its own with a limit, and is thrown away after one document, so that nothing a broken file did to it outlives the file.
// What is shared is the compiled module, made at the first PDF and given back when none came for a while.
type pdfReaders struct {
	config Config
	places chan struct{} // one a reader

	mu     sync.Mutex
	pool   pdfium.Pool // nil: not started
	users  int
	idle   *time.Timer // gives the pool back; nil while it is used or not started
	closed bool
}

func newPDFReaders(c Config) *pdfReaders {
	return &pdfReaders{config: c, places: make(chan struct{}, c.MaxPDFReaders)}
}

// with lends a reader to do. When ctx ends, the reader is killed in the middle of whatever it does.
func (r *pdfReaders) with(ctx context.Context, do func(pdfium.Pdfium) error) error {
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	case <-ctx.Done():
		return ctx.Err()
	}
	pool, err := r.acquire()
	if err != nil {
		return err
	}
	defer r.release()
	reader, err := pool.GetInstanceWithContext(ctx)
	if err != nil {
		return rag.Errorf(rag.Internal, "", "the PDF reader does not start").Because(err)
	}
	// Kill, not Close: Close would have PDFium tidy up a document that may be hostile.
	kill := sync.OnceFunc(func() { _ = reader.Kill() })
	defer kill()
	defer context.AfterFunc(ctx, kill)()
	return do(reader)
}

// acquire gives the pool, started if need be.
func (r *pdfReaders) acquire() (pdfium.Pool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, rag.Errorf(rag.Unavailable, "", "the server is stopping")
	}
	if r.pool == nil {
		pool, err := startPDFium(r.config)
		if err != nil {
			return nil, rag.Errorf(rag.Internal, "", "the PDF reader does not start").Because(err)
		}
		r.pool = pool
	}
	if r.idle != nil {
		r.idle.Stop()
		r.idle = nil
	}
	r.users++
	return r.pool, nil
}

func (r *pdfReaders) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users--
	switch {
	case r.users > 0:
	case r.closed:
		r.stop()
	default:
		r.idle = time.AfterFunc(r.config.PDFIdle, r.expire)
	}
}

func (r *pdfReaders) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users == 0 && r.idle != nil {
		r.stop()
		debug.FreeOSMemory() // it was most of what the process held
	}
}

// stop gives the pool back; the caller holds mu.
func (r *pdfReaders) stop() {
	if r.pool != nil {
		_ = r.pool.Close()
	}
	r.pool, r.idle = nil, nil
}

func (r *pdfReaders) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.idle != nil {
		r.idle.Stop()
	}
	if r.users == 0 {
		r.stop()
	}
	return nil
}

const wasmPage = 64 << 10

// packedPDFium is the WebAssembly module of go-pdfium, packed: as it is, it would be a fifth of the binary without the embedder.
//
//go:embed pdfium/pdfium.wasm.gz
var packedPDFium []byte

func unpackPDFium() ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packedPDFium))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// startPDFium compiles PDFium, or takes what an earlier process compiled: seconds, or a tenth of one. Machine code that cannot
// be used is thrown away and made again.
func startPDFium(c Config) (pdfium.Pool, error) {
	wasm, err := unpackPDFium()
	if err != nil {
		return nil, err
	}
	if c.CodeDir != "" {
		if pool, err := compilePDFium(c, wasm); err == nil {
			return pool, nil
		}
		_ = os.RemoveAll(c.CodeDir)
		c.CodeDir = ""
	}
	return compilePDFium(c, wasm)
}

func compilePDFium(c Config, wasm []byte) (pdfium.Pool, error) {
	code := wazero.NewCompilationCache()
	if c.CodeDir != "" {
		var err error
		if code, err = wazero.NewCompilationCacheWithDir(c.CodeDir); err != nil {
			return nil, err
		}
	}
	pool, err := webassembly.InitWithWASM(webassembly.Config{
		WASM:     wasm,
		MaxTotal: c.MaxPDFReaders,
		FSConfig: wazero.NewFSConfig(), // no files
		Stdout:   io.Discard,
		Stderr:   io.Discard,
		RuntimeConfig: wazero.NewRuntimeConfig().
			WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
			WithCloseOnContextDone(true).
			WithCompilationCache(code).
			WithMemoryLimitPages(uint32(min(c.MaxPDFMemory/wasmPage, 65536))),
	})
	if err != nil {
		return nil, errors.Join(err, code.Close(context.Background()))
	}
	return compiledPool{pool, code}, nil
}

// compiledPool gives its machine code back with itself.
type compiledPool struct {
	pdfium.Pool
	code wazero.CompilationCache
}

func (p compiledPool) Close() error {
	return errors.Join(p.Pool.Close(), p.code.Close(context.Background()))
}
