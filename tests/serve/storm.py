#!/usr/bin/env python3
"""A storm of connections against engine-serve: thousands that say nothing, and callers that come, go and die among them.

    storm.py --serve build/cpu/bin/engine-serve [--idle 2000] [--callers 16] [--requests 10] [--killed 400]

The idle connections are as many as descriptors allow, up to --idle. While they are open every caller is answered; connections over the
limit (half of them with --max-connections) are told so; clients that are killed in the middle of a request take nothing along. At the end
the server is READY and holds no request and no connection. Needs Python only. Exit 1 names what was broken.
"""

import argparse
import collections
import json
import pathlib
import random
import resource
import selectors
import socket
import subprocess
import sys
import threading
import time

from soak_clients import Broken, Client, ask, expect, request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPARE = 200  # descriptors of this program beside the idle connections
OVER = 50    # connections over the limit


class Storm:
    def __init__(self, options):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.idle = min(options.idle, hard - SPARE - options.callers)
        self.options = options
        self.photo = (ROOT / "apps/demo/photos/dunes.jpg").read_bytes()
        self.limit = self.idle + options.callers + 20
        command = [options.serve, "--model", ROOT / "apps/demo/model", "--port", "0", "--quiet", "--slow-request-ms", "600000",
                   "--max-connections", self.limit]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        host, port = self.process.stdout.readline().strip().removeprefix("http://").split(":")
        self.address = host, int(port)
        self.answers, self.lock = collections.Counter(), threading.Lock()

    def stats(self):
        return json.loads(expect(ask(self, request("GET", "/v1/stats")), 200))

    def call(self, index):
        """Several photos on one connection."""
        with Client(self.address) as client:
            for _ in range(self.options.requests):
                client.send(request("POST", "/v1/embed", self.photo))
                status = client.reply()[0]
                with self.lock:
                    self.answers[status] += 1

    def kill(self, index):
        """Goes away in the middle of a request, half of the time with a reset."""
        draw, whole = random.Random(index), request("POST", "/v1/embed", self.photo)
        for _ in range(self.options.killed // self.options.callers):
            with Client(self.address) as client:
                client.send(whole[:draw.choice([10, 200, 5000, len(whole)])])
                if draw.random() < 0.5:
                    client.reset()

    def at_once(self, work):
        failures = []

        def run(index):
            try:
                work(index)
            except (Broken, OSError) as error:
                failures.append(f"{work.__name__}: {error}")

        threads = [threading.Thread(target=run, args=(index,)) for index in range(self.options.callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise Broken(failures[0])

    def expect_answers(self):
        self.answers.clear()
        self.at_once(self.call)
        every = self.options.callers * self.options.requests
        if self.answers != {200: every}:
            raise Broken(f"of {every} photos: {dict(self.answers)}")

    def go_over_the_limit(self):
        """Those over it are told so, unasked, and closed."""
        more = [Client(self.address) for _ in range(self.limit - self.idle + OVER)]
        told, end = set(), time.monotonic() + 30
        with selectors.DefaultSelector() as selector:
            for one in more:
                selector.register(one.socket, selectors.EVENT_READ, one)
            while len(told) < OVER and time.monotonic() < end:
                told = {key.data for key, _ in selector.select(1)}
        if len(told) < OVER:
            raise Broken(f"of {len(more)} connections {len(told)} were refused, not {OVER}")
        for one in more:
            with one:
                if one in told:
                    expect(one.reply(), 503)

    def wait_until_empty(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            stats = self.stats()
            left = {"connections": stats["connections"] - 1, "in flight": stats["photos"]["in_flight"],
                    "buffered bytes": stats["buffered_bytes"], "waiting": stats["queue"]["waiting"]}
            if not any(left.values()):
                return
            time.sleep(0.05)
        raise Broken(f"after the storm there is {left}")

    def run(self):
        begun = time.monotonic()
        idle = [socket.create_connection(self.address) for _ in range(self.idle)]
        self.expect_answers()
        self.go_over_the_limit()
        for one in idle[:len(idle) // 2]:
            one.close()
        self.at_once(self.kill)
        self.expect_answers()
        for one in idle:
            one.close()
        self.wait_until_empty()
        expect(ask(self, request("GET", "/v2/health/ready")), 200)
        self.process.terminate()
        if self.process.wait(30) != 0:
            raise Broken(f"SIGTERM ended it with {self.process.returncode}")
        print(f"{self.idle} idle connections, {2 * self.options.callers * self.options.requests} photos answered, "
              f"{self.options.killed} clients killed, {time.monotonic() - begun:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", type=pathlib.Path, default=ROOT / "build/cpu/bin/engine-serve")
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--requests", type=int, default=10)
    parser.add_argument("--killed", type=int, default=400)
    storm = Storm(parser.parse_args())
    try:
        storm.run()
    except (Broken, OSError) as error:
        sys.exit(f"storm: {error}")
    finally:
        storm.process.kill()


if __name__ == "__main__":
    main()
