"""Reads `go test -json`, prints what failed and what skipped, and a closing line of counts."""
import json
import os
import sys

outcome, output = {}, {}
packages_failed = []
for line in open(sys.argv[1], encoding="utf-8"):
    try:
        e = json.loads(line)
    except ValueError:
        print(line, end="")
        continue
    key = (e.get("Package"), e.get("Test"))
    if e["Action"] in ("output", "build-output"):
        output.setdefault(key, []).append(e["Output"])
    elif e["Action"] in ("pass", "fail", "skip"):
        if e.get("Test"):
            outcome[key] = e["Action"]
        elif e["Action"] == "fail":
            packages_failed.append(e["Package"])

for key, action in outcome.items():
    if action == "fail":
        print("--- FAIL:", *key)
        print("".join(output.get(key, []))[-6000:])
for package in packages_failed:
    if not any(k[0] == package and a == "fail" for k, a in outcome.items()):
        print("--- FAIL:", package)
        print("".join(t for k, o in output.items() if k[0] == package for t in o)[-6000:])
for key, action in outcome.items():
    if action == "skip":
        print("--- SKIP:", *key, "".join(output.get(key, [])).strip().splitlines()[-2:-1])

count = {a: sum(v == a for v in outcome.values()) for a in ("pass", "fail", "skip")}
failed = max(count["fail"], len(packages_failed))
print(f"\n{count['pass']} passed, {failed} failed, {count['skip']} skipped")
strict = os.environ.get("REQUIRE_ALL") == "1"
if strict and count["skip"]:
    print("tests were skipped where nothing may skip", file=sys.stderr)
sys.exit(1 if failed or (strict and count["skip"]) else 0)
