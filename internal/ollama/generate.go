package ollama

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// Generate streams the model's answer to p. It ends with a chunk that is Done, or with an error: a stream that breaks
// off, or ends without its final message, is a fault of kind BadUpstream. A consumer that stops stops the model. What a
// reasoning model thinks before it answers is not part of the answer.
func (c *Client) Generate(ctx context.Context, p rag.Prompt) iter.Seq2[rag.Chunk, error] {
	ctx = rag.WithCall(ctx, rag.Call{Model: p.Model, Class: p.Class})
	return func(yield func(rag.Chunk, error) bool) {
		resp, err := c.do(ctx, http.MethodPost, "/api/chat", p.Model, c.chatRequest(p))
		if err != nil {
			yield(rag.Chunk{}, err)
			return
		}
		defer resp.Body.Close()
		lines := wire.NewLineReader(resp.Body, wire.MaxLineBytes)
		for {
			chunk, err := nextChunk(ctx, lines, p.Model)
			if err != nil {
				yield(rag.Chunk{}, err)
				return
			}
			if chunk.Text == "" && !chunk.Done {
				continue
			}
			if !yield(chunk, nil) || chunk.Done {
				return
			}
		}
	}
}

func (c *Client) chatRequest(p rag.Prompt) wire.ChatRequest {
	stream := true
	temperature := p.Temperature
	req := wire.ChatRequest{
		Model: p.Model, Stream: &stream, Messages: make([]wire.Message, len(p.Messages)),
		Options: &wire.Options{
			NumCtx: p.NumCtx, NumPredict: p.MaxTokens, Temperature: &temperature, Seed: p.Seed,
			NumThread: c.opts.NumThread, NumGPU: c.opts.NumGPU,
		},
	}
	for i, m := range p.Messages {
		req.Messages[i] = wire.Message{Role: m.Role, Content: m.Content}
	}
	return req
}

// nextChunk reads one line of the stream.
func nextChunk(ctx context.Context, lines *wire.LineReader, model string) (rag.Chunk, error) {
	line, err := lines.Next()
	switch {
	case errors.Is(err, io.EOF):
		return rag.Chunk{}, rag.Errorf(rag.BadUpstream, "",
			"%s stopped without finishing its answer, as Ollama does when a model repeats itself", model)
	case errors.Is(err, wire.ErrLineTooLong):
		return rag.Chunk{}, rag.Errorf(rag.BadUpstream, "", "Ollama sent a line of more than %d MiB", wire.MaxLineBytes>>20).
			Because(err)
	case err != nil:
		return rag.Chunk{}, streamError(ctx, err)
	}
	var frame wire.ChatResponse
	if err := json.Unmarshal(line, &frame); err != nil {
		return rag.Chunk{}, rag.Errorf(rag.BadUpstream, "", "Ollama broke off in the middle of a line").Because(err)
	}
	if frame.Error != "" {
		return rag.Chunk{}, rag.Errorf(rag.BadUpstream, "", "%s failed in the middle of its answer: %s", model, frame.Error)
	}
	chunk := rag.Chunk{Text: frame.Message.Content, Done: frame.Done}
	if frame.Done {
		chunk.DoneReason, chunk.Usage = frame.DoneReason, usage(frame.Metrics)
	}
	return chunk, nil
}

// streamError is transportError for an answer that had begun: the server was there.
func streamError(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*rag.Error](err); ok || ctx.Err() != nil {
		return transportError(ctx, err)
	}
	return rag.Errorf(rag.BadUpstream, "", "Ollama broke off in the middle of its answer").Because(err)
}

func usage(m wire.Metrics) rag.Usage {
	seconds := func(d time.Duration) float64 { return d.Seconds() }
	return rag.Usage{
		InputTokens: m.PromptEvalCount, OutputTokens: m.EvalCount,
		LoadSeconds: seconds(m.LoadDuration), PromptSeconds: seconds(m.PromptEvalDuration),
		OutputSeconds: seconds(m.EvalDuration), TotalSeconds: seconds(m.TotalDuration),
	}
}
