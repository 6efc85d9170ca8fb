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

from results import HERE, ROOT, cell, commit, processor, ratios, write


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
        cells += [cell(samples[c.name, batch], 1) for c in contenders]
        cells += [cell(ratios(samples[c.name, batch], samples["yeoul", batch]), 2) for c in contenders[1:]]
        lines.append("| " + " | ".join(cells) + " |")
    table = "\n".join(lines) + "\n"
    print(table)

    write(f"{options.name}-{options.precision}", table, json.dumps({
        "model": options.name, "precision": options.precision, "processor": name, "threads": options.threads,
        "commit": commit(), "date": time.strftime("%Y-%m-%d"), "contenders": {c.name: c.about for c in contenders},
        "ms": every}, indent=1) + "\n")


if __name__ == "__main__":
    main()
