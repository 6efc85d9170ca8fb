#!/usr/bin/env python3
"""Times torch.nn.functional.scaled_dot_product_attention by each of its backends, beside bench_kernels.

    sdpa_gpu.py [--kernels TABLE] [--batches 1,32,128] [--json FILE]

fp16, the heads of CLIP B/32, B/16 and L/14 (50, 197 and 257 tokens), q, k and v as linear layers give
them: (batch, tokens, heads, head_dim), transposed. As in bench_kernels a sample is a graph of several
calls that rotate through more memory than the L2 holds, and rounds interleave all cases. TABLE is what
`bench_kernels --ops attention` printed shortly before: its lines are repeated beside ours.
"""

import argparse
import json
import pathlib
import statistics
import sys

HEADS = {"b32": (50, 12, 64), "b16": (197, 12, 64), "l14": (257, 16, 64)}  # tokens, heads, head_dim
BACKENDS = {"flash": "FLASH_ATTENTION", "efficient": "EFFICIENT_ATTENTION", "cudnn": "CUDNN_ATTENTION", "math": "MATH"}
ROTATED_BYTES = 256 << 20
MOST_PLACES = 64
SAMPLE_US = 3000


class Timed:
    """A graph of some calls of one backend on `inputs` in turn, and the microseconds of one call."""

    def __init__(self, torch, backend, inputs):
        from torch.nn.attention import SDPBackend, sdpa_kernel

        self.torch = torch
        which = getattr(SDPBackend, BACKENDS[backend])

        def run(calls):
            with sdpa_kernel(which):
                for turn in range(calls):
                    y = torch.nn.functional.scaled_dot_product_attention(*inputs[turn % len(inputs)])
            return y

        run(3)
        torch.cuda.synchronize()
        self.capture(run, 1)
        self.calls = max(1, min(400, round(SAMPLE_US / max(1.0, min(self.us() for _ in range(3))))))
        self.capture(run, self.calls)
        self.us()  # warms up

    def capture(self, run, calls):
        torch = self.torch
        self.calls = calls
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = run(calls)  # the graph writes it

    def us(self):
        torch = self.torch
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        self.graph.replay()
        stop.record()
        torch.cuda.synchronize()
        return 1e3 * start.elapsed_time(stop) / self.calls


def make_inputs(torch, batch, tokens, heads, head_dim):
    """[q, k, v] at several places."""
    shape = (batch, tokens, heads, head_dim)
    places = max(1, min(MOST_PLACES, ROTATED_BYTES // (4 * batch * tokens * heads * head_dim * 2)))
    return [[torch.randn(shape, device="cuda", dtype=torch.float16).transpose(1, 2) for _ in range(3)]
            for _ in range(places)]


def kernel_times(text):
    """{(model, batch): (microseconds, kernel)} of bench_kernels' lines of attention."""
    times = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) > 5 and cells[0] == "attention":
            times[cells[1], int(cells[2])] = (float(cells[5]), cells[4])
    return times


def table(samples, ours, notes, about):
    """samples[model, batch, backend]: microseconds of each round."""
    heads = ["model", "tokens", "batch", *BACKENDS, "yeoul", "best / yeoul"]
    lines = ["", "# Attention beside PyTorch", "", about + ".", "",
             "Microseconds of one call in a graph, median of interleaved rounds (half the middle half).", "",
             *[f"* {note}" for note in notes], *([""] if notes else []),
             "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for model, batch in sorted({key[:2] for key in samples}, key=lambda key: (list(HEADS).index(key[0]), key[1])):
        cells, best = [model, str(HEADS[model][0]), str(batch)], None
        for backend in BACKENDS:
            values = samples.get((model, batch, backend))
            if not values:
                cells.append("")
                continue
            middle = statistics.median(values)
            best = middle if best is None else min(best, middle)
            low, _, high = statistics.quantiles(values, n=4, method="inclusive")
            cells.append(f"{middle:.2f} ±{50 * (high - low) / middle:.0f} %")
        mine = ours.get((model, batch))
        cells += [f"{mine[0]:.2f} ({mine[1]})", f"{best / mine[0]:.2f}"] if mine and best else ["", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", type=pathlib.Path, help="the table of bench_kernels")
    parser.add_argument("--batches", default="1,32,128")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    ours = kernel_times(options.kernels.read_text()) if options.kernels else {}
    try:
        import torch
    except ImportError as error:
        print(f"skipped: {error}", file=sys.stderr)
        sys.exit(77)
    if not torch.cuda.is_available():
        sys.exit("sdpa_gpu: PyTorch sees no GPU")
    torch.set_grad_enabled(False)
    notes, timed = [], {}
    for model, shape in HEADS.items():
        for batch in (int(word) for word in options.batches.split(",")):
            inputs = make_inputs(torch, batch, *shape)
            for backend in BACKENDS:
                try:
                    timed[model, batch, backend] = Timed(torch, backend, inputs)
                except Exception as error:  # a backend that does not take it is a finding, not an end
                    notes.append(f"not timed: {backend}, {model}, batch {batch}: {str(error).splitlines()[0][:160]}")
    samples = {key: [] for key in timed}
    for _ in range(options.rounds):
        for key, one in timed.items():
            samples[key].append(one.us())
    about = f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}, fp16, {options.rounds} rounds"
    print(table(samples, ours, notes, about))
    if options.json:
        options.json.write_text(json.dumps({"about": about, "notes": notes, "samples": [
            {"model": key[0], "batch": key[1], "backend": key[2], "us": values} for key, values in samples.items()]}) + "\n")


if __name__ == "__main__":
    main()
