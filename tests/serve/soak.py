#!/usr/bin/env python3
"""Mixed load against engine-serve: no wrong answer, always READY, flat memory, and nothing left over.

    soak.py --serve build/cpu/bin/engine-serve [--seconds 20] [--seed 1]

Callers take behaviours of soak_clients.py at random: photos good and bad, forms, V2, OpenAI, clients that are slow, that go away and
that ask for too much. Meanwhile somebody else asks four times a second whether the server is ready, and its resident memory is
noted. Memory is flat when, the first 40 % of the time left out, the second half of the rest has a median of at most --grown-mib more
than the first half.
At the end the server holds no request, no connection and no descriptor more than at the start, and SIGTERM ends it with 0. Needs
Python only. Exit 1 names every promise that was broken.
"""

import argparse
import collections
import json
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import threading
import time
import traceback
import zlib

import soak_clients
from soak_clients import Broken, ask, expect, request

ROOT = pathlib.Path(__file__).resolve().parents[2]
WARM_UP = 0.4
MOST_REPORTED = 20
GIVEN_BACK = "photos in flight", "photos waiting", "queued bytes", "buffered bytes"  # nothing of these stays after a reply


def png_head(width, height):
    """A PNG that announces its size and ends there."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


class Soak:
    """The server and what every caller knows of it."""

    def __init__(self, options):
        self.options, self.model = options, options.model.name
        self.huge = png_head(30_000, 30_000)
        command = [options.serve, "--model", options.model, "--port", "0", "--threads", "2", "--quiet"]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        url = self.process.stdout.readline().strip()
        if not url:
            raise SystemExit("soak: the server did not start; its message is above")
        host, port = url.removeprefix("http://").split(":")
        self.address = host, int(port)
        self.over = threading.Event()
        self.failures, self.done = [], collections.Counter()
        self.lock = threading.Lock()
        self.good = [self.with_vector(file) for file in sorted(options.photos.iterdir()) if file.suffix != ".md"]

    def with_vector(self, file):
        photo = file.read_bytes()
        return photo, json.loads(expect(ask(self, request("POST", "/v1/embed", photo)), 200))["embedding"]

    def pause(self, seconds):
        """Of a slow client; short when the time is over."""
        self.over.wait(seconds)

    def fail(self, who, error):
        with self.lock:
            self.failures.append(f"{who}: {error}")

    def caller(self, index):
        draw = random.Random(f"{self.options.seed} {index}")
        behaviours, weights = zip(*soak_clients.BEHAVIOURS.items())
        while not self.over.is_set() and len(self.failures) < MOST_REPORTED:
            behaviour = draw.choices(behaviours, weights)[0]
            try:
                behaviour(self, draw)
            except (Broken, OSError) as error:
                self.fail(behaviour.__name__, error)
            except Exception:  # an answer of another shape than promised
                self.fail(behaviour.__name__, traceback.format_exc(limit=2))
            with self.lock:
                self.done[behaviour.__name__] += 1

    def readiness(self):
        while not self.over.wait(0.25):
            try:
                expect(ask(self, request("GET", "/v2/health/ready")), 200)
            except (Broken, OSError) as error:
                self.fail("ready", error)
                return

    def status(self, name):
        """Of the process: VmRSS in kB, Threads."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise Broken(f"the server has ended: its status has no {name}")

    def holdings(self):
        """What should be the same when nobody asks for anything but this."""
        stats = json.loads(expect(ask(self, request("GET", "/v1/stats")), 200))
        time.sleep(0.02)  # the connection that asked ends
        return {"photos in flight": stats["photos"]["in_flight"], "photos waiting": stats["queue"]["waiting"],
                "queued bytes": stats["queue"]["bytes"], "buffered bytes": stats["buffered_bytes"],
                "connections": stats["connections"], "memory of the engine": stats["memory_bytes"],
                "threads": self.status("Threads"),
                "descriptors": len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))}

    def at_rest(self):
        """The holdings once photos and connections of the beginning are given back, which is a moment after their replies."""
        deadline, before = time.monotonic() + 30, None
        while (now := self.holdings()) != before or any(now[what] for what in GIVEN_BACK) or now["connections"] > 1:
            if time.monotonic() > deadline:
                break
            before = now
            time.sleep(0.02)
        return {**now, **dict.fromkeys(GIVEN_BACK, 0), "connections": 1}

    def metric(self, name):
        text = expect(ask(self, request("GET", "/metrics")), 200).decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((name + " ", name + "{")))

    def run(self):
        """Resident kB over time."""
        before, resident = self.at_rest(), []
        threads = [threading.Thread(target=self.caller, args=(index,)) for index in range(self.options.callers)]
        threads.append(threading.Thread(target=self.readiness))
        for thread in threads:
            thread.start()
        end = time.monotonic() + self.options.seconds
        while time.monotonic() < end and len(self.failures) < MOST_REPORTED:
            resident.append(self.status("VmRSS"))
            self.over.wait(min(1, self.options.seconds / 100))
        self.over.set()
        for thread in threads:
            thread.join()
        self.expect_back(before)
        return resident

    def left_over(self, before):
        """What the server holds that it did not hold before."""
        now = self.holdings()
        return [f"{what}: {before[what]} before, {now[what]} after" for what in before if now[what] != before[what]]

    def expect_back(self, before):
        """Requests of clients that went away are still being worked on for a moment."""
        deadline = time.monotonic() + 30
        while (left := self.left_over(before)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for line in left:
            self.fail("left over", line)
        for photo, vector in self.good:
            answer = expect(ask(self, request("POST", "/v1/embed", photo)), 200)
            soak_clients.expect_vector(vector, json.loads(answer)["embedding"])

    def stop(self):
        self.process.terminate()
        if self.process.wait(timeout=60) != 0:
            self.fail("SIGTERM", f"the exit code is {self.process.returncode}")


def check_flat(soak, resident):
    if len(resident) < 10:
        soak.fail("memory", f"was seen {len(resident)} times only: the promises above were broken too soon")
        return
    kept = resident[int(len(resident) * WARM_UP):]
    first, second = kept[:len(kept) // 2], kept[len(kept) // 2:]
    grown = (statistics.median(second) - statistics.median(first)) / 1024
    print(f"resident MiB: {resident[0] / 1024:.1f} at the start, {statistics.median(first) / 1024:.1f} then "
          f"{statistics.median(second) / 1024:.1f} (medians), at most {max(resident) / 1024:.1f}")
    if grown > soak.options.grown_mib:
        soak.fail("memory", f"grown by {grown:.1f} MiB, may grow by {soak.options.grown_mib}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", type=pathlib.Path, default=ROOT / "build/cpu/bin/engine-serve")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "apps/demo/model")
    parser.add_argument("--photos", type=pathlib.Path, default=ROOT / "apps/demo/photos")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--callers", type=int, default=10)
    parser.add_argument("--grown-mib", type=float, default=4)
    soak = Soak(parser.parse_args())
    try:
        begun = time.monotonic()
        resident = soak.run()
        print(f"{time.monotonic() - begun:.0f} s: " + ", ".join(f"{name} {n}" for name, n in sorted(soak.done.items())))
        check_flat(soak, resident)
        allocations = soak.metric("yeoul_device_allocations_since_ready_total")
        if allocations:
            soak.fail("memory", f"{allocations:.0f} device allocations since READY")
        print(f"photos {soak.metric('yeoul_images_total'):.0f}")
        soak.stop()
    finally:
        soak.process.kill()
        soak.process.wait()
    for failure in soak.failures:
        print(failure, file=sys.stderr)
    sys.exit(bool(soak.failures))


if __name__ == "__main__":
    main()
