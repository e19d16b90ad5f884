#!/usr/bin/env bash
# make soak: ten minutes of chaos and 100,000 streams through the way to the model servers, under the race detector for the
# chaos. Prints seed and figures; CHAOS_SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/.."
CGO_ENABLED=1 CHAOS_TIME=${CHAOS_TIME:-10m} go test -race -count 1 -timeout 30m -run '^TestChaosLeavesNothingBehind$' -v ./internal/upstream
CGO_ENABLED=0 SOAK_STREAMS=${SOAK_STREAMS:-100000} go test -count 1 -timeout 60m -run '^TestNoPostedStreamIsCut$' -v ./internal/upstream
