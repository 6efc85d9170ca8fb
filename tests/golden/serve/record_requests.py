"""Records what unmodified clients send, so that tests replay it without Python.

    python3 -m venv .venv && .venv/bin/pip install -r tests/golden/serve/requirements.txt
    engine-serve --model apps/demo/model --name clip --port 8000 &
    .venv/bin/python tests/golden/serve/record_requests.py 127.0.0.1:8000

Each call goes through a proxy that stands between client and server and keeps the bytes of every
request as requests/<name>.http. The photo is a JPEG of 8 x 8 pixels. perf_analyzer (PyPI: perf-analyzer
2.60.0) needs glibc 2.38, which Debian 12 has not; its requests are recorded where it is in PATH.
"""
import base64
import json
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import numpy
import openai
import tritonclient.http as triton

HERE = pathlib.Path(__file__).resolve().parent
PHOTO = (HERE.parent / "images" / "jpeg_420_8x8.jpg").read_bytes()


class Recorder:
    """Forwards connections to `target` and keeps the client's side of the next exchange."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.sent = bytearray()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(self.target)
            for source, sink, record in ((client, server, True), (server, client, False)):
                threading.Thread(target=self.copy, args=(source, sink, record), daemon=True).start()

    def copy(self, source, sink, record):
        while data := source.recv(1 << 16):
            if record:
                self.sent += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def save(self, name):
        # The port changes from run to run and says nothing.
        text = bytes(self.sent).replace(self.address.encode(), b"127.0.0.1:8000")
        (HERE / "requests" / (name + ".http")).write_bytes(text)
        self.sent.clear()


def photos(count, binary=True, content=PHOTO):
    tensor = triton.InferInput("IMAGE", [count, 1], "BYTES")
    tensor.set_data_from_numpy(numpy.array([[content]] * count, dtype=object), binary_data=binary)
    return [tensor]


def record_triton(recorder):
    client = triton.InferenceServerClient(recorder.address)
    as_json = [triton.InferRequestedOutput("image_embeds", binary_data=False)]
    as_binary = [triton.InferRequestedOutput("image_embeds", binary_data=True)]
    calls = {
        "live": client.is_server_live,
        "ready": client.is_server_ready,
        "model_ready": lambda: client.is_model_ready("clip", "1"),
        "server_metadata": client.get_server_metadata,
        "model_metadata": lambda: client.get_model_metadata("clip"),
        "model_config": lambda: client.get_model_config("clip", "1"),
        "statistics": lambda: client.get_inference_statistics("clip"),
        "all_statistics": client.get_inference_statistics,
        "repository_index": client.get_model_repository_index,
        "infer_binary": lambda: client.infer("clip", photos(2)),
        "infer_binary_to_json": lambda: client.infer(
            "clip", photos(2), outputs=as_json, request_id="request 7", model_version="1"),
        "infer_json": lambda: client.infer(
            "clip", photos(2, False, base64.b64encode(PHOTO)), outputs=as_binary, priority=1,
            timeout=5000000),
    }
    for name, call in calls.items():
        call()
        recorder.save("triton_" + name)


def record_openai(recorder):
    client = openai.OpenAI(base_url=f"http://{recorder.address}/v1", api_key="key")
    uri = "data:image/jpeg;base64," + base64.b64encode(PHOTO).decode()
    client.embeddings.create(model="clip", input=[uri, uri], extra_body={"modality": "image"})
    recorder.save("openai_embeddings")
    client.embeddings.create(model="clip", input=uri, encoding_format="float")
    recorder.save("openai_embeddings_float")
    client.models.list()
    recorder.save("openai_models")


def split(text):
    """(first line, bytes) of each request."""
    while text:
        head = text.index(b"\r\n\r\n") + 4
        length = re.search(rb"^content-length: *(\d+)", text[:head], re.IGNORECASE | re.MULTILINE)
        end = head + (int(length[1]) if length else 0)
        yield text.split(b"\r\n", 1)[0].decode(), text[:end]
        text = text[end:]


def record_perf_analyzer(recorder):
    content = base64.b64encode(struct.pack("<I", len(PHOTO)) + PHOTO).decode()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as photo:
        json.dump({"data": [{"IMAGE": {"content": {"b64": content}, "shape": [1]}}]}, photo)
        photo.flush()
        subprocess.run(["perf_analyzer", "-i", "http", "-u", recorder.address, "-m", "clip", "-x", "1", "-b", "2",
                        "--input-data", photo.name, "--concurrency-range", "1", "--request-count", "4"], check=True)
    names = {"/v2": "server_metadata", "/1": "model_metadata", "config": "model_config", "infer": "infer", "stats": "statistics"}
    for line, text in split(bytes(recorder.sent)):
        target = line.split()[1]
        recorder.sent[:] = text
        recorder.save("perf_analyzer_" + next(name for end, name in names.items() if target.endswith(end)))


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    (HERE / "requests").mkdir(exist_ok=True)
    recorder = Recorder((host, int(port)))
    record_triton(recorder)
    record_openai(recorder)
    if shutil.which("perf_analyzer"):
        record_perf_analyzer(recorder)


if __name__ == "__main__":
    main()
