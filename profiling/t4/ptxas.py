#!/usr/bin/env python3
"""Registers, shared memory and spills of every kernel, from ptxas, and its vector accesses; the gate over them.

    ptxas.py                 a table for sm_75
    ptxas.py --check         fails when a kernel spills or leaves the terms of limits.txt; 77 without nvcc
    ptxas.py --suggest       the lines of limits.txt that the kernels would meet today
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import sm75

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SKIPPED = 77


@dataclasses.dataclass
class Kernel:
    file: str
    name: str  # without namespaces: "linear_kernel<128, 96>"
    registers: int = 0
    shared: int = 0  # static
    stack: int = 0
    spill_stores: int = 0
    spill_loads: int = 0
    threads: int = 0  # of __launch_bounds__; 0 when it has none
    vectors: int = 0  # instructions that load or store 16 bytes of global memory at a time


def find_nvcc():
    for place in (os.environ.get("NVCC"), shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc"):
        if place and pathlib.Path(place).exists():
            return place
    return None


def plain_name(demangled):
    """`yeoul::cuda::(anonymous namespace)::f<(int)128>(half const*)` to `f<128>`."""
    text = re.sub(r"\(anonymous namespace\)::|_GLOBAL__N_\w*::|<unnamed>::", "", demangled)
    depth, end = 0, len(text)
    for at, letter in enumerate(text):  # cut the parameters
        depth += (letter == "<") - (letter == ">" and text[at - 1] != "-")
        if letter == "(" and depth == 0:
            end = at
            break
    text = re.sub(r"^\w+ (?=[\w:]+[<:])|^void ", "", text[:end])
    text = re.sub(r"\((?:int|unsigned int|bool|size_t|unsigned long)\)", "", text)
    text = re.sub(r"(?<=\d)[uU]?[lL]*(?=[,>])", "", text)
    text = re.sub(r"\b(?:\w+::)+", "", text)
    return re.sub(r"\s*,\s*", ", ", text).replace(" >", ">").strip()


def demangle(names):
    if not names:
        return []
    tool = shutil.which("c++filt") or shutil.which("cu++filt")
    if not tool:
        return list(names)
    text = subprocess.run([tool], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return text.splitlines()


def vector_accesses(body):
    """Of a kernel's PTX: what ptxas makes 128 bits wide; narrower ones it never joins."""
    return len(re.findall(r"\b(?:ld|st)\.global[\w.:]*\.(?:v4\.[busf]32|v2\.[busf]64)\b", body))


def parse(log, ptx, file):
    """The kernels of one file, from `ptxas -v` and, for launch bounds and vector accesses, its PTX."""
    found = {}
    current = None
    for line in log.splitlines():
        if match := re.search(r"Compiling entry function '(\w+)'", line):
            current = found.setdefault(match[1], Kernel(file, match[1]))
        elif re.search(r"Function properties for (\w+)", line):
            match = re.search(r"Function properties for (\w+)", line)
            current = found.get(match[1])  # None for a function that was not inlined
        elif current and (match := re.search(
                r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)):
            current.stack, current.spill_stores, current.spill_loads = map(int, match.groups())
        elif current and (match := re.search(r"Used (\d+) registers", line)):
            current.registers = int(match[1])
            shared = re.search(r"(\d+)(?:\+\d+)? bytes smem", line)
            current.shared = int(shared[1]) if shared else 0
    for match in re.finditer(r"\.entry\s+(\w+)\((.*?)\)\s*((?:\.\w+[^{]*?)?)\{", ptx, re.DOTALL):
        bounds = re.search(r"\.maxntid\s+(\d+)(?:\s*,\s*(\d+))?(?:\s*,\s*(\d+))?", match[3])
        if match[1] in found and bounds:
            product = 1
            for extent in bounds.groups():
                product *= int(extent or 1)
            found[match[1]].threads = product
        if match[1] in found:
            found[match[1]].vectors = vector_accesses(ptx[match.end():].partition("\n}")[0])
    for kernel, name in zip(found.values(), demangle(list(found))):
        kernel.name = plain_name(name)
    return list(found.values())


def compile_file(nvcc, source, arch):
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            [nvcc, "-std=c++20", f"-arch={arch}", "-Xptxas", "-v", "-cubin", f"-I{ROOT}", f"-I{ROOT}/include",
             '-DYEOUL_CUDA_KIND="cuda"', "--keep", "--keep-dir", place, source, "-o", f"{place}/out.cubin"],
            capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"ptxas: {source.name} does not compile for {arch}:\n{done.stderr}{done.stdout}")
        ptx = "".join(p.read_text() for p in pathlib.Path(place).glob("*.ptx"))
        return parse(done.stderr + done.stdout, ptx, source.name)


def kernels(nvcc, arch="sm_75", folder=ROOT / "kernels/cuda"):
    sources = sorted(folder.rglob("*.cu"))
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        return [k for part in pool.map(lambda s: compile_file(nvcc, s, arch), sources) for k in part]


@dataclasses.dataclass
class Limit:
    pattern: str
    threads: int
    dynamic: int
    blocks: int
    registers: int
    vectors: int
    line: int

    def matches(self, name):
        return re.fullmatch(self.pattern, name) is not None


def read_limits(text):
    limits = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].rsplit(None, 5)
        if not words:
            continue
        try:
            pattern, *numbers = words
            limits.append(Limit(pattern.strip(), *map(int, numbers), number))
        except (TypeError, ValueError):
            sys.exit(f"limits.txt:{number}: '{line}' is not PATTERN THREADS DYNAMIC BLOCKS REGISTERS VECTORS")
    return limits


def suggestion(kernel, dynamic=0):
    threads = kernel.threads or 256
    blocks = sm75.occupancy(threads, kernel.registers, kernel.shared + dynamic).blocks
    return (f"{re.escape(kernel.name).replace(chr(92) + ' ', ' ')} {threads} {dynamic} {blocks} "
            f"{sm75.up(kernel.registers, 8)} {kernel.vectors}")


def faults(found, limits):
    """One sentence for each broken term, and for each kernel or line without a partner."""
    bad, used = [], set()
    for kernel in found:
        where = f"{kernel.file}: {kernel.name}"
        if kernel.spill_stores or kernel.spill_loads:
            bad.append(f"{where} spills: {kernel.spill_stores} bytes stored, {kernel.spill_loads} loaded")
        if kernel.stack:
            bad.append(f"{where} has {kernel.stack} bytes of stack: an array is indexed at run time")
        lines = [limit for limit in limits if limit.matches(kernel.name)]
        if not lines:
            bad.append(f"{where} has no line in limits.txt; it would meet: {suggestion(kernel)}")
        for limit in lines:
            used.add(limit.line)
            shared = kernel.shared + limit.dynamic
            if kernel.threads and kernel.threads < limit.threads:
                bad.append(f"{where} has launch bounds of {kernel.threads} threads, limits.txt says {limit.threads}")
            if kernel.registers > limit.registers:
                bad.append(f"{where} uses {kernel.registers} registers, at most {limit.registers} are allowed")
            if kernel.vectors < limit.vectors:
                bad.append(f"{where} has {kernel.vectors} accesses of 16 bytes to global memory, {limit.vectors} were stated: "
                           "some became narrower ones")
            if shared > sm75.SHARED_PER_SM:
                bad.append(f"{where} needs {shared} bytes of shared memory, an SM has {sm75.SHARED_PER_SM}")
            blocks = sm75.occupancy(limit.threads, kernel.registers, shared)
            if blocks.blocks < limit.blocks:
                bad.append(f"{where}: {blocks.blocks} blocks per SM (by {blocks.bound}), {limit.blocks} were stated")
    bad += [f"limits.txt:{limit.line}: no kernel is called {limit.pattern}" for limit in limits if limit.line not in used]
    return bad


def table(found, limits):
    rows = ["| kernel | file | registers | static shared | dynamic shared | spills | threads | blocks/SM | warps/SM | bound by |",
            "|---|---|---|---|---|---|---|---|---|---|"]
    for kernel in found:
        lines = [limit for limit in limits if limit.matches(kernel.name)] or [None]
        for limit in lines:
            threads = limit.threads if limit else kernel.threads
            dynamic = limit.dynamic if limit else 0
            fit = sm75.occupancy(threads, kernel.registers, kernel.shared + dynamic) if threads else None
            rows.append("| " + " | ".join(str(cell) for cell in (
                f"`{kernel.name}`", kernel.file, kernel.registers, kernel.shared, dynamic,
                kernel.spill_stores + kernel.spill_loads, threads or "?", fit.blocks if fit else "?",
                fit.warps if fit else "?", fit.bound if fit else "?")) + " |")
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="sm_75")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--suggest", action="store_true")
    parser.add_argument("--limits", type=pathlib.Path, default=HERE / "limits.txt")
    options = parser.parse_args()
    nvcc = find_nvcc()
    if not nvcc:
        print("ptxas: skipped: no nvcc; set NVCC or PATH", file=sys.stderr)
        sys.exit(SKIPPED)
    found = kernels(nvcc, options.arch)
    limits = read_limits(options.limits.read_text())
    if options.suggest:
        print("\n".join(suggestion(kernel) for kernel in found))
        return
    print(table(found, limits))
    if options.check:
        bad = faults(found, limits)
        print("\n".join(bad) if bad else f"{len(found)} kernels, none spills, all meet limits.txt")
        sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
