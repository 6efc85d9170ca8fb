#!/usr/bin/env python3
"""Times JPEG to normalized tensor, one thread each: the engine's loader and Pillow + NumPy, interleaved.

    python compare_preprocess.py [--rounds 7] [--bench build/cpu/bin/engine-bench] [PHOTO...]

Without photos, engine-bench's two generated JPEGs: 1920x1280 and 12 megapixels. Writes a table and
JSON to results/<processor>/.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from results import HERE, ROOT, cell, commit, processor, ratios, write


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"compare_preprocess: {command[0]} failed: {done.stderr.strip()}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=7, help="runs of each photo in a round")
    parser.add_argument("--bench", type=pathlib.Path, default=ROOT / "build/cpu/bin/engine-bench")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        photos = options.photos
        if not photos:
            run([options.bench, "preprocess", "--repetitions", 1, "--save", folder])
            photos = sorted(pathlib.Path(folder).iterdir())
        modes = ("exact", "fast")
        times = {(who, photo): [] for who in (*modes, "pillow") for photo in photos}
        sizes = {}
        for turn in range(options.rounds):
            for mode in modes:
                ours = json.loads(run([options.bench, "preprocess", *photos, "--decode", mode, "--repetitions",
                                       options.repeat, "--warmup", 1, "--format", "json"]))
                for photo, measured in zip(photos, ours["measurements"]):
                    times[mode, photo].append(statistics.median(measured["samples_ms"]))
            theirs = json.loads(run([sys.executable, HERE / "peers/preprocess_pillow.py", *photos, "--repeat",
                                     options.repeat]))
            for photo, measured in zip(photos, theirs["photos"]):
                times["pillow", photo].append(measured["total_ms"]["median"])
                sizes[photo] = f"{measured['width']}x{measured['height']}, {measured['bytes'] // 1000} kB"
            print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)

    name, slug = processor()
    lines = ["# JPEG to normalized tensor, one thread", "",
             f"{name} ({slug}), commit {commit()}, {time.strftime('%Y-%m-%d')}; Pillow {theirs['pillow']}, NumPy "
             f"{theirs['numpy']}; {options.rounds} interleaved rounds. ms: median of the rounds (middle half); ratio: "
             "Pillow + NumPy's time over ours, within a round. `exact` gives Pillow's pixels to the byte.", "",
             "| photo | yeoul exact | yeoul fast | Pillow + NumPy | ratio, exact | ratio, fast |",
             "|---" * 6 + "|"]
    for photo in photos:
        pillow = times["pillow", photo]
        cells = [sizes[photo], *(cell(times[mode, photo], 1) for mode in modes), cell(pillow, 1),
                 *(cell(ratios(pillow, times[mode, photo]), 2) for mode in modes)]
        lines.append("| " + " | ".join(cells) + " |")
    table = "\n".join(lines) + "\n"
    print(table)
    write("preprocess", table, json.dumps({
        "processor": name, "commit": commit(), "date": time.strftime("%Y-%m-%d"), "pillow": theirs["pillow"],
        "numpy": theirs["numpy"],
        "ms": {f"{sizes[photo]}, {who}": values for (who, photo), values in times.items()}}, indent=1) + "\n")


if __name__ == "__main__":
    main()
