#!/usr/bin/env bash
# Checks deploy/grafana/ollama-rag.json against Grafana's own types: the dashboard, and each panel by its kind. Needs Node.
#
#   scripts/dashboard-types.sh         fetch the types by package name from npm (once; kept in the cache folder), then check
set -euo pipefail
cd "$(dirname "$0")/.."

SCHEMA=13.2.3 TYPESCRIPT=7.0.2
DIR=${OLLAMA_RAG_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ollama-rag-test}/grafana-types

if [ "$(cat "$DIR/versions" 2>/dev/null)" != "$SCHEMA $TYPESCRIPT" ]; then
  rm -rf "$DIR" && mkdir -p "$DIR"
  npm install --silent --no-audit --no-fund --ignore-scripts --save-exact --prefix "$DIR" "@grafana/schema@$SCHEMA" "typescript@$TYPESCRIPT"
  printf '%s\n' "$SCHEMA $TYPESCRIPT" >"$DIR/versions"
fi

work=$(mktemp -d -p "$DIR")
trap 'rm -rf "$work"' EXIT
{ # as a literal, so that a key that Grafana does not know is a fault too
  cat internal/observe/testdata/dashboard-types.ts
  printf 'export const dashboard: Board = '
  cat deploy/grafana/ollama-rag.json
} >"$work/dashboard.ts"
"$DIR/node_modules/.bin/tsc" --noEmit --strict --skipLibCheck --target es2022 --module nodenext --moduleResolution nodenext "$work/dashboard.ts"
echo "$(grep -c '"gridPos"' deploy/grafana/ollama-rag.json) panels and rows are as @grafana/schema $SCHEMA has them"
