#!/usr/bin/env python3
"""Times the engine and its peers on the same weights and the same cores, interleaved, in one run.

    python compare.py --model DIR [--precision fp32|bf16] [--rounds 7] [--bench build/cpu/bin/engine-bench]

All processes are loaded once and wait; each round asks each of them, one after another and in an
order that rotates, for some forwards of each batch size. Writes JSON with every sample and a table
to results/<processor>/. Ratios are medians of the ratios within a round, so a slow minute counts for
all; the spread is the middle half of the rounds.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


class Contender:
    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.about = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"compare: {self.name} ended; its message is above")
        return json.loads(line)

    def milliseconds(self, batch, iterations):
        """Of whole forwards."""
        self.process.stdin.write(f"{batch} {iterations}\n")
        self.process.stdin.flush()
        reply = self.read()
        if "error" in reply:
            sys.exit(f"compare: {self.name}: {reply['error']}")
        return reply.get("ms") or reply["wall_ms"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
    flags = next(line for line in open("/proc/cpuinfo") if line.startswith("flags"))
    isa = "avx512-bf16" if "avx512_bf16" in flags else "avx512" if "avx512f" in flags else "avx2"
    return name, f"{name.lower().replace(' ', '-')}-{isa}"


def commit():
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    dirty = subprocess.run(["git", "-C", ROOT, "status", "--porcelain", "--", "kernels", "engine", "loader"],
                           capture_output=True, text=True)
    return head.stdout.strip() + (" + changes" if dirty.stdout else "")


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--photos", type=int, default=32, help="at least so many per batch size and round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bench", type=pathlib.Path, default=ROOT / "build/cpu/bin/engine-bench")
    parser.add_argument("--name", default="clip-vit-base-patch32", help="of the result files")
    options = parser.parse_args()
    batches = [int(batch) for batch in options.batches.split(",")]

    common = ["--model", options.model, "--threads", options.threads, "--serve"]
    contenders = [
        Contender("yeoul", [options.bench, "model", "--model", options.model, "--precisions", options.precision,
                            "--batches", options.batches, "--threads", options.threads, "--stdin"]),
        Contender("pytorch", [sys.executable, HERE / "peers/clip_transformers.py", *common,
                              "--dtype", options.precision]),
    ]
    if options.precision == "fp32":
        for fusion in ("session", "transformers"):
            contenders.append(Contender(f"onnxruntime-{fusion}", [
                sys.executable, HERE / "peers/clip_onnxruntime.py", *common, "--fusion", fusion]))

    samples = {(c.name, batch): [] for c in contenders for batch in batches}  # a round's best, ms a photo
    every = {f"{c.name} {batch}": [] for c in contenders for batch in batches}
    for batch in batches:  # warm up
        for contender in contenders:
            contender.milliseconds(batch, 1)
    for turn in range(options.rounds):
        for batch in batches:
            order = contenders[turn % len(contenders):] + contenders[:turn % len(contenders)]
            for contender in order:
                times = contender.milliseconds(batch, max(1, options.photos // batch))
                every[f"{contender.name} {batch}"] += times
                samples[contender.name, batch].append(statistics.median(times) / batch)
                time.sleep(0.2)  # thread pools stop spinning
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    for contender in contenders:
        contender.close()

    name, slug = processor()
    lines = [f"# {options.name}, {options.precision}, on a CPU", "",
             f"{name} ({slug}), {options.threads} threads, commit {commit()}, {time.strftime('%Y-%m-%d')}; "
             f"{options.rounds} interleaved rounds. ms a photo: median of the rounds (middle half); "
             "ratio: a peer's time over ours, within a round.", "",
             "| batch | " + " | ".join(c.name for c in contenders) + " | "
             + " | ".join(f"{c.name} / yeoul" for c in contenders[1:]) + " |",
             "|---" * (2 * len(contenders)) + "|"]
    for batch in batches:
        cells = [str(batch)]
        for contender in contenders:
            low, middle, high = quartiles(samples[contender.name, batch])
            cells.append(f"{middle:.1f} ({low:.1f} - {high:.1f})")
        for contender in contenders[1:]:
            ratios = [theirs / ours for theirs, ours in
                      zip(samples[contender.name, batch], samples["yeoul", batch])]
            low, middle, high = quartiles(ratios)
            cells.append(f"{middle:.2f} ({low:.2f} - {high:.2f})")
        lines.append("| " + " | ".join(cells) + " |")
    table = "\n".join(lines) + "\n"
    print(table)

    folder = HERE / "results" / slug
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{options.name}-{options.precision}"
    stem.with_suffix(".md").write_text(table)
    stem.with_suffix(".json").write_text(json.dumps({
        "model": options.name, "precision": options.precision, "processor": name, "threads": options.threads,
        "commit": commit(), "date": time.strftime("%Y-%m-%d"), "contenders": {c.name: c.about for c in contenders},
        "ms": every}, indent=1) + "\n")


if __name__ == "__main__":
    main()
