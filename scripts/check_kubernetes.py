"""Checks manifests by the schemas of Kubernetes and, where they are of the Prometheus operator, by those of its own definitions.

python3 check_kubernetes.py MANIFESTS OPERATOR VERSION   OPERATOR is what `go mod download -json` says of the operator's module
"""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

manifests, operator, version = sys.argv[1:]
yaml.SafeLoader.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_yaml_str)  # a lone "=", which is text
schemas = {}
for path in (pathlib.Path(json.loads(pathlib.Path(operator).read_text())["Dir"]) / "example/prometheus-operator-crd").glob("*.yaml"):
    definition = yaml.safe_load(path.read_text())["spec"]
    for v in definition["versions"]:
        schemas[f"{definition['group']}/{v['name']}", definition["names"]["kind"]] = v["schema"]["openAPIV3Schema"]


def closed(schema):
    """The schema with every object closed: a field that it does not know is dropped by the cluster without a word."""
    if isinstance(schema, dict):
        schema = {k: closed(v) for k, v in schema.items()}
        if schema.get("type") == "object" and schema.get("properties") and "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema["additionalProperties"] = False
        if isinstance(schema.get("pattern"), str):
            schema["pattern"] = schema["pattern"].replace("^(?i)", "(?i)^")  # Go's order of a flag is an error to Python
    elif isinstance(schema, list):
        schema = [closed(v) for v in schema]
    return schema


seen = []
for document in yaml.safe_load_all(pathlib.Path(manifests).read_text()):
    key = document["apiVersion"], document["kind"]
    if key in schemas:
        jsonschema.validate(document, closed(schemas[key]))
    else:
        kubernetes_validate.validate(document, version, strict=True)
    if document["kind"] == "StatefulSet":  # else Kubernetes fills the environment with what looks like settings
        assert document["spec"]["template"]["spec"].get("enableServiceLinks") is False, "enableServiceLinks is not false"
    seen.append(document["kind"])
for kind in ("Service", "StatefulSet", "ServiceMonitor", "PrometheusRule", "ConfigMap"):
    assert kind in seen, f"no {kind} among {seen}"
print("valid:", ", ".join(seen))
