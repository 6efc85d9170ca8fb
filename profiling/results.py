"""What the comparisons share: which machine and commit this is, and how samples are summed up."""

import os
import pathlib
import statistics
import subprocess
import time

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
    if given := os.environ.get("GPU_CHECK_COMMIT"):  # a copy without its history
        return given

    def git(*words):
        return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "kernels", "engine", "loader", "apps")
    return git("rev-parse", "--short", "HEAD") + (" + changes" if changed else "")


TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """Of a process, user and system."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


class OtherWork:
    """Cores that others than `pids` and this process kept busy since this was made: what makes a measurement doubtful."""

    def __init__(self, pids):
        self.pids = [*pids, os.getpid()]
        self.begun, self.busy = time.perf_counter(), self.busy_elsewhere()

    def busy_elsewhere(self):
        user, nice, system, _, _, irq, softirq, *_ = map(int, open("/proc/stat").readline().split()[1:])
        return (user + nice + system + irq + softirq) * TICK_S - sum(map(cpu_seconds, self.pids))

    def cores(self):
        return round(max(0.0, self.busy_elsewhere() - self.busy) / (time.perf_counter() - self.begun), 2)


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
