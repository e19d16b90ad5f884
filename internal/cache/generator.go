package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"iter"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Generator answers a prompt that was answered before, by the same model with the same settings, from what is kept, and asks the
// model otherwise. What it gives from memory says so: Chunk.Cached.
type Generator struct {
	rag.Generator
	Calls   *Calls
	Sampled bool   // answers that chance decided are kept too
	Server  string // stands for the digest where the provider knows none; empty: such models are asked each time
}

// Generate implements rag.Generator.
func (g Generator) Generate(ctx context.Context, p rag.Prompt) iter.Seq2[rag.Chunk, error] {
	if p.NoRecall && p.NoRemember || p.Digest == "" && g.Server == "" || !g.Sampled && !rag.Repeatable(p.Temperature, p.Seed) {
		return g.Generator.Generate(ctx, p)
	}
	return func(yield func(rag.Chunk, error) bool) {
		key := g.keyOf(p)
		if !p.NoRecall {
			if data, _, _, ok := g.Calls.Recall(key, p.MaxAge); ok {
				var whole rag.Chunk
				if json.Unmarshal(data, &whole) == nil {
					whole.Cached = true
					yield(whole, nil)
					return
				}
			}
		}
		var text strings.Builder
		for chunk, err := range g.Generator.Generate(ctx, p) {
			text.WriteString(chunk.Text)
			// Kept before it is given: a reader may stop at the last chunk.
			if err == nil && chunk.Done && chunk.DoneReason == "stop" && ctx.Err() == nil && !p.NoRemember && strings.TrimSpace(text.String()) != "" {
				whole := chunk
				whole.Text = text.String()
				if data, err := json.Marshal(whole); err == nil {
					g.Calls.Remember(rag.KeptCall{Key: key, DB: p.DB, Change: p.Change, Passages: p.Passages, Data: data})
				}
			}
			if !yield(chunk, err) {
				return
			}
		}
	}
}

func (g Generator) keyOf(p rag.Prompt) string {
	p.DB, p.Change, p.Passages, p.NoRecall, p.NoRemember, p.MaxAge, p.Class = "", 0, nil, false, false, 0, 0
	data, _ := json.Marshal(struct { // plain values: encoding cannot fail
		Server string
		Prompt rag.Prompt
	}{g.Server, p})
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
