"""What the comparisons share: which machine and commit this is, and how samples are summed up."""

import pathlib
import statistics
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


def processor():
    """The name, and a folder name for its results."""
    lines = open("/proc/cpuinfo").read().splitlines()
    name = next(line for line in lines if line.startswith("model name")).split(":", 1)[1].strip()
    flags = next(line for line in lines if line.startswith("flags"))
    isa = "avx512-bf16" if "avx512_bf16" in flags else "avx512" if "avx512f" in flags else "avx2"
    return name, f"{name.lower().replace(' ', '-')}-{isa}"


def commit():
    def git(*words):
        return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "kernels", "engine", "loader", "apps")
    return git("rev-parse", "--short", "HEAD") + (" + changes" if changed else "")


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    return statistics.quantiles(values, n=4, method="inclusive")


def cell(values, digits):
    low, middle, high = quartiles(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} - {high:.{digits}f})"


def ratios(theirs, ours):
    """Round by round, so that a slow minute counts for both."""
    return [a / b for a, b in zip(theirs, ours)]


def write(stem, table, values):
    """results/<processor>/<stem>.md and .json"""
    folder = HERE / "results" / processor()[1]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.md").write_text(table)
    (folder / f"{stem}.json").write_text(values)
