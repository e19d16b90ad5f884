#!/usr/bin/env bash
# The official clients of Ollama and OpenAI, for the tests of the gateway.
#
#   scripts/clients.sh install   fetch them by package name from PyPI and npm (once; kept in the cache folder)
#   scripts/clients.sh path      print the folder: python/ is for PYTHONPATH, node_modules/ for Node
set -euo pipefail

OLLAMA_PY=0.6.3 OPENAI_PY=3.57.0
OLLAMA_JS=0.6.4 OPENAI_JS=6.49.0
DIR=${OLLAMA_RAG_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ollama-rag-test}/clients

case ${1:-} in
install)
  want="$OLLAMA_PY $OPENAI_PY $OLLAMA_JS $OPENAI_JS"
  [ "$(cat "$DIR/versions" 2>/dev/null)" != "$want" ] || exit 0
  rm -rf "$DIR" && mkdir -p "$DIR"
  # Not every Debian has ensurepip for venv; pip can install into a folder just as well.
  python3 -m pip install -q --disable-pip-version-check --no-warn-conflicts --root-user-action=ignore --target "$DIR/python" "ollama==$OLLAMA_PY" "openai==$OPENAI_PY"
  npm install --silent --no-audit --no-fund --ignore-scripts --save-exact --prefix "$DIR" "ollama@$OLLAMA_JS" "openai@$OPENAI_JS"
  printf '%s\n' "$want" >"$DIR/versions"
  ;;
path) printf '%s\n' "$DIR" ;;
*)
  sed -n '2,5s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac
