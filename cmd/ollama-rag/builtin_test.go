package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/config"
	"github.com/ollama-rag/ollama-rag/internal/embed"
)

// nobody is an address where no model server listens.
const nobody = "http://127.0.0.1:1"

var manual = []string{
	"rent.md", "# Lease\n\nThe rent is due on the third working day of each month.\n",
	"pump.md", "# Pump\n\nChange the oil of the water pump every two thousand hours.\n",
	"leave.md", "# Holidays\n\nEvery employee has thirty days of paid leave a year.\n",
	"guests.md", "# Visitors\n\nVisitors sign in at the front desk and wear a badge.\n",
}

func (h *testHouse) first(question string) string {
	h.t.Helper()
	body, _ := json.Marshal(map[string]any{"query": question})
	r := h.send("POST", "/api/search", string(body))
	var found struct {
		Results []struct {
			Source string `json:"source"`
		} `json:"results"`
		Method string `json:"method"`
	}
	if err := json.Unmarshal(r.body, &found); err != nil || r.status != http.StatusOK || len(found.Results) == 0 || found.Method != "hybrid" {
		h.t.Fatalf("search %q: %d %v %s", question, r.status, err, r.body)
	}
	return found.Results[0].Source
}

func TestQuestionsFindPassagesInOtherLanguagesWithNoModelServer(t *testing.T) {
	if !embed.HasBuiltin {
		t.Skip("built with nomodel")
	}
	h := open(t, nobody)
	if r := h.upload("", manual...); r.status != http.StatusOK {
		t.Fatalf("upload: %d %s", r.status, r.body)
	}
	for question, want := range map[string]string{
		"Khi nào phải trả tiền thuê nhà?":              "rent.md",
		"Wie oft braucht die Wasserpumpe frisches Öl?": "pump.md",
		"Combien de congés payés par an ?":             "leave.md",
		"来访者要在哪里登记?":                                   "guests.md",
		"When do I have to pay my landlord?":           "rent.md",
	} {
		if got := h.first(question); got != want {
			t.Errorf("%s: %s comes first, not %s", question, got, want)
		}
	}
	// The sentence that answers is quoted, wherever it stands.
	if r := h.upload("", "house.md", "# House\n\nThe stairs are cleaned on Mondays. The bins stand in the yard. Late rent costs two percent a month. The gate closes at ten.\n"); r.status != http.StatusOK {
		t.Fatalf("upload: %d %s", r.status, r.body)
	}
	if text, _ := h.ask("Trả tiền thuê nhà muộn thì bị phạt bao nhiêu phần trăm?", nil)["answer"].(string); !strings.Contains(text, "Late rent costs two percent a month.") {
		t.Errorf("quoted: %s", text)
	}
	a := h.ask("Khi nào phải trả tiền thuê nhà?", nil)
	if text, _ := a["answer"].(string); !strings.Contains(text, "third working day") || a["degraded"] != true {
		t.Errorf("answer %v", a)
	}
}

func TestIngestWithTheBuiltinSendsNothingToAModelServer(t *testing.T) {
	if !embed.HasBuiltin {
		t.Skip("built with nomodel")
	}
	stub, h := scripted(t, "EMBED_MODEL=builtin")
	h.upload("", manual...)
	h.first("When is the rent due?")
	if n := stub.Total(); n != 0 {
		t.Errorf("the model server was asked %d times", n)
	}
}

func (h *testHouse) embedder() (name string, vectors int) {
	h.t.Helper()
	r := h.send("GET", "/api/dbs", "")
	var list struct {
		Details []struct {
			Name     string
			Vectors  int
			Embedder struct{ Name string }
		}
		Databases []struct {
			Name     string
			Vectors  int
			Embedder struct{ Name string }
		}
	}
	if err := json.Unmarshal(r.body, &list); err != nil {
		h.t.Fatal(err)
	}
	for _, b := range append(list.Details, list.Databases...) {
		if b.Name == "default" {
			return b.Embedder.Name, b.Vectors
		}
	}
	h.t.Fatalf("no default knowledge base in %s", r.body)
	return "", 0
}

func TestAKnowledgeBaseStaysOnItsEmbedderUntilItIsReindexed(t *testing.T) {
	if !embed.HasBuiltin {
		t.Skip("built with nomodel")
	}
	dir := t.TempDir()
	stub, h := scripted(t, "OLLAMA_RAG_DATA_DIR="+dir)
	h.withDocs()
	h.closeNow()
	h = open(t, stub.URL, "OLLAMA_RAG_DATA_DIR="+dir)
	h.upload("", manual...)
	if name, vectors := h.embedder(); !strings.HasPrefix(name, "all-minilm") || vectors < 6 {
		t.Errorf("after EMBED_MODEL changed: embedder %s, %d vectors", name, vectors)
	}
	r := h.send("POST", "/api/dbs/default/reindex", "")
	job, _ := r.json(t)["job"].(string)
	if r.status != http.StatusAccepted || job == "" {
		t.Fatalf("reindex: %d %s", r.status, r.body)
	}
	if _, err := h.ingest.Wait(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if name, vectors := h.embedder(); name != "builtin" || vectors < 6 {
		t.Errorf("re-indexed: embedder %s, %d vectors", name, vectors)
	}
	if got := h.first("Khi nào phải trả tiền thuê nhà?"); got != "rent.md" && got != "rent.txt" {
		t.Errorf("%s comes first", got)
	}
	if r := h.send("POST", "/api/dbs/nothing/reindex", ""); r.status != http.StatusNotFound {
		t.Errorf("reindex of no knowledge base: %d %s", r.status, r.body)
	}
}

func TestPassagesWithoutVectorsTakeTheBuiltinByThemselves(t *testing.T) {
	if !embed.HasBuiltin {
		t.Skip("built with nomodel")
	}
	dir := t.TempDir()
	h := open(t, nobody, "OLLAMA_RAG_DATA_DIR="+dir, "EMBED_MODEL=never-pulled")
	h.upload("", manual...)
	if name, vectors := h.embedder(); name != "" || vectors != 0 {
		t.Fatalf("embedder %q, %d vectors", name, vectors)
	}
	h.closeNow()
	h = open(t, nobody, "OLLAMA_RAG_DATA_DIR="+dir)
	deadline := time.Now().Add(20 * time.Second)
	for {
		if name, vectors := h.embedder(); name == "builtin" && vectors == 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no vectors after 20 s")
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	if got := h.first("Khi nào phải trả tiền thuê nhà?"); got != "rent.md" {
		t.Errorf("%s comes first", got)
	}
}

func TestAPackedModelServesFromItsFile(t *testing.T) {
	folder := os.Getenv("OLLAMA_RAG_MINILM")
	if folder == "" {
		t.Skip("OLLAMA_RAG_MINILM names the folder of all-MiniLM-L6-v2; scripts/embed-models.sh fetches it")
	}
	file := filepath.Join(t.TempDir(), "minilm.bin")
	if out, err := command(t, t.TempDir(), nil, "model", "pack", folder, file, "--name", "minilm").CombinedOutput(); err != nil || !strings.Contains(string(out), "384 numbers") {
		t.Fatalf("pack: %v %s", err, out)
	}
	dir := t.TempDir()
	h := open(t, nobody, "OLLAMA_RAG_DATA_DIR="+dir, "EMBED_MODEL=file:"+file)
	h.upload("", manual...)
	if name, vectors := h.embedder(); name != "file:"+file || vectors != 4 {
		t.Errorf("embedder %s, %d vectors", name, vectors)
	}
	if got := h.first("When do I have to pay my landlord?"); got != "rent.md" {
		t.Errorf("%s comes first", got)
	}
	h.closeNow()
	// The file may move: what is in it counts.
	moved := filepath.Join(t.TempDir(), "moved.bin")
	if err := os.Rename(file, moved); err != nil {
		t.Fatal(err)
	}
	h = open(t, nobody, "OLLAMA_RAG_DATA_DIR="+dir, "EMBED_MODEL=file:"+moved)
	if got := h.first("When do I have to pay my landlord?"); got != "rent.md" {
		t.Errorf("after the move %s comes first", got)
	}
}

func TestAModelFileThatCannotBeUsedStopsTheStartWithASentence(t *testing.T) {
	foreign := filepath.Join(t.TempDir(), "foreign.bin")
	if err := os.WriteFile(foreign, []byte(strings.Repeat("GGUF", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{foreign: "packed", filepath.Join(t.TempDir(), "none.bin"): "no such file"} {
		c, _, err := config.Load(config.Source{Environ: []string{"OLLAMA_RAG_DATA_DIR=" + t.TempDir(), "EMBED_MODEL=file:" + path}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = openHouse(context.Background(), c, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "EMBED_MODEL") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestDoctorNamesKernelAndChecksumOfTheEmbedder(t *testing.T) {
	if !embed.HasBuiltin {
		t.Skip("built with nomodel")
	}
	out, err := command(t, t.TempDir(), []string{"OLLAMA_BASE_URL=" + nobody}, "doctor").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "kernel "+embed.Kernel()) || !strings.Contains(string(out), "checksum") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheEmbedderOfAnOlderKnowledgeBaseIsMeasuredAtItsFirstQuestion(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	kb, err := h.store.KnowledgeBase(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	if h.worths.of(t.Context(), kb.Embedder) == nil {
		t.Error("ingest did not measure")
	}
	id := kb.Embedder
	id.Name, id.Dimension = "", 0
	if err := h.store.SetSetting(t.Context(), settingOf(id), ""); err != nil { // as if it had been built before there were measures
		t.Fatal(err)
	}
	h.worths.known, h.worths.failed = nil, nil
	h.first("When is the rent due?")
	h.worths.busy.Wait()
	if h.worths.of(t.Context(), kb.Embedder) == nil {
		t.Error("the question did not measure")
	}
}
