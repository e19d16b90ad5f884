package worth

import (
	"context"
	_ "embed" // for the probes
	"fmt"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// probe is one language's questions and, at the same places, their answers.
type probe struct {
	language           string
	questions, answers []string
}

//go:embed probes.txt
var probesText string

var probes = parse(probesText)

// parse reads blocks of a line with a language and lines of question, tab, answer.
func parse(text string) []probe {
	var all []probe
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		question, answer, both := strings.Cut(line, "\t")
		if !both {
			all = append(all, probe{language: line})
			continue
		}
		p := &all[len(all)-1]
		p.questions, p.answers = append(p.questions, question), append(p.answers, answer)
	}
	return all
}

// Measure asks the embedder for some 240 short vectors and gives its worth for each language of the probes; for all others, the
// mean over the probed languages but English.
func Measure(ctx context.Context, e rag.Embedder) (rag.Worth, error) {
	worth := rag.Worth{}
	var others float64
	for _, p := range probes {
		rank, err := p.rank(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("measure the embedder: %w", err)
		}
		worth[p.language] = fromRank(rank)
		if p.language != "en" {
			others += worth[p.language] / float64(len(probes)-1)
		}
	}
	worth[rag.OtherLanguages] = others
	return worth, nil
}

// rank is the mean reciprocal rank of the questions' own answers among all answers of the language, behind those as near.
func (p probe) rank(ctx context.Context, e rag.Embedder) (float64, error) {
	questions, err := embed(ctx, e, rag.ForQuestion, p.questions)
	if err != nil {
		return 0, err
	}
	answers, err := embed(ctx, e, rag.ForPassage, p.answers)
	if err != nil {
		return 0, err
	}
	var sum float64
	for i, q := range questions {
		own, place := vec.Dot(q, answers[i]), 1
		for j, a := range answers {
			if j != i && vec.Dot(q, a) >= own {
				place++
			}
		}
		sum += 1 / float64(place)
	}
	return sum / float64(len(questions)), nil
}

func embed(ctx context.Context, e rag.Embedder, purpose rag.Purpose, texts []string) ([][]float32, error) {
	vectors, err := e.Embed(ctx, purpose, texts)
	if err == nil && len(vectors) != len(texts) {
		err = fmt.Errorf("%d vectors for %d texts", len(vectors), len(texts))
	}
	return vectors, err
}

// fromRank is the worth of a mean reciprocal rank. By chance it is .26; all-MiniLM-L6-v2, which knows English alone, has .16 to .41
// in the nine other languages and 1 in English; multilingual-e5-small has .68 and more in each.
func fromRank(rank float64) float64 {
	const nothing, everything = .4, .65
	return min(max((rank-nothing)/(everything-nothing), 0), 1)
}
