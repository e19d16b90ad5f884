#!/usr/bin/env bash
# Retrieval figures on public collections, as docs/quality.md has them, one row a collection:
#
#   OLLAMA_RAG_EVAL_DATA=DIR scripts/eval.sh [EMBED_MODEL]...   (default: builtin)
#
# DIR holds folders in BEIR's layout; those that are missing are left out and named.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${OLLAMA_RAG_EVAL_DATA:?the folder of the collections is needed}"
bin=${OLLAMA_RAG:-bin/ollama-rag}
[ -x "$bin" ] || make -s build
OLLAMA_RAG_DATA_DIR=$(mktemp -d) && export OLLAMA_RAG_DATA_DIR
trap 'rm -r "$OLLAMA_RAG_DATA_DIR"' EXIT

row() { # row MODEL COLLECTION [QUESTIONS]
  local dir=$OLLAMA_RAG_EVAL_DATA/$2 name=$2
  [ -f "$dir/corpus.jsonl" ] || { echo "| $2 | is not there |"; return; }
  [ $# -lt 3 ] || name="$3 questions on $2"
  { EMBED_MODEL=$1 "$bin" eval --json --beir "$dir" ${3:+--queries "$OLLAMA_RAG_EVAL_DATA/$3"} --method bm25,vector,hybrid
    EMBED_MODEL=$1 "$bin" eval --json --beir "$dir" ${3:+--queries "$OLLAMA_RAG_EVAL_DATA/$3"} --method bm25,vector,hybrid --cut
  } | python3 -c '
import json, sys
text, at, out = sys.stdin.read(), 0, []
while text[at:].strip():
    at += len(text[at:]) - len(text[at:].lstrip())
    report, at = json.JSONDecoder().raw_decode(text, at)
    out.append(report["ndcg_10"])
print("|", sys.argv[1], "|", " | ".join(f"{x:.4f}" for x in out), "|")' "$name"
}

for model in "${@:-builtin}"; do
  printf '\n%s\n\n| collection | BM25 | vectors | hybrid | cut: BM25 | cut: vectors | cut: hybrid |\n|---|---|---|---|---|---|---|\n' "$model"
  for set in scifact cranfield musique-sample claude-docs-100 clapnq-dev xquad/en xquad/vi; do row "$model" "$set"; done
  row "$model" xquad/en xquad/vi
done
