"""The photo services that engine-serve is measured against: FastAPI, transformers and Pillow on the CPU.

    python photo_server.py --model DIR [--batching none|queue] [--dtype fp32|bf16] [--threads 2] [--port 0]

Both take a form with one photo at POST /embed and answer {"embedding": [...]}. `none` is what tutorials show: the handler
opens the photo and runs the model, one photo after the other. `queue` is what a team writes next: photos are opened on
Starlette's pool of threads and wait in a queue; one worker takes all that waits (at most --most), runs one forward pass and hands
the rows back. The address is printed once the model is warm.
"""

import argparse
import asyncio
import contextlib
import io
import pathlib
import queue
import socket
import threading

import fastapi
import torch
import transformers
import uvicorn
from fastapi.concurrency import run_in_threadpool
from PIL import Image

import clip_transformers


class Model:
    def __init__(self, options):
        self.dtype = torch.float32 if options.dtype == "fp32" else torch.bfloat16
        self.processor = transformers.AutoImageProcessor.from_pretrained(options.model, backend="pil")
        self.tower, size = clip_transformers.tower_of(
            clip_transformers.open_model(options.model, self.dtype, "sdpa")
        )
        for batch in (1, 2, 8):
            self.vectors(torch.zeros(batch, 3, size, size))

    def pixels(self, encoded):
        """(1, 3, size, size)"""
        photo = Image.open(io.BytesIO(encoded))
        return self.processor(images=photo, return_tensors="pt")["pixel_values"]

    def vectors(self, pixels):
        with torch.inference_mode():
            return self.tower(pixels.to(self.dtype)).float()


class Worker:
    """One forward pass over all that waits."""

    def __init__(self, model, most):
        self.model, self.most = model, most
        self.waiting = queue.SimpleQueue()
        threading.Thread(target=self.work, daemon=True).start()

    async def vector(self, pixels):
        row = asyncio.get_running_loop().create_future()
        self.waiting.put((pixels, row))
        return await row

    def work(self):
        while True:
            taken = [self.waiting.get()]
            with contextlib.suppress(queue.Empty):
                while len(taken) < self.most:
                    taken.append(self.waiting.get_nowait())
            rows = self.model.vectors(torch.cat([pixels for pixels, _ in taken])).tolist()
            loop = taken[0][1].get_loop()
            loop.call_soon_threadsafe(self.hand_back, [row for _, row in taken], rows)

    @staticmethod
    def hand_back(futures, rows):
        for future, row in zip(futures, rows):
            if not future.done():
                future.set_result(row)


def application(model, options):
    app = fastapi.FastAPI()
    worker = Worker(model, options.most) if options.batching == "queue" else None

    @app.post("/embed")
    async def embed(photo: fastapi.UploadFile):
        encoded = await photo.read()
        if worker:
            pixels = await run_in_threadpool(model.pixels, encoded)
            return {"embedding": await worker.vector(pixels)}
        return {"embedding": model.vectors(model.pixels(encoded))[0].tolist()}

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--batching", choices=["none", "queue"], default="none")
    parser.add_argument("--most", type=int, default=32, help="photos in one forward pass")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    app = application(Model(options), options)
    listener = socket.create_server(("127.0.0.1", options.port), backlog=1024)
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    print("http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
