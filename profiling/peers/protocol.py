"""What the peers share: flags, timing, and a mode in which a driver alternates several of them.

`--serve`: the peer loads once and prints one line of JSON with what it is. Then, for every line
"BATCH ITERATIONS" on stdin, it runs that many forwards and prints one line,
{"batch": 8, "ms": [...], "cpu_ms": [...]} with a whole forward's time each, or {"error": "..."}.
`cpu_ms` is the process's own time on all its threads: with one thread it tells on a busy machine,
too, what `ms` would be on an idle one; with more it counts their waiting in spin loops. It ends with stdin.
A batch size's first request warms up before it is timed. A reply comes 0.1 s after the work, when
thread pools have stopped spinning, so that the next peer of the round has the cores alone.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import sys
import time

QUIET_S = 0.1


def parser(description):
    flags = argparse.ArgumentParser(description=description)
    flags.add_argument("--model", type=pathlib.Path, required=True, help="a Hugging Face directory")
    flags.add_argument("--threads", type=int, default=2)
    flags.add_argument("--batches", default="1,8,32", help="comma-separated")
    flags.add_argument(
        "--rounds", type=int, default=3, help="each round takes every batch size once"
    )
    flags.add_argument(
        "--photos", type=int, default=32, help="at least so many photos per batch size and round"
    )
    flags.add_argument("--warmup", type=int, default=2)
    flags.add_argument("--serve", action="store_true", help="take requests from stdin")
    return flags


def environment():
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in open("/proc/cpuinfo")
            if line.startswith("model name")
        ),
        "",
    )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def pixel_values(batch, size):
    """Seeded values in the range of normalized pixels, float32 (batch, 3, size, size)."""
    import numpy as np

    return (
        np.random.default_rng(batch).uniform(-1.8, 2.1, (batch, 3, size, size)).astype(np.float32)
    )


def run(options, description, prepare):
    """`prepare(batch)` gives a function without arguments that runs one whole forward."""
    ready = {}

    def sample(batch, iterations):
        if batch not in ready:
            ready[batch] = prepare(batch)
            for _ in range(options.warmup):
                ready[batch]()
        wall, cpu = [], []
        for _ in range(iterations):
            start, cpu_start = time.perf_counter(), time.process_time()
            ready[batch]()
            wall.append(round((time.perf_counter() - start) * 1e3, 4))
            cpu.append(round((time.process_time() - cpu_start) * 1e3, 4))
        return wall, cpu

    description = (
        description | environment() | {"threads": options.threads, "peak_rss_mb": peak_rss_mb()}
    )
    if options.serve:
        reply(description | {"ready": True})
        for line in sys.stdin:
            try:
                batch, iterations = (int(word) for word in line.split())
                if batch < 1 or iterations < 1:
                    raise ValueError("both numbers must be positive")
                wall, cpu = sample(batch, iterations)
                answer = {"batch": batch, "ms": wall, "cpu_ms": cpu}
            except ValueError as error:
                answer = {"error": f"{line.strip()!r} is not 'BATCH ITERATIONS': {error}"}
            time.sleep(QUIET_S)
            reply(answer)
        return
    samples = {int(batch): ([], []) for batch in options.batches.split(",")}
    for _ in range(options.rounds):
        for batch, (wall, cpu) in samples.items():
            more_wall, more_cpu = sample(batch, max(1, -(-options.photos // batch)))
            wall += more_wall
            cpu += more_cpu
            time.sleep(QUIET_S)
    results = [
        {
            "batch": batch,
            "ms": wall,
            "cpu_ms": cpu,
            "ms_per_photo_min": min(wall) / batch,
            "ms_per_photo_median": sorted(wall)[len(wall) // 2] / batch,
        }
        for batch, (wall, cpu) in samples.items()
    ]
    reply(description | {"peak_rss_mb": peak_rss_mb(), "results": results})


def peak_rss_mb():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def reply(value):
    print(json.dumps(value), flush=True)
