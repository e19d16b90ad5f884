"""Says which files and folders a compose file mounts from the project that are not there."""

import pathlib
import re
import sys

import yaml

path = pathlib.Path(sys.argv[1])
missing = []
for name, service in yaml.safe_load(path.read_text())["services"].items():
    for volume in service.get("volumes", []):
        source = re.sub(r"\$\{[A-Z]+:-([^}]*)\}", r"\1", volume).split(":")[0]
        if source.startswith(".") and not (path.parent / source).exists():
            missing.append(f"{name} mounts {source}")
    if "build" in service and not (path.parent / service["build"]["context"] / "Dockerfile").exists():
        missing.append(f"{name} has no Dockerfile in {service['build']['context']}")
sys.exit("; ".join(missing) or 0)
