#!/usr/bin/env bash
# Checks what is in deploy/ with the tools that judge it: promtool, the schema of compose files, the schemas of Kubernetes and of the
# Prometheus operator over what kustomize makes, systemd-analyze; and runs the program as the image does: nothing else in its root,
# no user's rights. Part of `make test`. What no tool without a container runtime or a cluster can say is said at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

CHECK_JSONSCHEMA=0.39.0 KUBERNETES_VALIDATE=1.37.0 KUBERNETES=1.34
KUSTOMIZE=sigs.k8s.io/kustomize/kustomize/v5@v5.8.1
OPERATOR=github.com/prometheus-operator/prometheus-operator@v0.85.0
EXPOSURE=20 # tenths, of systemd-analyze security: 0 is best, 100 worst
DIR=${OLLAMA_RAG_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ollama-rag-test}/deploy
work=$(mktemp -d)
server=
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
finish() {
  [ -z "$server" ] || $sudo kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  $sudo rm -rf "$work"
}
trap finish EXIT

want="$CHECK_JSONSCHEMA $KUBERNETES_VALIDATE $OPERATOR"
if [ "$(cat "$DIR/versions" 2>/dev/null)" != "$want" ]; then
  rm -rf "$DIR" && mkdir -p "$DIR"
  python3 -m pip install -q --disable-pip-version-check --no-warn-conflicts --root-user-action=ignore --target "$DIR/python" \
    "check-jsonschema==$CHECK_JSONSCHEMA" "kubernetes-validate==$KUBERNETES_VALIDATE"
  printf '%s\n' "$want" >"$DIR/versions"
fi
export PYTHONPATH=$DIR/python PYTHONDONTWRITEBYTECODE=1
check_jsonschema() { python3 -m check_jsonschema -q "$@"; }

echo "every YAML file is one"
python3 - <<'PY'
import pathlib, yaml
for path in sorted(pathlib.Path("deploy").rglob("*.y*ml")):
    list(yaml.safe_load_all(path.read_text()))
PY

echo "compose: the schema of the compose specification"
check_jsonschema --builtin-schema vendor.compose-spec deploy/compose/compose.yaml
python3 scripts/check_mounts.py deploy/compose/compose.yaml

echo "Prometheus: promtool check config, check rules"
promtool check config deploy/prometheus/prometheus.yml >/dev/null
promtool check config --syntax-only deploy/compose/prometheus.yml >/dev/null
promtool check rules --lint=all deploy/prometheus/rules.yml >/dev/null

echo "Kubernetes: what kustomize makes, by the schemas of Kubernetes $KUBERNETES and of the Prometheus operator"
go run "$KUSTOMIZE" build deploy >"$work/all.yaml"
go mod download -json "$OPERATOR" >"$work/operator.json"
python3 scripts/check_kubernetes.py "$work/all.yaml" "$work/operator.json" "$KUBERNETES"

echo "systemd: verify, and at most $EXPOSURE tenths of exposure"
CGO_ENABLED=0 go build -trimpath -o "$work/ollama-rag" ./cmd/ollama-rag
if command -v systemd-analyze >/dev/null; then
  sed "s|/usr/local/bin/ollama-rag|$work/ollama-rag|" deploy/systemd/ollama-rag.service >"$work/ollama-rag.service"
  chmod 755 "$work"
  systemd-analyze verify --man=no "$work/ollama-rag.service"
  systemd-analyze security --offline=true --threshold=$EXPOSURE "$work/ollama-rag.service" >"$work/exposure" || { cat "$work/exposure"; exit 1; }
  tail -1 "$work/exposure"
else
  echo "no systemd-analyze here: not checked"
  [ -z "${REQUIRE_ALL:-}" ] || exit 1
fi

echo "the image's root by hand: the program alone, as user 65532"
root=$work/root
mkdir -p "$root/data" "$root/tmp"
cp "$work/ollama-rag" "$root/"
$sudo chown 65532:65532 "$root/data" "$root/tmp"
chmod 755 "$root" "$root/ollama-rag"
mapfile -t variables < <(sed -n 's/^ENV //p' Dockerfile | tr ' ' '\n')
inside=($sudo env -i "${variables[@]}" OLLAMA_RAG_ADDR=127.0.0.1:0 API_KEYS=read:a-key-for-this-check OLLAMA_BASE_URL=http://127.0.0.1:9
  "$(command -v chroot)" --userspec=65532:65532 "$root" /ollama-rag)
"${inside[@]}" serve 2>"$work/log" &
server=$!
for _ in $(seq 150); do
  ! grep -q "listening on" "$work/log" || break
  kill -0 $server 2>/dev/null || { cat "$work/log"; exit 1; }
  sleep 0.2
done
"${inside[@]}" ready
[ -z "$(find "$root" -newer "$root/ollama-rag" -type f -not -path "$root/data/*" -not -path "$root/tmp/*")" ] || { echo "it wrote outside /data and /tmp"; exit 1; }

echo "Not run here, since that takes a container runtime or a cluster: docker build, docker compose up, kubectl apply, Grafana's import."
