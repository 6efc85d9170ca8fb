#!/usr/bin/env python3
"""Makes the transparent images beside this script, and expected.txt: a hash of what transformers'
convert_to_rgb, which lays them on white, gives for each. Needs ../clip/requirements.txt.

    python make_alpha.py
"""

import io
import pathlib
import struct
import sys
import warnings
import zlib

import numpy as np
from PIL import Image
from transformers.image_transforms import convert_to_rgb

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "images"))
import make_images  # noqa: E402


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows, width, depth, colour, palette=None, trns=None):
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header)]
    if palette is not None:
        parts.append(chunk(b"PLTE", palette))
    if trns is not None:
        parts.append(chunk(b"tRNS", trns))
    parts.append(chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows), 9)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def key(*values):
    return struct.pack(f">{len(values)}H", *(int(value) for value in values))


def images():
    rng = np.random.default_rng(5)
    value, alpha = np.meshgrid(np.arange(256), np.arange(256))
    # Every value with every alpha, so that each rounding of the blend is met.
    every = np.stack([value, alpha], -1).astype(np.uint8)
    yield "grey_alpha_8.png", png(every, 256, 8, 4)
    small = rng.integers(0, 256, (24, 32, 4)).astype(np.uint8)
    yield "rgb_alpha_8.png", png(small, 32, 8, 6)
    wide = rng.integers(0, 65536, (20, 20, 4)).astype(">u2")
    yield "rgb_alpha_16.png", png(wide, 20, 16, 6)
    yield "grey_alpha_16.png", png(wide[:, :, :2].copy(), 20, 16, 4)

    palette = rng.integers(0, 256, 768).astype(np.uint8).tobytes()
    indices = rng.integers(0, 256, (16, 16)).astype(np.uint8)
    alphas = rng.integers(0, 256, 200).astype(np.uint8).tobytes()
    yield "palette_8.png", png(indices, 16, 8, 3, palette, alphas)
    yield "palette_8_one.png", png(indices, 16, 8, 3, palette, b"\xff" * 7 + b"\0")
    nibbles = rng.integers(0, 256, (4, 8)).astype(np.uint8)
    yield "palette_4.png", png(nibbles, 16, 4, 3, palette[:48], bytes([0, 50, 255, 10]))

    for depth in (1, 2, 4, 8):
        packed = rng.integers(0, 4 if depth == 8 else 256, (8, 2 * depth)).astype(np.uint8)
        for grey in sorted({0, 1, 3, (1 << depth) - 1}):
            yield f"grey_{depth}_key_{grey}.png", png(packed, 16, depth, 0, None, key(grey))
    grey16 = rng.integers(0, 300, (8, 8)).astype(">u2")
    grey16[0, :2] = 7, 300
    for grey in (7, 300):
        yield f"grey_16_key_{grey}.png", png(grey16, 8, 16, 0, None, key(grey))
    rgb = rng.integers(0, 3, (8, 8, 3)).astype(np.uint8)
    yield "rgb_8_key.png", png(rgb, 8, 8, 2, None, key(*rgb[2, 2]))
    rgb16 = (rng.integers(0, 3, (8, 8, 3)) * 257).astype(">u2")
    yield "rgb_16_key.png", png(rgb16, 8, 16, 2, None, key(*rgb16[2, 2]))

    gradient = np.stack([value, 255 - value, alpha, (value + alpha) // 2], -1)[::6, ::6].astype(np.uint8)
    photo = Image.fromarray(np.ascontiguousarray(gradient))
    for name, picture, how in (
        ("lossless.webp", photo, {"lossless": True, "exact": True}),
        ("lossy.webp", photo, {"quality": 80}),
        ("opaque.webp", photo.convert("RGB"), {"quality": 80}),
        ("animated.webp", photo, {"lossless": True, "save_all": True, "append_images": [photo.rotate(90)]}),
    ):
        file = io.BytesIO()
        picture.save(file, "WEBP", **how)
        yield name, file.getvalue()

    words = make_images.wide(12, 7, 1)[:, :, 0].astype("<u2").tobytes()
    yield from make_images.masked_bmps(make_images.scene(11, 7, 4), words)


def fnv1a64(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    warnings.simplefilter("ignore")
    lines = []
    for name, data in images():
        (HERE / name).write_bytes(data)
        rgb = np.asarray(convert_to_rgb(Image.open(io.BytesIO(data)), return_numpy=True))
        lines.append(f"{name} {rgb.shape[1]} {rgb.shape[0]} {fnv1a64(rgb.tobytes()):016x}\n")
    (HERE / "expected.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
