#!/usr/bin/env python3
"""What the server costs when decoding and the forward pass are left out: wrk against serve_no_model.

    python transport.py [--rounds 5] [--seconds 4] [--bin build/cpu/bin]

Needs wrk (Debian has it). Client and server share the cores, so the server's own CPU time per request is given as well: it says what
the server could do with a client elsewhere. Where a rate is asked for, connections pause between requests: without pauses 128 connections
see 128 / rate as their latency, whatever the server does. A pause begins with the reply, so it is a quarter shorter than connections /
rate: the rate is offered as long as replies take no longer than that quarter, and up to a third more when they take no time. Writes every round and a table to results/<processor>/.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from results import ROOT, cell, commit, cpu_seconds, processor, write

HERE = pathlib.Path(__file__).resolve().parent
IMAGE = "image/jpeg"
BASE64 = "/v1/embed?encoding_format=base64"
# name, target, bytes of the body, connections, requests/s that are offered at least (0: as many as the server answers)
CASES = [
    ("1 kB, vector as JSON", "/v1/embed", 1_000, 128, 0),
    ("1 kB, vector as base64", BASE64, 1_000, 128, 0),
    ("100 kB, vector as JSON", "/v1/embed", 100_000, 128, 0),
    ("100 kB, vector as JSON, 5,000/s asked", "/v1/embed", 100_000, 128, 5_000),
    ("100 kB, vector as base64", BASE64, 100_000, 128, 0),
    ("3 MB, vector as JSON", "/v1/embed", 3_000_000, 8, 0),
]


def ask(options, server, url, case, folder):
    _, target, size, connections, asked = case
    pause_ms = int(0.75 * 1e3 * connections / asked) if asked else 0
    body = pathlib.Path(folder) / str(size)
    if not body.exists():
        body.write_bytes(bytes(range(256)) * (size // 256) + bytes(size % 256))
    before = cpu_seconds(server.pid)
    command = ["wrk", "-t", str(options.client_threads), "-c", str(connections), "-d", f"{options.seconds}s", "--timeout", "10s",
               "-s", str(HERE / "serve/wrk.lua"), url, "--", target, str(body), IMAGE, str(pause_ms)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    reply = json.loads(output.splitlines()[-1])
    reply["server_cpu_s"] = round(cpu_seconds(server.pid) - before, 3)
    return reply


def table(values):
    name, slug = processor()
    lines = ["# engine-serve without decoding and forward pass", "",
             f"{name} ({slug}), {os.cpu_count()} cores shared by the client (wrk, {values['client_threads']} thread) and the server "
             f"({values['io_threads']} I/O threads), "
             f"commit {values['commit']}, {values['date']}; {values['rounds']} interleaved rounds of {values['seconds']} s, keep-alive, "
             f"vectors of {values['dim']} values. Median of the rounds (middle half).", "",
             "| body | connections | requests/s | MB/s | p50 ms | p99 ms | server CPU, µs a request | requests/s per core of the server |",
             "|---" * 8 + "|"]
    for name, _, size, connections, _ in CASES:
        rounds = values["samples"][name]
        rate = [r["requests"] / r["seconds"] for r in rounds]
        cpu = [1e6 * r["server_cpu_s"] / r["requests"] for r in rounds]
        lines.append("| " + " | ".join([
            name, str(connections), cell(rate, 0), f"{statistics.median(rate) * size / 1e6:.0f}",
            cell([r["p50_ms"] for r in rounds], 2), cell([r["p99_ms"] for r in rounds], 2), cell(cpu, 0),
            f"{1e6 / statistics.median(cpu):.0f}"]) + " |")
    bad = sum(r["not_200"] + r["socket_errors"] for rounds in values["samples"].values() for r in rounds)
    return "\n".join(lines) + f"\n\nRequests that failed: {bad}.\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--io-threads", type=int, default=2)
    parser.add_argument("--client-threads", type=int, default=1)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/cpu/bin")
    parser.add_argument("--dry", action="store_true", help="print the table and write no file")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("transport: there is no wrk; apt-get install wrk")
    samples = {case[0]: [] for case in CASES}
    server = subprocess.Popen([str(options.bin / "serve_no_model"), "0", str(options.io_threads), str(options.dim)],
                              stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            for turn in range(options.rounds):
                for case in CASES:
                    samples[case[0]].append(ask(options, server, url, case, folder))
    finally:
        server.terminate()
        server.wait()
    values = {"processor": processor()[0], "commit": commit(), "date": time.strftime("%Y-%m-%d"), "rounds": options.rounds,
              "seconds": options.seconds, "io_threads": options.io_threads, "client_threads": options.client_threads,
              "dim": options.dim, "samples": samples}
    print(table(values))
    if not options.dry:
        write("serve-transport", table(values), json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
