"""What clients of a photo service do: good ones, bad ones, slow ones, and those that go away.

Each behaviour is a function (soak, draw) of a few requests that raises Broken when an answer is not as promised. `soak` has the
address, photos with their vectors, and the time of the end; `draw` is the caller's seeded random.Random.
"""

import base64
import json
import socket
import struct

PATIENCE_S = 60
BOUNDARY = "soak"


class Broken(Exception):
    """The server broke a promise."""


class Client:
    """One connection."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=PATIENCE_S)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read_some(self, size=1 << 16):
        data = self.socket.recv(size)
        if not data:
            raise Broken(f"the connection ended before a reply; it began with {self.buffer[:60]!r}")
        self.buffer += data

    def reply(self, step=1 << 16):
        """Status, headers (names in lower case) and body of the next final reply."""
        while b"\r\n\r\n" not in self.buffer:
            self.read_some(step)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        if status < 200:
            return self.reply(step)
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            self.read_some(step)
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return status, headers, body

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def request(method, target, body=b"", headers=()):
    lines = [f"{method} {target} HTTP/1.1", "Host: soak", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def form_request(photos, target="/v1/embed"):
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="photo"; filename="{i}"\r\n\r\n'.encode() + photo + b"\r\n"
             for i, photo in enumerate(photos)]
    return request("POST", target, b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(),
                   [f"Content-Type: multipart/form-data; boundary={BOUNDARY}"])


def ask(soak, text):
    with Client(soak.address) as client:
        client.send(text)
        return client.reply()


def expect(reply, *statuses):
    """The body. An error has one sentence and a code; a 429 that waiting helps says how long."""
    status, headers, body = reply
    if status not in statuses:
        raise Broken(f"answered {status}, not {' or '.join(map(str, statuses))}: {body[:200]!r}")
    soak_json = headers["content-type"].startswith("application/json")
    if status >= 400 and not (soak_json and {"error", "code"} <= json.loads(body).keys()):
        raise Broken(f"the error body of a {status} is {body[:200]!r}")
    return body


def expect_vector(expected, got):
    """Of two batches of different sizes the last bits differ."""
    scale = max(map(abs, expected))
    if len(got) != len(expected) or not all(abs(a - b) <= 1e-4 * scale for a, b in zip(expected, got)):
        raise Broken("a photo's vector is not the one that it had at the start")


def good_photo(soak, draw):
    with Client(soak.address) as client:
        for _ in range(4):
            photo, vector = draw.choice(soak.good)
            client.send(request("POST", "/v1/embed", photo))
            expect_vector(vector, json.loads(expect(client.reply(), 200))["embedding"])


def bad_photo(soak, draw):
    photo, _ = draw.choice(soak.good)
    cases = [(b"no photo at all", (), 400), (photo[:len(photo) // 2], (), 400), (b"", (), 400), (soak.huge, (), 413),
             (photo, ["Content-Encoding: gzip"], 415), (photo, ["Content-Type: text/html"], 415)]
    with Client(soak.address) as client:
        for _ in range(3):
            body, headers, status = draw.choice(cases)
            client.send(request("POST", "/v1/embed", body, headers))
            expect(client.reply(), status)
            client.send(request("POST", "/v1/embed", photo))  # the next request is unharmed
            try:
                expect(client.reply(), 200)
            except (Broken, OSError):
                if len(body) <= 65536:  # after a long body that was refused unread the server closes
                    raise
                return


def form(soak, draw):
    wanted = [(b"not a photo", None) if draw.random() < 0.2 else draw.choice(soak.good) for _ in range(draw.randint(1, 12))]
    target = draw.choice(["/v1/embed", "/v1/embed?priority=bulk"])
    results = json.loads(expect(ask(soak, form_request([photo for photo, _ in wanted], target)), 200))["results"]
    if len(results) != len(wanted):
        raise Broken(f"a form of {len(wanted)} photos has {len(results)} results")
    for (_, vector), result in zip(wanted, results):
        if vector is None and result["error"]["code"] != "bad_image":
            raise Broken(f"a bad photo in a form gave {result}")
        if vector is not None:
            expect_vector(vector, result.get("embedding", []))


def kserve(soak, draw):
    photos = [draw.choice(soak.good) for _ in range(draw.randint(1, 8))]
    data = b"".join(struct.pack("<I", len(photo)) + photo for photo, _ in photos)
    head = json.dumps({"inputs": [{"name": "IMAGE", "datatype": "BYTES", "shape": [len(photos), 1],
                                   "parameters": {"binary_data_size": len(data)}}],
                       "parameters": {"binary_data_output": True}}).encode()
    text = request("POST", f"/v2/models/{soak.model}/infer", head + data, [f"Inference-Header-Content-Length: {len(head)}"])
    status, headers, body = reply = ask(soak, text)
    expect(reply, 200)
    rows = body[int(headers["inference-header-content-length"]):]
    dim = len(rows) // 4 // len(photos)
    for index, (_, vector) in enumerate(photos):
        expect_vector(vector, struct.unpack_from(f"<{dim}f", rows, 4 * dim * index))


def openai(soak, draw):
    photo, vector = draw.choice(soak.good)
    body = json.dumps({"model": soak.model, "normalize": False,
                       "input": ["data:image/jpeg;base64," + base64.b64encode(photo).decode()]}).encode()
    reply = json.loads(expect(ask(soak, request("POST", "/v1/embeddings", body)), 200))
    expect_vector(vector, reply["data"][0]["embedding"])


def killed(soak, draw):
    """Goes away before, in the middle of, or after its request."""
    photos = [draw.choice(soak.good)[0] for _ in range(draw.randint(1, 16))]
    text = form_request(photos)
    with Client(soak.address) as client:
        client.send(text[:draw.choice([20, len(text) // 2, len(text)])])
        if draw.random() < 0.5:
            client.reset()


def half_closed(soak, draw):
    """Says that it sends no more; it is answered all the same."""
    photo, vector = draw.choice(soak.good)
    with Client(soak.address) as client:
        client.send(request("POST", "/v1/embed", photo))
        client.socket.shutdown(socket.SHUT_WR)
        expect_vector(vector, json.loads(expect(client.reply(), 200))["embedding"])


def slow_sender(soak, draw):
    photo, vector = min((draw.choice(soak.good) for _ in range(4)), key=lambda one: len(one[0]))
    text = request("POST", "/v1/embed", photo)
    with Client(soak.address) as client:
        pieces = draw.randint(5, 40)
        for i in range(pieces):
            client.send(text[len(text) * i // pieces:len(text) * (i + 1) // pieces])
            soak.pause(0.03)
        expect_vector(vector, json.loads(expect(client.reply(), 200))["embedding"])


def slow_reader(soak, draw):
    """Asks for much, twice at a time, and takes it in sips."""
    with Client(soak.address) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(8):
            client.send(request("GET", draw.choice(["/", "/metrics"])))
        for _ in range(8):
            soak.pause(0.03)
            expect(client.reply(step=2048), 200)


def idler(soak, draw):
    """Begins a head and goes on much later, or never."""
    with Client(soak.address) as client:
        client.send(b"GET /v1/stats HTTP/1.1\r\nHos")
        soak.pause(draw.uniform(0, 1))
        if draw.random() < 0.5:
            client.send(b"t: soak\r\n\r\n")
            expect(client.reply(), 200)


def hurried(soak, draw):
    photos = [draw.choice(soak.good)[0] for _ in range(4)]
    target = f"/v1/embed?timeout_ms={draw.choice([1, 5, 20])}"
    results = json.loads(expect(ask(soak, form_request(photos, target)), 200))["results"]
    for result in results:
        if result.get("error", {}).get("code", "deadline_exceeded") != "deadline_exceeded":
            raise Broken(f"a photo with a deadline gave {result['error']}")
    expect(ask(soak, request("POST", target, photos[0])), 200, 504)


def operator(soak, draw):
    cases = [("GET", "/metrics", 200), ("GET", "/v1/stats", 200), ("GET", "/", 200), ("GET", f"/v2/models/{soak.model}", 200),
             ("GET", "/v1/embed", 405), ("GET", "/no/such/place", 404), ("POST", "/v2/models/other/infer", 404)]
    with Client(soak.address) as client:
        for method, target, status in draw.sample(cases, 3):
            client.send(request(method, target))
            expect(client.reply(), status)


def nonsense(soak, draw):
    with Client(soak.address) as client:
        client.send(draw.choice([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET\r\n\r\n",
                                 b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                                 b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 20000 + b"\r\n\r\n"]))
        expect(client.reply(), 400, 431)


def crowd(soak, draw):
    """Many clients at once. Where the queue is full they are told when to come back."""
    clients = [Client(soak.address) for _ in range(48)]
    try:
        for client in clients:
            client.send(request("POST", "/v1/embed", draw.choice(soak.good)[0]))
        for client in clients:
            expect(client.reply(), 200, 429)
    finally:
        for client in clients:
            client.socket.close()


# Weights: how often. A behaviour that waits most of its time keeps a caller busy, not the server.
BEHAVIOURS = {good_photo: 6, bad_photo: 3, form: 4, kserve: 3, openai: 2, killed: 4, half_closed: 1, slow_sender: 1,
              slow_reader: 1, idler: 1, hurried: 2, operator: 2, nonsense: 1, crowd: 1}
