#!/usr/bin/env python3
"""Times JPEG to normalized float tensor with Pillow and NumPy on one thread; prints JSON.

    python preprocess_pillow.py photo.jpg ... [--repeat 15] [--size 224]

The steps are those of transformers' CLIPImageProcessor with backend="pil", without its per-call
checks: open, convert("RGB"), bicubic resize to the shortest edge, centre crop, rescale in float64
as it does, normalize in float32, transpose to (3, size, size). Times are milliseconds
of wall clock; `cpu_ms` is what one thread spent, which a busy machine disturbs less.
"""

import argparse
import io
import json
import os
import platform
import statistics
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
import PIL
from PIL import Image, features

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)


def preprocess(encoded, size):
    """The tensor and the seconds at the end of each stage."""
    marks = [time.perf_counter()]
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    marks.append(time.perf_counter())
    width, height = image.size
    short, long = min(width, height), max(width, height)
    long = int(size * long / short)
    image = image.resize((size, long) if width <= height else (long, size), Image.Resampling.BICUBIC)
    marks.append(time.perf_counter())
    width, height = image.size
    left, top = (width - size) // 2, (height - size) // 2
    image = image.crop((left, top, left + size, top + size))
    x = (np.asarray(image).astype(np.float64) * (1 / 255)).astype(np.float32)
    x = np.ascontiguousarray(((x - MEAN) / STD).transpose(2, 0, 1))
    marks.append(time.perf_counter())
    return x, marks


def summary(seconds):
    ms = sorted(1000 * s for s in seconds)
    return {"median": round(statistics.median(ms), 3), "min": round(ms[0], 3)}


def measure(path, size, repeat):
    with open(path, "rb") as file:
        encoded = file.read()
    with Image.open(io.BytesIO(encoded)) as image:
        width, height = image.size
    preprocess(encoded, size)
    runs, cpu = [], []
    for _ in range(repeat):
        start = time.thread_time()
        runs.append(preprocess(encoded, size)[1])
        cpu.append(time.thread_time() - start)
    stages = {
        stage: summary([marks[i + 1] - marks[i] for marks in runs])
        for i, stage in enumerate(("decode", "resize", "normalize"))
    }
    return {
        "file": path,
        "width": width,
        "height": height,
        "bytes": len(encoded),
        "repeat": repeat,
        "stages_ms": stages,
        "total_ms": summary([marks[-1] - marks[0] for marks in runs]),
        "cpu_ms": summary(cpu),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--size", type=int, default=224)
    arguments = parser.parse_args()
    report = {
        "peer": "pillow+numpy",
        "pillow": PIL.__version__,
        "libjpeg_turbo": features.version("libjpeg_turbo"),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "photos": [measure(path, arguments.size, arguments.repeat) for path in arguments.files],
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
