package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/embed"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check the installation and say what to do about each fault",
		Long:  "Checks settings, data folder, processor and model server. Exits 1 where something keeps ollama-rag from working.",
		Args:  noArgs,
		RunE:  doctor,
	}
}

// check is one line of the doctor's report. Level is ok, warn or fail.
type check struct {
	Name   string `json:"name"`
	Level  string `json:"level"`
	Detail string `json:"detail"`
}

func doctor(cmd *cobra.Command, _ []string) error {
	checks := []check{{"program", "ok", fmt.Sprintf("ollama-rag %s (%s), %s, %s/%s, vector kernel %s", version(), revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH, vec.Kernel())}}
	c, _, err := settings(cmd)
	if err != nil {
		checks = append(checks, check{"settings", "fail", err.Error()})
		return report(cmd, checks)
	}
	checks = append(checks, check{"settings", "ok", "all settings are sound"})
	_, missing := os.Stat(c.DataDir)
	a, err := connect(cmd)
	if err != nil {
		checks = append(checks, check{"data folder", "fail", err.Error()})
		return report(cmd, checks)
	}
	where := c.DataDir + ", opened here: no server runs"
	if missing != nil {
		where = c.DataDir + ", made just now: a server that runs already has another one, which OLLAMA_RAG_DATA_DIR names"
	}
	if a.base != "http://ollama-rag" {
		where = c.DataDir + ", held by the server at " + a.base
	}
	checks = append(checks, check{"data folder", "ok", where})
	ctx, cancel := context.WithTimeout(cmd.Context(), 20*time.Second)
	defer cancel()
	checks = append(checks, examine(ctx, a, c.EmbedModel)...)
	return errors.Join(report(cmd, checks), a.close())
}

type healthView struct {
	Services struct {
		Ollama struct {
			Healthy bool   `json:"healthy"`
			Error   string `json:"error"`
			Model   string `json:"model"`
			Hosts   []struct {
				Name      string `json:"name"`
				URL       string `json:"url"`
				State     string `json:"state"`
				Reachable bool   `json:"reachable"`
				Failure   string `json:"last_failure"`
				Models    []struct {
					Name    string `json:"name"`
					State   string `json:"state"`
					Failure string `json:"last_failure"`
				} `json:"models"`
			} `json:"hosts"`
		} `json:"ollama"`
		Database struct {
			Healthy        bool `json:"healthy"`
			KnowledgeBases int  `json:"knowledge_bases"`
			Documents      int  `json:"documents"`
			Passages       int  `json:"passages"`
		} `json:"database"`
	} `json:"services"`
}

func examine(ctx context.Context, a *api, embedModel string) []check {
	var h healthView
	if err := a.get(ctx, "GET", "/health", nil, &h); err != nil {
		return []check{{"server", "fail", err.Error()}}
	}
	db := h.Services.Database
	checks := []check{{"store", level(db.Healthy, "fail"), fmt.Sprintf("%d knowledge bases, %d documents, %d passages", db.KnowledgeBases, db.Documents, db.Passages)}}
	o := h.Services.Ollama
	for _, host := range o.Hosts {
		state := check{"breaker " + host.Name, level(host.State != "open", "warn"), host.State + ", " + host.URL}
		if state.Level != "ok" && host.Reachable {
			state.Detail += after(host.Failure)
		}
		checks = append(checks, state)
		if !host.Reachable {
			checks = append(checks, check{"host " + host.Name, "warn", "could not be reached at " + host.URL + after(host.Failure)})
		}
		for _, m := range host.Models {
			if m.State == "open" {
				checks = append(checks, check{"breaker " + host.Name + "#" + m.Name, "warn", m.Name + " keeps failing there and is left in peace for now: see the log of its Ollama" + after(m.Failure)})
			}
		}
	}
	if isLocal(embedModel) {
		checks = append(checks, localCheck(embedModel))
	}
	if !o.Healthy {
		return append(checks, check{"model server", "warn", o.Error + "; until then answers quote the passages themselves"})
	}
	checks = append(checks, check{"model server", "ok", "answers"})
	if o.Model == "" {
		checks = append(checks, check{"chat model", "warn", o.Error})
	} else {
		checks = append(checks, check{"chat model", "ok", o.Model})
	}
	if isLocal(embedModel) {
		return checks
	}
	return append(checks, embedCheck(ctx, a, embedModel))
}

// after adds what a host or a model failed with last.
func after(failure string) string {
	if failure == "" {
		return ""
	}
	return " (last failure: " + failure + ")"
}

// localCheck reads the whole of an embedder that runs inside this program.
func localCheck(name string) (c check) {
	const title = "embedding model"
	if name == embed.Builtin && !embed.HasBuiltin {
		return check{title, "warn", "this program was built without one: passages are found by their words alone; set EMBED_MODEL to a packed file or a model on Ollama"}
	}
	var l locals
	m, id, err := l.get(name)
	if err != nil {
		return check{title, "fail", err.Error()}
	}
	defer func() {
		if err := l.close(); err != nil {
			c = check{title, "fail", err.Error()}
		}
	}()
	if err := m.Verify(); err != nil {
		return check{title, "fail", err.Error()}
	}
	return check{title, "ok", fmt.Sprintf("%s: %s, %d dimensions, kernel %s, checksum %.12s as packed", name, m.Identity().Name, id.Dimension, m.Kernel(), id.Digest)}
}

// embedCheck looks for an embedding model on Ollama.
func embedCheck(ctx context.Context, a *api, name string) check {
	var list struct {
		Models []struct {
			Name string `json:"name"`
		} `json:"models"`
	}
	if err := a.get(ctx, "GET", "/api/models", nil, &list); err != nil {
		return check{"embedding model", "warn", err.Error()}
	}
	for _, m := range list.Models {
		if m.Name == name || strings.TrimSuffix(m.Name, ":latest") == name {
			return check{"embedding model", "ok", m.Name}
		}
	}
	return check{"embedding model", "warn", fmt.Sprintf("%s is not there: passages are found by their words alone until `ollama pull %s`", name, name)}
}

func level(ok bool, otherwise string) string {
	if ok {
		return "ok"
	}
	return otherwise
}

func report(cmd *cobra.Command, checks []check) error {
	failed := slices.ContainsFunc(checks, func(c check) bool { return c.Level == "fail" })
	if wantJSON(cmd) {
		if err := printJSON(checks); err != nil {
			return err
		}
	} else {
		for _, c := range checks {
			fmt.Printf("%-4s  %-22s %s\n", c.Level, c.Name, c.Detail)
		}
	}
	if failed {
		return errSaid
	}
	return nil
}
