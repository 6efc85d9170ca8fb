#!/usr/bin/env python3
"""Times CLIP's image tower on a GPU in PyTorch, in turns with the engine, in one run.

    torch_gpu.py --arch clip-vit-base-patch32 --batches 1,8,32 [--variants eager,sdpa] [--bench ENGINE_BENCH]

Random fp16 weights of the model's shapes; inputs lie on the device. Variants: eager (attention by
matmul and softmax), sdpa, sdpa-graph (one CUDA graph), compile, compile-graphs (reduce-overhead),
max-autotune. The engine takes part twice, as it is and on the path of a T4, by `engine-bench model
--stdin` in processes of its own that wait while others work; its time is that of the pass on the
device, without the copies before and after.

Each round asks every contender for every batch, in an order that rotates; a variant that does not
work, or for whose compilation no time is left, is named in the table. Prints a table, writes JSON.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

SHAPES = {  # dim, hidden_dim, layers, heads, patch, out
    "clip-vit-base-patch32": (768, 3072, 12, 12, 32, 512),
    "clip-vit-base-patch16": (768, 3072, 12, 12, 16, 512),
    "clip-vit-large-patch14": (1024, 4096, 24, 16, 14, 768),
}
T4_PATH = {"CUDA_FORCE_PTX_JIT": "1", "YEOUL_CUDA_SM": "75"}


def make_tower(torch, arch, attention):
    import transformers

    dim, hidden_dim, layers, heads, patch, out = SHAPES[arch]
    config = transformers.CLIPVisionConfig(
        hidden_size=dim, intermediate_size=hidden_dim, num_hidden_layers=layers, num_attention_heads=heads,
        patch_size=patch, projection_dim=out, image_size=224, attn_implementation=attention)
    torch.manual_seed(1)
    model = transformers.CLIPVisionModelWithProjection(config).eval().to("cuda", torch.float16)
    return lambda pixels: model(pixel_values=pixels).image_embeds


class Torch:
    """One variant. `prepare` compiles for a batch; `ms` times some passes, each between two events."""

    def __init__(self, torch, arch, variant):
        self.torch, self.name, self.ready = torch, f"pytorch {variant}", {}
        self.variant, self.kept = variant, []
        tower = make_tower(torch, arch, "eager" if variant == "eager" else "sdpa")
        mode = {"compile": "default", "compile-graphs": "reduce-overhead", "max-autotune": "max-autotune"}.get(variant)
        self.compiled = mode is not None
        self.tower = torch.compile(tower, mode=mode, dynamic=False) if mode else tower

    def prepare(self, batch):
        torch = self.torch
        pixels = torch.rand(batch, 3, 224, 224, device="cuda", dtype=torch.float16) * 4 - 2
        for _ in range(3):
            self.tower(pixels)
        torch.cuda.synchronize()
        if self.variant != "sdpa-graph":
            self.ready[batch] = lambda: self.tower(pixels)
            return
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.kept.append((pixels, self.tower(pixels)))  # the graph reads and writes them
        self.ready[batch] = graph.replay

    def ms(self, batch, times):
        torch, call = self.torch, self.ready[batch]
        events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(times)]
        call()
        for start, stop in events:
            start.record()
            call()
            stop.record()
        torch.cuda.synchronize()
        return [start.elapsed_time(stop) for start, stop in events]

    def close(self):
        pass


class Engine:
    """engine-bench in a process of its own."""

    compiled = False

    def __init__(self, name, bench, arch, batches, environment):
        self.name, self.ready, self.key = name, {}, "compute_ms"
        self.process = subprocess.Popen(
            [bench, "model", "--arch", arch, "--device", "cuda", "--precisions", "fp16",
             "--batches", ",".join(map(str, batches)), "--stdin"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
        if not self.process.stdout.readline():
            raise RuntimeError(f"{bench} ended with {self.process.wait()}; its message is above")

    def prepare(self, batch):
        self.ready[batch] = True

    def ms(self, batch, times):
        self.process.stdin.write(f"{batch} {times}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()}")
        return json.loads(line)[self.key]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def numbers(text):
    return [int(word) for word in text.split(",")]


def cell(values, batch):
    if not values:
        return ""
    spread = ""
    if len(values) > 2:
        low, _middle, high = statistics.quantiles(values, n=4, method="inclusive")
        spread = f" ±{50 * (high - low) / statistics.median(values):.0f} %"
    return f"{statistics.median(values):.3f} ({batch / statistics.median(values) * 1e3:.0f}/s{spread})"


def table(arch, about, names, batches, rounds, notes):
    """rounds[name][batch]: the median of each round, ms."""
    ours = [name for name in names if name.startswith("yeoul")]
    peers = [name for name in names if not name.startswith("yeoul")]
    heads = ["batch", *names, *[f"{peer} / {our}" for our in ours for peer in peers]]
    lines = [f"# {arch}, fp16, beside PyTorch", "", ", ".join(f"{k} {v}" for k, v in about.items()) + ".",
             "ms of a whole forward on the device: median of interleaved rounds (photos/s, half the middle half). "
             "Ratios: a peer's time over ours, within a round.", "", *[f"* {note}" for note in notes], *([""] if notes else []),
             "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for batch in batches:
        cells = [str(batch)] + [cell(rounds[name].get(batch), batch) for name in names]
        for our in ours:
            for peer in peers:
                pairs = list(zip(rounds[peer].get(batch) or [], rounds[our].get(batch) or []))
                cells.append(f"{statistics.median(a / b for a, b in pairs):.2f}" if pairs else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=SHAPES, required=True)
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--variants", default="eager,sdpa")
    parser.add_argument("--compile-batches", help="for compiled variants; default: all")
    parser.add_argument("--bench", type=pathlib.Path, help="engine-bench; without it only PyTorch is timed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=420, help="end within them")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    begin = time.monotonic()
    batches = numbers(options.batches)
    compile_batches = numbers(options.compile_batches) if options.compile_batches else batches

    try:
        import torch
        import transformers
    except ImportError as error:
        print(f"skipped: {error}", file=sys.stderr)
        sys.exit(77)
    if not torch.cuda.is_available():
        sys.exit("torch_gpu: PyTorch sees no GPU")
    torch.set_grad_enabled(False)
    torch._dynamo.config.cache_size_limit = 64  # a compilation for each batch
    notes, contenders = [], []
    if options.bench:
        bench = options.bench.resolve()
        for name, environment in (("yeoul", {}), ("yeoul, T4 path", T4_PATH)):
            try:
                contenders.append(Engine(name, bench, options.arch, batches, environment))
            except (OSError, RuntimeError) as error:
                notes.append(f"not timed: {name}: {error}")
    for variant in options.variants.split(","):
        contenders.append(Torch(torch, options.arch, variant))

    work, longest = [], 0  # (contender, batch); seconds that a compilation took so far
    for contender in contenders:
        for batch in compile_batches if contender.compiled else batches:
            start = time.monotonic()
            if contender.compiled and start + longest > begin + 0.6 * options.seconds:
                notes.append(f"not timed: {contender.name}, batch {batch}: no time left to compile it")
                continue
            try:
                contender.prepare(batch)
                contender.ms(batch, 1)
                work.append((contender, batch))
            except Exception as error:  # a peer that fails is a finding, not an end
                notes.append(f"not timed: {contender.name}, batch {batch}: {str(error).splitlines()[0][:200]}")
            if contender.compiled:
                longest = max(longest, time.monotonic() - start)
    about = {"GPU": torch.cuda.get_device_name(), "PyTorch": torch.__version__, "transformers": transformers.__version__,
             "CUDA": torch.version.cuda, "rounds": options.rounds}
    rounds = {contender.name: {} for contender in contenders}
    samples = []

    def keep():
        if options.json:
            options.json.write_text(json.dumps({"arch": options.arch, "about": about, "notes": notes, "samples": samples}) + "\n")

    begin_rounds = time.monotonic()
    for turn in range(options.rounds):
        took = time.monotonic() - begin_rounds
        if turn and time.monotonic() - begin + took / turn > options.seconds:
            notes.append(f"{turn} of {options.rounds} rounds: no time for more")
            break
        for batch in batches:
            here = [contender for contender, at in work if at == batch]
            here = here[turn % len(here):] + here[:turn % len(here)] if here else []
            for contender in here:
                values = contender.ms(batch, max(3, min(50, 256 // batch)))
                rounds[contender.name].setdefault(batch, []).append(statistics.median(values))
                samples.append({"contender": contender.name, "batch": batch, "round": turn, "ms": values})
        keep()  # a round that is cut off does not take the others with it
    keep()
    for contender in contenders:
        contender.close()
    print(table(options.arch, about, [c.name for c in contenders], batches, rounds, notes))


if __name__ == "__main__":
    main()
