#!/usr/bin/env python3
"""Runs the snippets of a page of docs/ as a reader would, one after the other, in an empty folder.

    run_snippets.py PAGE --bin build/cpu/bin [--packages]

A comment before a fenced block says what to do with it:
    <!-- test: file NAME -->              the block is the file NAME
    <!-- test: run [gives WHAT] -->       it is run, by python3 or bash, and must end with 0. `gives vector`: its variable `vector` is
                                          that of cat.jpg; `gives json`: so is "embedding" of what it prints
    <!-- test: background URL -->         it is started, and URL must answer 200. `instead`: what was started before is ended first
Each may end in `, needs A B`: Python packages or commands; where one is missing the block is skipped, with the reason. With --packages also
what needs Python packages is run: exit 77 when any of that was skipped. A block without a comment fails the test.

The folder has cat.jpg, photos/ and clip-vit-base-patch32/, which are the bundled photos and model, and reference.safetensors, what
transformers gave for them. Ports 8000 and 9000 of the page become free ones.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CAT = "dunes.jpg"
SKIPPED = 77
START_S = 120  # importing PyTorch on a busy machine


@dataclasses.dataclass
class Snippet:
    line: int
    language: str
    text: str
    action: str  # file, run, background
    argument: str
    needs: list


def fail(line, message):
    sys.exit(f"line {line}: {message}")


def parse_comment(line, comment):
    clauses = [clause.strip() for clause in comment.split(",")]
    action, _, argument = clauses[0].partition(" ")
    needs = [word for clause in clauses[1:] if clause.startswith("needs ") for word in clause.split()[1:]]
    if action not in ("file", "run", "background"):
        fail(line, f"'{action}' is no action")
    return action, argument + (" instead" if "instead" in clauses else ""), needs


def snippets(text):
    found, comment, lines = [], None, iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if match := re.fullmatch(r"<!-- test: (.*) -->", line):
            comment = match[1]
        elif line.startswith("```"):
            if comment is None:
                fail(number, "the block has no '<!-- test: ... -->' before it")
            body = []
            for _, inner in lines:
                if inner == "```":
                    break
                body.append(inner)
            found.append(Snippet(number, line[3:], "\n".join(body) + "\n", *parse_comment(number, comment)))
            comment = None
    return found


def missing(need):
    """A command or a Python package that is not there."""
    try:
        return not shutil.which(need) and importlib.util.find_spec(need) is None
    except ModuleNotFoundError:  # the parent of a submodule
        return True


def is_package(need):
    return need != "curl"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def reference_vector():
    """Of cat.jpg, from the stored file: read here, because there need not be a package that can."""
    data = (ROOT / "tests/golden/demo/vectors.safetensors").read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    head = json.loads(data[8:8 + size])
    row = json.loads(head["__metadata__"]["paths"]).index(CAT)
    tensor = head["image_embeds"]
    dim = tensor["shape"][1]
    return struct.unpack_from(f"<{dim}f", data, 8 + size + tensor["data_offsets"][0] + 4 * dim * row)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b) if len(a) == len(b) else 0.0


class Runner:
    def __init__(self, folder, programs):
        self.folder, self.reference = folder, reference_vector()
        path = [pathlib.Path(sys.executable).parent, programs.resolve(), os.environ["PATH"]]
        # uvicorn finds server.py in the folder; a proxy of this machine has no business with it.
        self.environment = os.environ | {"PATH": ":".join(map(str, path)), "no_proxy": "localhost", "HF_HUB_OFFLINE": "1"}
        self.ports = {"8000": free_port(), "9000": free_port()}
        self.started = []
        (folder / "photos").symlink_to(ROOT / "apps/demo/photos")
        (folder / "clip-vit-base-patch32").symlink_to(ROOT / "apps/demo/model")
        shutil.copy(ROOT / "apps/demo/photos" / CAT, folder / "cat.jpg")
        shutil.copy(ROOT / "tests/golden/demo/vectors.safetensors", folder / "reference.safetensors")

    def with_ports(self, text):
        return re.sub(r"\b(8000|9000)\b", lambda match: self.ports[match[1]], text)

    def start(self, snippet):
        if snippet.argument.endswith(" instead"):
            self.stop()
        command = ["bash", "-euc", "exec " + self.with_ports(snippet.text).strip()]
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment, start_new_session=True,
                                   stdout=subprocess.DEVNULL)
        self.started.append(process)
        url, end = self.with_ports(snippet.argument.split()[0]), time.monotonic() + START_S
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                with urllib.request.urlopen(url, timeout=10) as reply:
                    if reply.status == 200:
                        return
            if process.poll() is not None:
                fail(snippet.line, f"it ended with {process.returncode}")
            if time.monotonic() > end:
                fail(snippet.line, f"{url} did not answer within {START_S} s")
            time.sleep(0.05)

    def run(self, snippet):
        text, kept = self.with_ports(snippet.text), self.folder / "vector.json"
        kept.unlink(missing_ok=True)
        command = ["bash", "-euc", text]
        if snippet.language == "python":
            if snippet.argument == "gives vector":
                text += f"import json\njson.dump([float(x) for x in vector], open({str(kept)!r}, 'w'))\n"
            command = [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            fail(snippet.line, f"it ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        if snippet.argument:
            vector = json.loads(kept.read_text() if "vector" in snippet.argument else done.stdout)
            vector = vector if isinstance(vector, list) else vector["embedding"]
            if not cosine(vector, self.reference) > 0.99999:
                fail(snippet.line, f"the vector is another than transformers': cosine {cosine(vector, self.reference)}")

    def do(self, snippet):
        if snippet.action == "file":
            (self.folder / snippet.argument).write_text(self.with_ports(snippet.text))
        elif snippet.action == "background":
            self.start(snippet)
        else:
            self.run(snippet)

    def stop(self):
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        self.started.clear()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--packages", action="store_true")
    options = parser.parse_args()
    skipped = []
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(pathlib.Path(folder), options.bin)
        try:
            for snippet in snippets(options.page.read_text()):
                with_packages = any(map(is_package, snippet.needs))
                lacking = [need for need in snippet.needs if missing(need)]
                if with_packages and not options.packages:
                    continue
                if lacking:
                    skipped.append(f"line {snippet.line}: skipped, there is no {' and no '.join(lacking)}")
                    print(skipped[-1])
                    continue
                runner.do(snippet)
                print(f"line {snippet.line}: {snippet.action} {snippet.argument}".rstrip())
        finally:
            runner.stop()
    if skipped:
        print(f"the others ran; {len(skipped)} did not")
        sys.exit(SKIPPED)


if __name__ == "__main__":
    main()
