#!/usr/bin/env python3
"""What the kernels should do on a T4: resources, waves, and predicted times. No GPU is involved.

    report.py [--geometry PROGRAM] [--output DIR]

With t4_geometry the launches are the launchers' own; without it, or for a model whose ops are not
all written, they are assumed (one launch for each op, the tile of a tuned library), and the report
says so. Writes README.md, kernels.md, ops.tsv and calibration.md to --output.
"""

import argparse
import math
import pathlib
import subprocess
import sys

import fit
import models
import ptxas
import sm75
import timing

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def commit():
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"],
                          capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


class Resources:
    """What ptxas said, looked up by the name of a launch."""

    def __init__(self, kernels):
        self.kernels = {kernel.name: kernel for kernel in kernels}

    def occupancy(self, launch):
        kernel = self.kernels.get(launch["kernel"])
        if not kernel:
            return None
        return sm75.occupancy(math.prod(launch["block"]), kernel.registers, kernel.shared + launch["shared"])


def kernel_table(kernels, launches):
    """One row for each kernel and way it is launched."""
    ways = {}
    for launch in launches:
        ways.setdefault(launch["kernel"], set()).add((math.prod(launch["block"]), launch["shared"]))
    limits = ptxas.read_limits((HERE / "limits.txt").read_text())
    rows = ["| kernel | registers | shared, static + dynamic | spills | threads | blocks/SM | warps/SM | occupancy | bound by |",
            "|---|---|---|---|---|---|---|---|---|"]
    for kernel in kernels:
        stated = {(limit.threads, limit.dynamic) for limit in limits if limit.matches(kernel.name)}
        for threads, dynamic in sorted(ways.get(kernel.name) or stated or {(kernel.threads or 256, 0)}):
            fit_ = sm75.occupancy(threads, kernel.registers, kernel.shared + dynamic)
            rows.append(f"| `{kernel.name}` | {kernel.registers} | {kernel.shared} + {dynamic} | "
                        f"{kernel.spill_stores + kernel.spill_loads} | {threads} | {fit_.blocks} | {fit_.warps} | "
                        f"{100 * fit_.share:.0f} % | {fit_.bound} |")
    unlaunched = sorted({kernel.name.split("<")[0] for kernel in kernels}
                        - {launch["kernel"].split("<")[0] for launch in launches})
    unused = sorted({kernel.name for kernel in kernels if kernel.name.split("<")[0] not in unlaunched}
                    - {launch["kernel"] for launch in launches})
    notes = ["", "Only the forward passes of the three image towers are predicted. Registers and occupancy alone, and no waves, bytes or "
                 "time, are said of", "",
             "* kernels that those passes do not launch: " + ", ".join(f"`{name}`" for name in unlaunched),
             "* other instances of those that they do: " + ", ".join(f"`{name}`" for name in unused)]
    return "\n".join(rows + notes) + "\n"


OPS_HEADER = ("model batch op count kernel grid block shared blocks_per_sm waves last_wave_fill busiest_sm_blocks flop "
              "bytes cold_us capped_us hmma_share").split()


def op_rows(constants, resources, name, batch, ops):
    """Cells of OPS_HEADER for each launch of each op; the op's own numbers on its first launch."""
    for op in ops:
        cost = timing.op_cost(constants, op, batch)
        numbers = [f"{cost.flop:.4g}", f"{cost.bytes:.4g}", f"{cost.cold_s * 1e6:.1f}", f"{cost.capped_s * 1e6:.1f}",
                   f"{cost.hmma_share:.2f}"]
        for launch in op.get("launches") or [None]:
            if launch:
                held = resources.occupancy(launch)
                blocks = math.prod(launch["grid"])
                wave = sm75.waves(blocks, held.blocks if held else 1)
                place = [launch["kernel"], "x".join(map(str, launch["grid"])), str(math.prod(launch["block"])),
                         str(launch["shared"]), str(held.blocks) if held else "?",
                         str(wave.waves) if held else "?", f"{wave.last_fill:.2f}" if held else "?", str(wave.busiest)]
            elif op["op"] == "linear":
                tile, split = timing.best_plan(constants, batch * op["rows"], op["out"], op["in"])
                blocks = math.ceil(batch * op["rows"] / tile[0]) * math.ceil(op["out"] / tile[1]) * split
                wave = sm75.waves(blocks, 2)
                place = [f"assumed {tile[0]}x{tile[1]} split {split}", str(blocks), "?", "?", "2?", str(wave.waves),
                         f"{wave.last_fill:.2f}", str(wave.busiest)]
            else:
                place = ["assumed"] + ["?"] * 7
            yield [name, str(batch), models.describe(op), str(op["count"]), *place, *numbers]
            numbers = [""] * 5


def model_table(graph, stream, name, by_batch, gflop_of, low, high):
    rows = [f"### {name}", "",
            "| batch | launches | cold, ms | photos/s | HMMA share | capped, ms | photos/s | capped if off as the held-out ones |",
            "|---|---|---|---|---|---|---|---|"]
    for batch, ops in sorted(by_batch.items()):
        near = timing.total([(op["count"], timing.op_cost(graph, op, batch)) for op in ops])
        far = timing.total([(op["count"], timing.op_cost(stream, op, batch)) for op in ops])
        gflop_of[name] = near.flop / batch / 1e9
        cold = f"{near.cold_s * 1e3:.2f}"
        if far.cold_s > 1.1 * near.cold_s:
            cold += f" to {far.cold_s * 1e3:.2f}"
        capped = near.capped_s
        rows.append(f"| {batch} | {near.launches} | {cold} | {batch / near.cold_s:.0f} | {100 * near.hmma_share:.0f} % | "
                    f"{capped * 1e3:.2f} | {batch / capped:.0f} | {batch * (1 + low) / capped:.0f} to "
                    f"{batch * (1 + high) / capped:.0f} photos/s |")
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--geometry", type=pathlib.Path, help="the t4_geometry program")
    parser.add_argument("--output", type=pathlib.Path, default=HERE.parent / "results/t4-predicted")
    parser.add_argument("--ops-of", default="1,8,32,64", help="batches whose ops are printed; ops.tsv has all")
    options = parser.parse_args()

    stream = timing.read_constants()  # the gap as fitted: kernels launched one by one
    graph = timing.read_constants()
    graph.gap_us = stream.graph_gap_us
    nvcc = ptxas.find_nvcc()
    kernels = ptxas.kernels(nvcc) if nvcc else []
    resources = Resources(kernels)

    notes, passes, launches = [], {}, []
    for name in models.MODELS:
        found = None
        if options.geometry and options.geometry.exists():
            found, why = models.recorded_ops(options.geometry, name, models.BATCHES)
            if not found:
                notes.append(f"{name}: launches assumed, its ops are not all there: {why}")
        else:
            notes.append(f"{name}: launches assumed, t4_geometry is not built")
        passes[name] = found or {batch: models.assumed_ops(name) for batch in models.BATCHES}
        launches += [launch for ops in passes[name].values() for op in ops for launch in op.get("launches") or []]
    unknown = sorted({launch["kernel"] for launch in launches} - set(resources.kernels)) if nvcc else []
    if unknown:
        notes.append("launched, and unknown to ptxas by that name: " + ", ".join(unknown))
    if not nvcc:
        notes.append("no nvcc: registers, shared memory and occupancy are missing")

    off = fit.held_out_range(stream)
    # predicted = published (1 + e): the rate that comes true is the predicted one times (1 + e)
    low, high = off
    gflop = {}
    tables = [model_table(graph, stream, name, passes[name], gflop, low, high) for name in passes]
    lines = ["# Predictions for an NVIDIA T4", "",
             "**Nothing here was measured.** Times follow from launches, ptxas and a time model "
             "(`profiling/t4/timing.py`) whose constants were fitted to published numbers of FasterTransformer "
             f"(`profiling/t4/constants.json`). On transformers that the fit did not see it was off by "
             f"{100 * low:+.0f} to {100 * high:+.0f} % (`calibration.md`); the last column of each table shows what that means.", "",
             f"Commit {commit()}, {'nvcc ' + nvcc_version(nvcc) if nvcc else 'no nvcc'}. `make t4-report` writes it anew.", "",
             *[f"* {note}" for note in notes], *([""] if notes else []),
             "cold: 1,590 MHz, a request now and then; waves bind. From a graph (gaps of "
             f"{graph.gap_us:g} us, an estimate) to launched one by one ({stream.gap_us:g} us, as fitted to FasterTransformer; "
             "shown where it matters). capped: steady load at 70 W, 25 TFLOP/s of products; energy binds. HMMA share: of the "
             "cold time, if the issued products were spread evenly over 40 SMs at 512 FMA a clock.", "", *tables]
    text = "\n".join(lines)
    ops_lines = ["\t".join(OPS_HEADER)]
    printed = {int(batch) for batch in options.ops_of.split(",")}
    shown = ["| " + " | ".join(OPS_HEADER) + " |", "|---" * len(OPS_HEADER) + "|"]
    for name, by_batch in passes.items():
        for batch, ops in sorted(by_batch.items()):
            for row in op_rows(graph, resources, name, batch, ops):
                ops_lines.append("\t".join(row))
                if batch in printed:
                    shown.append("| " + " | ".join(row) + " |")
    calibration = ("# How far the time model is off\n\nPredictions beside published times; the constants saw only what is "
                   "marked `fit`.\n\n" + fit.calibration(stream)
                   + "\nResNet-50 behind Triton's client is not predicted: the client's transfers of fp32 pixels dominate it.\n")
    resources_text = ("# Kernels on sm_75, by ptxas\n\n" + kernel_table(kernels, launches)) if nvcc else ""

    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "README.md").write_text(text)
    (options.output / "ops.tsv").write_text("\n".join(ops_lines) + "\n")
    (options.output / "calibration.md").write_text(calibration)
    if resources_text:
        (options.output / "kernels.md").write_text(resources_text)
    print("\n".join([resources_text, text, "\n".join(shown), "", calibration]))
    print(f"written to {options.output}", file=sys.stderr)


def nvcc_version(nvcc):
    text = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout
    return next((word.strip(",") for line in text.splitlines() if "release" in line
                 for word in line.split("release ")[1].split()[:1]), "of unknown version")


if __name__ == "__main__":
    main()
