#!/usr/bin/env bash
# make test: everything that must hold, on a fresh machine with Go, Node, Python and apt-get. It installs what it needs, by
# package name, keeps builds and models in a cache folder, and ends with one line of counts. CI=true or REQUIRE_ALL=1:
# nothing may skip.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
step() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }

step "a real Ollama and its models"
scripts/real-ollama.sh install
OLLAMA_RAG_REAL_OLLAMA=$(scripts/real-ollama.sh path)
export OLLAMA_RAG_REAL_OLLAMA

step "browser"
if ! command -v chromium >/dev/null && command -v apt-get >/dev/null; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi

step "vet and linters"
go vet ./...
go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...
test -z "$(gofmt -l cmd internal)" || { echo "gofmt would change: $(gofmt -l cmd internal)"; exit 1; }

step "the page's modules"
node --test internal/web/test/

step "every platform builds"
for p in linux/arm64 darwin/arm64 windows/amd64; do GOOS=${p%/*} GOARCH=${p#*/} go build -o /dev/null ./cmd/ollama-rag; done

step "fuzzing, ${FUZZTIME:-20s} a target"
FUZZTIME=${FUZZTIME:-20s} scripts/fuzz.sh | grep -vE '^fuzz: elapsed'

step "unit, property and end-to-end tests, race detector on"
set +e
CGO_ENABLED=1 go test -race -timeout 20m -json ./... >"$log"
status=$?
set -e
python3 scripts/counts.py "$log" || status=1
exit $status
