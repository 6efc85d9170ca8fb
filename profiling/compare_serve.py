#!/usr/bin/env python3
"""engine-serve beside the services that it replaces, on the same weights, cores, photos and requests, in one run.

    python compare_serve.py --model DIR [--concurrency 1,8,32,128] [--rounds 3] [--seconds 20] [--merge]

All servers are started once and wait. A round asks each of them in turn, in an order that rotates, and the engine alone (engine_rate)
beside them: with as many callers as the servers have, and with all its photos at once. A form holds one of the bundled JPEG photos
of 50 to 200 kB. Before anything is timed every server's vectors are compared. Writes every sample and a table to
results/<processor>/; --merge keeps what an earlier run of the same commit wrote about other concurrencies. Client and servers share
the cores. The peers let requests wait without limit; so does engine-serve
here, by --max-wait-ms 0: by default it refuses photos that would wait over 10 s, which 128 callers of two cores come near.
"""

import argparse
import contextlib
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

from results import HERE, ROOT, OtherWork, cell, commit, processor, ratios, write

sys.path.insert(0, str(HERE / "serve"))
import load  # noqa: E402

QUIET_S = 0.5  # thread pools stop spinning
PEERS = ("fastapi", "fastapi-queue")
ENGINE = ("engine", "engine-at-once")


def photos():
    files = sorted((ROOT / "apps/demo/photos").glob("*.jpg"))
    return [file for file in files if 50_000 <= file.stat().st_size <= 200_000]


class Server:
    """Prints its address on stdout when it is ready."""

    def __init__(self, name, target, command):
        self.name, self.target = name, target
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url.startswith("http://"):
            sys.exit(f"compare_serve: {name} did not start; its message is above")

    def requests(self):
        return [load.post(self.target, load.form(file.read_bytes())) for file in photos()]

    def vector(self, request):
        status, body = load.ask(self.url, request)
        if status != 200:
            sys.exit(f"compare_serve: {self.name} answered {status}: {body[:300]}")
        reply = json.loads(body)
        return (reply["results"][0] if "results" in reply else reply)["embedding"]

    def close(self):
        self.process.terminate()
        self.process.wait()


class EngineAlone:
    """Photos a second without a server; no callers: all photos at once."""

    def __init__(self, options):
        command = [options.bin / "engine_rate", options.model, options.precision, options.threads, *photos()]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.process.stdout.readline() or sys.exit("compare_serve: engine_rate did not start"))

    def per_second(self, count, callers):
        self.process.stdin.write(f"{count} {callers}\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        return reply["photos"] / reply["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def servers(options):
    peer = [sys.executable, HERE / "peers/photo_server.py", "--model", options.model, "--threads", options.threads,
            "--dtype", options.precision]
    return [
        Server("yeoul", "/v1/embed", [options.bin / "engine-serve", "--model", options.model, "--port", 0, "--quiet",
                                      "--threads", options.threads, "--precision", options.precision,
                                      "--max-wait-ms", 0, *options.serve_flags.split()]),
        Server("fastapi", "/embed", [*peer, "--batching", "none"]),
        Server("fastapi-queue", "/embed", [*peer, "--batching", "queue", "--most", options.most]),
    ]


def least_cosine(contenders):
    """Between yeoul's vectors and each peer's."""
    least = 1.0
    for index in range(len(photos())):
        ours, *theirs = (server.vector(server.requests()[index]) for server in contenders)
        for other in theirs:
            dot = sum(a * b for a, b in zip(ours, other))
            least = min(least, dot / math.hypot(*ours) / math.hypot(*other))
    if not least > 0.9999:
        sys.exit(f"compare_serve: the vectors differ: the least cosine is {least}; their times would mean nothing")
    return least


def warm_up(contenders, alone):
    for server in contenders:
        load.closed_loop(server.url, server.requests(), 8, 1)
    alone.per_second(16, 0)


def measure(options, contenders, alone, concurrency):
    """{name: [round, ...]}"""
    rounds = {server.name: [] for server in contenders} | {name: [] for name in ENGINE}
    pids = [one.process.pid for one in (*contenders, alone)]
    for turn in range(options.rounds):
        for server in contenders[turn % len(contenders):] + contenders[:turn % len(contenders)]:
            others = OtherWork(pids)
            found = load.closed_loop(server.url, server.requests(), concurrency, options.seconds)
            rounds[server.name].append(found | {"other_cores": others.cores()})
            time.sleep(QUIET_S)
        for name, callers in zip(ENGINE, (concurrency, 0)):
            others = OtherWork(pids)
            photos_s = alone.per_second(max(options.alone, 2 * concurrency), callers)
            rounds[name].append({"per_second": photos_s, "other_cores": others.cores()})
            time.sleep(QUIET_S)
        rates = ", ".join(f"{name} {rounds[name][-1]['per_second']:.1f} ({rounds[name][-1]['other_cores']})" for name in rounds)
        print(f"concurrency {concurrency}, round {turn + 1} of {options.rounds}: {rates} photos/s", file=sys.stderr)
    return rounds


def median_and_range(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} - {max(values):.1f})"


def beside_peers(rate, ms):
    """Photos/s and milliseconds of yeoul and the peers, and yeoul's share of the better peer's."""
    better = max(PEERS, key=lambda name: statistics.median(rate[name]))
    p99 = {name: load.percentile(ms[name], 0.99) for name in ms}
    return [*(median_and_range(rate[name]) for name in ms),
            *(f"{statistics.median(ms[name]):.0f} / {p99[name]:.0f}" for name in ms),
            cell(ratios(rate["yeoul"], rate[better]), 2), f"{p99['yeoul'] / p99[better]:.2f}"]


def beside_engine(rate, _):
    return [*(median_and_range(rate[name]) for name in ("yeoul", *ENGINE)),
            *(cell(ratios(rate["yeoul"], rate[name]), 2) for name in ENGINE)]


def rows(rounds, heads, cells_of):
    lines = [f"| {' | '.join(['callers', *heads])} |", "|---" * (1 + len(heads)) + "|"]
    for concurrency in sorted(rounds, key=int):
        at = rounds[concurrency]
        rate = {name: [one["per_second"] for one in at[name]] for name in at}
        ms = {name: [t for one in at[name] for t in one["ms"]] for name in ("yeoul", *PEERS)}
        lines.append(f"| {' | '.join([concurrency, *cells_of(rate, ms)])} |")
    return lines


def table(values):
    name, slug = processor()
    rounds = values["rounds"]
    every = [one for at in rounds.values() for all_rounds in at.values() for one in all_rounds]
    failed = sum(one.get("failed", 0) for one in every)
    others = [one["other_cores"] for one in every]
    lines = [
        f"# engine-serve and FastAPI, {values['model']}, {values['precision']}, on a CPU", "",
        f"{name} ({slug}), {values['threads']} threads, commit {values['commit']}, {values['date']}; {values['photos']['count']} "
        f"JPEG photos of {values['photos']['mean_bytes'] / 1e3:.0f} kB on average, one in each form; closed loop, client and "
        "servers on the same cores, no server refuses a photo that would wait long; interleaved rounds. "
        "Photos/s: median of the rounds (least - most); milliseconds: p50 / p99 over all "
        f"rounds together. Vectors agree: least cosine {values['least_cosine']:.7f}. "
        "`fastapi` runs one photo after the other; `fastapi-queue` runs all that waits, "
        f"at most {values['most']}, in one forward pass.", "",
        *rows(rounds, ["yeoul", "fastapi", "fastapi-queue", "ms: yeoul", "fastapi", "fastapi-queue", "yeoul / better peer", "its p99"],
              beside_peers), "",
        "Beside the engine without a server: asked by as many callers, and with all photos from the start (`at once`), so that every "
        "pass can be of its best batch, which no number of callers gives it.", "",
        *rows(rounds, ["yeoul", "engine", "at once", "yeoul / engine", "yeoul / at once"], beside_engine), "",
        f"Requests that failed: {failed}. Cores that other programs kept busy meanwhile: "
        f"{statistics.median(others):.2f} (median), at most {max(others):.2f}."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--name", default="clip-vit-base-patch32", help="of the model, in the results")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--concurrency", type=lambda text: [int(n) for n in text.split(",")], default=[1, 8, 32, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="of new requests, per server and round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", type=int, default=64, help="photos for the engine without a server, per round, at least")
    parser.add_argument("--most", type=int, default=32, help="photos in one forward pass of the queue peer")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/cpu/bin")
    parser.add_argument("--serve-flags", default="", help="more flags for engine-serve")
    parser.add_argument("--merge", action="store_true")
    options = parser.parse_args()

    stem = f"serve-{options.name}-{options.precision}"
    with contextlib.ExitStack() as stack:
        contenders = servers(options)
        alone = EngineAlone(options)
        for one in (*contenders, alone):
            stack.callback(one.close)
        values = {"model": options.name, "precision": options.precision, "processor": processor()[0],
                  "threads": options.threads, "commit": commit(), "date": time.strftime("%Y-%m-%d"), "most": options.most,
                  "serve_flags": options.serve_flags, "engine_batch": alone.about["batch"],
                  "photos": {"count": len(photos()),
                             "mean_bytes": statistics.mean(file.stat().st_size for file in photos())},
                  "least_cosine": least_cosine(contenders), "seconds": options.seconds, "rounds": {}}
        old = HERE / "results" / processor()[1] / f"{stem}.json"
        if options.merge and old.exists() and (before := json.loads(old.read_text()))["commit"] == values["commit"]:
            values["rounds"] = before["rounds"]
        warm_up(contenders, alone)
        for concurrency in options.concurrency:
            values["rounds"][str(concurrency)] = measure(options, contenders, alone, concurrency)
            write(stem, table(values), json.dumps(values, indent=1) + "\n")  # each: a long run may be stopped
    print(table(values))


if __name__ == "__main__":
    main()
