#!/usr/bin/env python3
"""Tables of `engine-bench serve --format json`, for results/<machine>/serve.md and docs/batching.md.

    python serve_tables.py TITLE=REPORT.json[+MORE.json...] ... > results/<machine>/serve.md
"""

import json
import pathlib
import statistics
import sys

COLUMNS = [
    ("p50 ms", "p50 ms", 0),
    ("p99 ms", "p99 ms", 0),
    ("mean batch", "mean batch", 1),
    ("padding %", "padding %", 0),
    ("device %", "device busy %", 0),
    ("weights MiB", "weights MiB", 1),
    ("allocated MiB", "allocated MiB", 1),
    ("reserved MiB", "reserved MiB", 1),
]


def rates(measurement):
    return [1000 / ms for ms in measurement["samples_ms"]]


def spread(values):
    return f"{min(values):.1f} - {max(values):.1f}" if len(values) > 1 else "one round"


def table(measurements):
    """One row per mode; beside each rate its ratio to `single`."""
    single = [m for m in measurements if m["key"]["mode"] == "single"]
    base = statistics.median(rates(single[0])) if single else None
    titles = ["mode", "photos/s", "least - most", "/ single", *(title for _, title, _ in COLUMNS)]
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    for measurement in measurements:
        rate = statistics.median(rates(measurement))
        values = [f"{measurement['values'][name]:.{digits}f}" for name, _, digits in COLUMNS]
        ratio = f"{rate / base:.2f}" if base else "-"
        cells = [measurement["key"]["mode"], f"{rate:.1f}", spread(rates(measurement)), ratio, *values]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    for word in sys.argv[1:]:
        title, _, names = word.partition("=")
        reports = [json.loads(pathlib.Path(name).read_text()) for name in names.split("+")]
        print(f"### {title}\n")
        loads = {}
        for report in reports:
            for measurement in report["measurements"]:
                loads.setdefault(measurement["key"]["load"], []).append(measurement)
        for load, measurements in loads.items():
            key = measurements[0]["key"]
            print(f"{key['model']}, {key['device']}, {key['precision']}, {key['threads']} threads; {key['photos']}; {load}.\n")
            print(table(measurements) + "\n")
        environment = reports[0]["environment"]
        print(f"{environment['cpu']}, {environment['cores']} cores, commit {environment['commit']}, load before {environment['load']}.\n")


if __name__ == "__main__":
    main()
