package embed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Builtin is the name of the model in the binary; FilePrefix comes before the path of a packed model.
const (
	Builtin    = "builtin"
	FilePrefix = "file:"

	// BuiltinTokens is MaxTokens of Builtin, known without opening it.
	BuiltinTokens = 507
)

// Model embeds texts. It is safe for concurrent use.
type Model struct {
	packed  *packed
	weights *weights
	kernel  *kernel
	lanes   *lanes

	counters sync.Pool // *counter
}

// counter is what counting the tokens of a text takes: no lane, so nobody waits for it.
type counter struct {
	cutting
	chunks
}

// Option changes how a model is opened.
type Option func(*options)

type options struct {
	kernel string
	lanes  int
}

// WithKernel takes a kernel by its name, one of Kernels, for tests and measurements.
func WithKernel(name string) Option { return func(o *options) { o.kernel = name } }

// WithLanes lets n texts be worked on at once, in place of one a processor.
func WithLanes(n int) Option { return func(o *options) { o.lanes = n } }

// Open opens the model in the binary (Builtin) or a packed model's file (FilePrefix and its path). The words stay where they are,
// so a file must not be changed while it is open; its digest is not checked, see Verify.
func Open(name string, opts ...Option) (*Model, error) {
	var src source
	var err error
	switch path, file := strings.CutPrefix(name, FilePrefix); {
	case file:
		src, err = openDisk(path)
	case name == Builtin:
		src, err = builtin()
	default:
		return nil, fmt.Errorf("embedding model %q: %s and %sPATH are known", name, Builtin, FilePrefix)
	}
	if err != nil {
		return nil, fmt.Errorf("embedding model %s: %w", name, err)
	}
	m, err := open(src, opts...)
	if err != nil {
		return nil, fmt.Errorf("embedding model %s: %w", name, errors.Join(err, src.Close()))
	}
	return m, nil
}

func open(src source, opts ...Option) (*Model, error) {
	o := options{kernel: Kernel(), lanes: runtime.GOMAXPROCS(0)}
	for _, opt := range opts {
		opt(&o)
	}
	i := slices.IndexFunc(kernels(), func(k *kernel) bool { return k.name == o.kernel })
	if i < 0 {
		return nil, fmt.Errorf("this machine has no kernel %q; it has %s", o.kernel, strings.Join(Kernels(), ", "))
	}
	p, err := look(src)
	if err != nil {
		return nil, err
	}
	m := &Model{packed: p, kernel: kernels()[i]}
	if m.weights, err = readWeights(p, m.kernel); err != nil {
		return nil, err
	}
	m.lanes = newLanes(max(o.lanes, 1), func() *scratch { return newScratch(m.weights) })
	return m, nil
}

// Close gives the model's file back. Nothing may be embedded after it.
func (m *Model) Close() error { return m.packed.Close() }

// Identity names the model as knowledge bases remember it.
func (m *Model) Identity() rag.EmbedderID {
	c := &m.weights.config
	id := rag.EmbedderID{Name: c.Name, Digest: m.packed.digest, Dimension: c.Width}
	if c.Question != "" || c.Passage != "" {
		id.Prefix = c.Question + "|" + c.Passage
	}
	return id
}

// Kernel names the arithmetic that the model runs on.
func (m *Model) Kernel() string { return m.kernel.name }

// MaxTokens is how many tokens of text a passage can have and be embedded in one piece.
func (m *Model) MaxTokens() int {
	return m.weights.Tokens - 2 - m.CountTokens(m.weights.Passage)
}

// Verify reads the whole model and says whether it is as it was packed.
func (m *Model) Verify() error { return m.packed.verify() }

// CountTokens is how many tokens a text has, without prefix and ends.
func (m *Model) CountTokens(text string) int {
	s, ok := m.counters.Get().(*counter)
	if !ok {
		s = new(counter)
	}
	defer m.counters.Put(s)
	n := 0
	s.cutting.reset()
	s.chunks.start(text)
	for chunk := s.chunks.next(); len(chunk) > 0; chunk = s.chunks.next() {
		m.weights.tokenizer.feed(&s.cutting, chunk)
		n += len(s.ids)
		s.ids = s.ids[:0]
	}
	m.weights.tokenizer.end(&s.cutting)
	return n + len(s.ids)
}

// Embed turns texts into unit vectors, one a text, in order. The longest go first, on as many lanes as are free.
func (m *Model) Embed(ctx context.Context, purpose rag.Purpose, texts []string) ([][]float32, error) {
	width := m.weights.Width
	all := make([]float32, len(texts)*width)
	out := make([][]float32, len(texts))
	for i := range out {
		out[i] = all[i*width : (i+1)*width : (i+1)*width]
	}
	if len(texts) == 1 {
		if err := m.EmbedInto(ctx, out[0], purpose, texts[0]); err != nil {
			return nil, err
		}
		return out, nil
	}
	order := make([]int, len(texts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(texts[b]), len(texts[a])) })
	var (
		next   atomic.Int64
		wg     sync.WaitGroup
		once   sync.Once
		failed error
	)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for range min(len(texts), runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for j := next.Add(1) - 1; j < int64(len(order)); j = next.Add(1) - 1 {
				i := order[j]
				if err := m.EmbedInto(ctx, out[i], purpose, texts[i]); err != nil {
					once.Do(func() { failed = err })
					stop()
					return
				}
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return nil, failed
	}
	return out, nil
}

// EmbedInto writes the unit vector of a text to dst, which has as many numbers as the model's dimension. It allocates nothing
// once it has seen texts as long.
func (m *Model) EmbedInto(ctx context.Context, dst []float32, purpose rag.Purpose, text string) error {
	if len(dst) != m.weights.Width {
		return fmt.Errorf("room for %d numbers, the model's vectors have %d", len(dst), m.weights.Width)
	}
	s, err := m.lanes.take(ctx, purpose == rag.ForQuestion)
	if err != nil {
		return err
	}
	defer m.lanes.give(s)
	prefix := m.weights.Passage
	if purpose == rag.ForQuestion {
		prefix = m.weights.Question
	}
	clear(dst)
	s.cutting.reset()
	s.chunks.start(prefix)
	m.weights.tokenizer.feed(&s.cutting, s.chunks.next())
	s.chunks.start(text)
	for chunk := s.chunks.next(); len(chunk) > 0; chunk = s.chunks.next() {
		m.weights.tokenizer.feed(&s.cutting, chunk)
		if err := m.windows(ctx, dst, s, false); err != nil {
			return err
		}
	}
	m.weights.tokenizer.end(&s.cutting)
	if err := m.windows(ctx, dst, s, true); err != nil {
		return err
	}
	return unit(dst)
}

// windows embeds the windows that are full, at the end of a text the last one too, and adds them to sum, weighted by their
// tokens: the mean over the whole text but for where attention ends.
func (m *Model) windows(ctx context.Context, sum []float32, s *scratch, last bool) error {
	most := m.weights.Tokens - 2
	done := 0
	for len(s.ids)-done > most || last {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(most, len(s.ids)-done)
		s.window = append(s.window[:0], m.weights.Start)
		s.window = append(s.window, s.ids[done:done+n]...)
		s.window = append(s.window, m.weights.End)
		if err := s.forward(m.weights, m.kernel); err != nil {
			return err
		}
		for i, v := range s.mean {
			sum[i] += float32(v * float32(max(n, 1)))
		}
		done += n
		if done == len(s.ids) {
			break
		}
	}
	s.ids = s.ids[:copy(s.ids, s.ids[done:])]
	return nil
}

var errNoVector = errors.New("the model gives no vector for a text: its file is damaged")

// unit brings v to length 1.
func unit(v []float32) error {
	var sum float64
	for _, x := range v {
		sum += float64(float64(x) * float64(x))
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return errNoVector
	}
	f := float32(1 / math.Sqrt(sum))
	for i := range v {
		v[i] *= f
	}
	return nil
}
