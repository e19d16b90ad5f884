#!/usr/bin/env python3
"""make bench-embed: our embedder by kernel, ONNX Runtime and a real Ollama, interleaved, on the same texts.

Every round asks every contender once, in turn, so that what else the machine does hits all alike; figures are medians over
rounds. One core: texts one by one; two cores: the same texts as one batch. Prints a Markdown table.
"""
import argparse, json, os, pathlib, random, statistics, subprocess, sys, time, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = "cell small grow lab two days other part change food water house river stone paper light music train night road".split()
HZ = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_of(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / HZ


def rss_of(pids):
    return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * PAGE


def children(pid):
    out = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            out += children(int(child))
    return out


class Worker:
    """A contender that is a process speaking lines."""

    def __init__(self, name, command, cores, texts=16):
        self.name, self.texts = name, texts
        self.process = subprocess.Popen(["taskset", "-c", ",".join(map(str, range(cores))), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def pids(self):
        return [self.process.pid]

    def embed(self, texts):
        self.process.stdin.write(json.dumps(texts) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended")
        return json.loads(line)


class Ollama:
    """A real Ollama over HTTP, as its clients use it."""

    def __init__(self, url, pid, cores):
        self.name, self.texts, self.url, self.pid, self.cores = "Ollama", 16, url, pid, cores

    def pids(self):
        return children(self.pid)

    def post(self, texts):
        body = json.dumps({"model": "all-minilm", "input": texts, "options": {"num_thread": self.cores}}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + "/api/embed", body, {"Content-Type": "application/json"})) as r:
            r.read()

    def embed(self, texts):
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                try:
                    os.sched_setaffinity(int(task.name), range(self.cores))
                except ProcessLookupError:
                    pass
        start = time.perf_counter()
        for batch in ([[t] for t in texts] if self.cores == 1 else [texts]):
            self.post(batch)
        return {"seconds": time.perf_counter() - start}


def texts_of(tokenizer, tokens, n, seed):
    """n texts of so many tokens each, ends included."""
    rng = random.Random(seed)
    out = []
    while len(out) < n:
        words = [rng.choice(WORDS) for _ in range(tokens - 2)]
        text = " ".join(words)
        if len(tokenizer.encode(text).ids) == tokens:
            out.append(text)
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--worker", required=True), p.add_argument("--minilm", required=True), p.add_argument("--onnx", required=True)
    p.add_argument("--tokenizer", required=True), p.add_argument("--kernels", required=True), p.add_argument("--python", default=sys.executable)
    p.add_argument("--ollama"), p.add_argument("--ollama-pid", type=int), p.add_argument("--rounds", type=int, default=7)
    a = p.parse_args()
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(a.tokenizer)
    tokenizer.no_padding()
    tokenizer.enable_truncation(512)
    for cores in (1, 2):
        contenders = [Worker(f"ours, {k}", [a.worker, "file:" + a.minilm, k, str(cores)], cores, 4 if k == "go" else 16) for k in a.kernels.split(",")]
        best = a.kernels.split(",")[0]
        contenders.append(Worker(f"ours, e5-small, {best}", [a.worker, "builtin", best, str(cores)], cores))
        contenders.append(Worker("ONNX Runtime int8", [a.python, str(ROOT / "scripts/bench/onnx_worker.py"), a.onnx, a.tokenizer, str(cores)], cores))
        if a.ollama:
            contenders.append(Ollama(a.ollama, a.ollama_pid, cores))
        print(f"\n{cores} core{'s' * (cores > 1)}: ms a text (CPU ms a text)\n\n| | 14 tokens | 64 | 128 | 256 | resident | allocations a text |\n|---|---|---|---|---|---|---|")
        rows = {c.name: [] for c in contenders}
        allocations = {}
        for tokens in (14, 64, 128, 256):
            took, cpu = {c.name: [] for c in contenders}, {c.name: [] for c in contenders}
            for round in range(-2, a.rounds):  # two to warm up
                for c in contenders:
                    texts = texts_of(tokenizer, tokens, c.texts, 1000 * tokens + round)
                    before = cpu_of(c.pids())
                    result = c.embed(texts)
                    if round >= 0:
                        took[c.name].append(1e3 * result["seconds"] / len(texts))
                        cpu[c.name].append(1e3 * (cpu_of(c.pids()) - before) / len(texts))
                        if "allocations" in result:
                            allocations.setdefault(c.name, []).append(result["allocations"])
            for c in contenders:
                # CPU time comes in ticks of 10 ms: the mean over rounds, not the median.
                rows[c.name].append((statistics.median(took[c.name]), statistics.mean(cpu[c.name])))
        for c in contenders:
            cells = " | ".join(f"{t:.2f} ({u:.1f})" for t, u in rows[c.name])
            made = f"{statistics.median(allocations[c.name]):.1f}" if c.name in allocations else ""
            print(f"| {c.name} | {cells} | {rss_of(c.pids()) / 1e6:.0f} MB | {made} |")
        ours = rows[contenders[0].name]
        for c in contenders[1:]:
            print(f"| {c.name} / {contenders[0].name} | " + " | ".join(f"{t / o:.2f}" for (t, _), (o, _) in zip(rows[c.name], ours)) + " | | |")
        sys.stdout.flush()
        for c in contenders:
            if isinstance(c, Worker):
                c.process.stdin.close()
                c.process.wait()


main()
