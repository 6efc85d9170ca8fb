"""Closed-loop load over HTTP/1.1 keep-alive connections: each sends its next request when the last is answered.

For some hundreds of requests a second; transport.py, which asks for thousands, leaves that to wrk.
"""

import asyncio
import random
import time

BOUNDARY = "yeoul-load"


def form(photo, name="photo"):
    """A form with one photo, as browsers and Python's requests send it."""
    head = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="photo.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n")
    return head.encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()


def post(target, body, content_type=f"multipart/form-data; boundary={BOUNDARY}"):
    head = (f"POST {target} HTTP/1.1\r\nHost: load\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    return head.encode() + body


async def exchange(reader, writer, request):
    """Status and body."""
    writer.write(request)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    return int(head[9:12]), await reader.readexactly(length)


async def client(address, requests, seed, begun, seconds, samples):
    reader, writer = await asyncio.open_connection(*address, limit=1 << 20)
    order = random.Random(seed)
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        status, _ = await exchange(reader, writer, order.choice(requests))
        samples.append((start - begun, time.perf_counter() - begun, status))
    writer.close()


async def closed_loop_async(address, requests, concurrency, seconds):
    samples, begun = [], time.perf_counter()
    await asyncio.gather(*(client(address, requests, seed, begun, seconds, samples) for seed in range(concurrency)))
    return samples


def closed_loop(url, requests, concurrency, seconds):
    """New requests for `seconds`, and answers to all of them: {"per_second", "ms": [...], "failed"}."""
    samples = asyncio.run(closed_loop_async(address_of(url), requests, concurrency, seconds))
    answered = [(start, end) for start, end, status in samples if status == 200]
    last = max((end for _, end, _ in samples), default=0)
    return {"per_second": len(answered) / last if last else 0.0,
            "ms": [round((end - start) * 1e3, 1) for start, end in answered],
            "failed": len(samples) - len(answered)}


def ask(url, request):
    """One request on a connection of its own: status and body."""

    async def once():
        reader, writer = await asyncio.open_connection(*address_of(url), limit=1 << 20)
        reply = await exchange(reader, writer, request)
        writer.close()
        return reply

    return asyncio.run(once())


def address_of(url):
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
