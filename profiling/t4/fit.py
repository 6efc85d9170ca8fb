#!/usr/bin/env python3
"""Fits the constants of timing.py to FasterTransformer's ViT-B/16 times and freezes them.

    fit.py           prints the fit and its errors on what was held out
    fit.py --write   and freezes it in constants.json
    fit.py --check   fails when constants.json is not what the fit gives

Four times determine about three numbers (a slope, an offset and batch 1), so each constant is drawn
to a prior, stated below; the table says how far it moved. What is held out decides how much to
believe: it is printed beside every prediction.
"""

import argparse
import json
import math
import sys

import anchors
import timing

SIGMA = 0.02  # of the published times, relative

# name: (prior, its spread as a factor, lowest, highest, where the prior comes from); spread 1: fixed.
PRIORS = {
    "gap_us": (2.5, 2.0, 0.5, 20.0, "2 to 4 us between small kernels of a stream, when its host is fast"),
    "graph_gap_us": (1.5, 1.0, 1.5, 1.5, "fixed, an estimate: 1 to 1.5 us between dependent nodes of a graph; FasterTransformer uses none"),
    "gemm_efficiency": (0.8, 1.1, 0.4, 1.0, "an estimate: products by CUTLASS and cuBLAS reach 75 to 90 % of an SM's issue rate"),
    "lone_efficiency": (0.55, 1.0, 0.55, 0.55, "fixed, an estimate: without cp.async one block of 8 warps does not hide its loads; the fit does not see it"),
    "attention_efficiency": (0.4, 1.4, 0.1, 0.8, "an estimate; at long sequences 66 % was published for a Turing kernel"),
    "bandwidth_share": (0.749, 1.05, 0.6, 0.95, "bandwidthTest, device to device on a T4: 239.6 of 320 GB/s"),
    "sustained_tflops": (25.0, 1.0, 25.0, 25.0, "fixed: 24 to 25 TFLOP/s of fp16 products at 70 W, NVIDIA's forum and FasterTransformer"),
    "l2_gb_s": (1270.0, 1.0, 1270.0, 1270.0, "fixed, recalled from a microbenchmark of 2019 and not verified; below 2 % of any prediction"),
}


def constants_of(values):
    return timing.Constants(**values)


def loss(values):
    constants = constants_of(values)
    sum_ = 0.0
    for anchor in anchors.ANCHORS:
        if anchor.use == "fit":
            sum_ += (math.log(anchors.predicted_ms(constants, anchor) / anchor.ms) / SIGMA) ** 2
    for name, (prior, spread, *_rest) in PRIORS.items():
        if spread > 1:
            sum_ += (math.log(values[name] / prior) / math.log(spread)) ** 2
    return sum_


def fit():
    """A pattern search in the logarithm of each constant: the loss has kinks, so no gradients."""
    values = {name: prior for name, (prior, *_rest) in PRIORS.items()}
    step, best = 0.2, loss(values)
    while step > 1e-5:
        moved = False
        for name, (_prior, spread, low, high, _why) in PRIORS.items():
            if spread == 1:
                continue
            for factor in (math.exp(step), math.exp(-step)):
                trial = values | {name: min(max(values[name] * factor, low), high)}
                if (value := loss(trial)) < best - 1e-12:
                    values, best, moved = trial, value, True
        if not moved:
            step /= 2
    return values


def errors(constants, use):
    """Relative: predicted / published - 1."""
    return [(a, anchors.predicted_ms(constants, a)) for a in anchors.ANCHORS if a.use == use]


def held_out_range(constants):
    """Lowest and highest relative error on the transformers that were held out."""
    off = [ms / a.ms - 1 for a, ms in errors(constants, "held out") if a.workload[0] == "vit"]
    return min(off), max(off)


def calibration(constants):
    lines = ["| published | batch | ms | model, ms | error | |", "|---|---|---|---|---|---|"]
    for use in ("fit", "held out"):
        for anchor, ms in errors(constants, use):
            note = use + (f"; {anchor.note}" if anchor.note else "")
            lines.append(f"| {anchor.name} | {anchor.batch} | {anchor.ms:g} | {ms:.2f} | {100 * (ms / anchor.ms - 1):+.1f} % | {note} |")
    return "\n".join(lines) + "\n"


def stored(values):
    return {
        "what": "Constants of profiling/t4/timing.py, frozen. Made by profiling/t4/fit.py --write; not measured on our kernels.",
        "fitted_to": [f"{a.name}, batch {a.batch}: {a.ms} ms" for a in anchors.ANCHORS if a.use == "fit"],
        "source": "FasterTransformer docs/vit_guide.md, fp16 on a T4, CUDA 11.4, 1,590 MHz",
        "constants": {name: {"value": float(f"{values[name]:.4g}"), "prior": prior,
                             "kind": "fitted" if spread > 1 else "fixed", "provenance": why}
                      for name, (prior, spread, _low, _high, why) in PRIORS.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    values = fit()
    if options.write:
        timing.CONSTANTS.write_text(json.dumps(stored(values), indent=1) + "\n")
    for name, (prior, spread, *_rest) in PRIORS.items():
        print(f"{name:22s} {values[name]:9.4g}   prior {prior:g}{'' if spread > 1 else ', fixed'}")
    print(calibration(constants_of(values)))
    if options.check:
        frozen = timing.read_constants()
        for name, value in values.items():
            if abs(getattr(frozen, name) / value - 1) > 1e-3:
                sys.exit(f"fit: constants.json has {name} = {getattr(frozen, name)}, the fit gives {value:.4g}: "
                         "fit.py --write, and look at what it does to the held-out errors")


if __name__ == "__main__":
    main()
