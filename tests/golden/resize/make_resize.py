#!/usr/bin/env python3
"""Writes what Pillow and transformers' PIL backend make of test photos: resize.json, resize.bin,
normalization.bin and *.jpg beside this file.

    python make_resize.py          # needs numpy, pillow, transformers

The photos are not stored: `pattern` is an integer hash that tests/loader/test_resize_photos.h repeats.
Results up to 64 pixels wide are stored as bytes, larger ones as FNV-1a.
"""

import json
import pathlib

import numpy as np
import PIL
import transformers
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

FOLDER = pathlib.Path(__file__).parent
Image.MAX_IMAGE_PIXELS = None

BICUBIC, BILINEAR, BOX, HAMMING, LANCZOS = 3, 2, 4, 5, 1


def pattern(height, width, seed):
    """(height, width, 3) uint8: waves, noise, and hard black and white dots that overshoot."""
    y, x, c = np.meshgrid(
        np.arange(height, dtype=np.uint32),
        np.arange(width, dtype=np.uint32),
        np.arange(3, dtype=np.uint32),
        indexing="ij",
    )
    h = y * np.uint32(73856093) ^ x * np.uint32(19349663) ^ (c + np.uint32(seed)) * np.uint32(83492791)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    wave = (x * (c + np.uint32(1)) + y * (np.uint32(4) - c)) & np.uint32(511)
    wave = np.where(wave < 256, wave, 511 - wave)
    value = wave * 3 // 4 + (h & np.uint32(63))
    dots = ((x >> np.uint32(3)) ^ (y >> np.uint32(3))) & np.uint32(3)
    return np.where(dots == 0, (h >> np.uint32(8) & np.uint32(1)) * 255, value).astype(np.uint8)


def photo(height, width):
    """Smooth enough to be a photo to a JPEG encoder."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [
        128 + 70 * np.sin(x / (37 + 9 * c) + c) * np.cos(y / (53 - 7 * c)) + 40 * np.sin((x + y) / (5 + c))
        for c in range(3)
    ]
    noise = pattern(height, width, 99).astype(np.float64) - 128
    return np.clip(np.stack(planes, -1) + noise / 16, 0, 255).astype(np.uint8)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def process(image, size, crop, resample):
    processor = CLIPImageProcessorPil(
        do_resize=size is not None,
        size={"shortest_edge": 224} if size is None else size,
        resample=resample,
        do_center_crop=crop is not None,
        crop_size={"height": 224, "width": 224} if crop is None else crop,
        do_rescale=False,
        do_normalize=False,
    )
    result = np.asarray(processor(image, return_tensors=None)["pixel_values"][0])
    assert result.dtype == np.uint8 and result.shape[0] == 3
    return np.ascontiguousarray(result.transpose(1, 2, 0))


def edge(n):
    return {"shortest_edge": n}


def sides(height, width):
    return {"height": height, "width": width}


# height, width, size, crop, resample
CASES = [
    (1, 1, edge(16), sides(16, 16), BICUBIC),
    (1, 1, sides(5, 9), None, BILINEAR),
    (1, 4000, edge(32), sides(32, 32), BICUBIC),
    (1, 4000, edge(224), sides(224, 224), BICUBIC),
    (4000, 1, edge(32), sides(32, 32), BILINEAR),
    (4000, 1, sides(24, 24), None, BICUBIC),
    (1, 4000, sides(24, 24), None, BICUBIC),
    (4000, 3, edge(48), sides(48, 48), BICUBIC),
    (3, 4000, edge(224), sides(224, 224), BILINEAR),
    (3, 4000, edge(33), sides(20, 47), BICUBIC),
    (3024, 4032, edge(224), sides(224, 224), BICUBIC),
    (4032, 3024, edge(224), sides(224, 224), BILINEAR),
    (4032, 3024, edge(64), sides(64, 64), BICUBIC),
    (1280, 1920, edge(224), sides(224, 224), BICUBIC),
    (1920, 1280, edge(256), sides(224, 224), BICUBIC),
    (5, 7, edge(224), sides(224, 224), BICUBIC),
    (7, 5, edge(224), sides(224, 224), BILINEAR),
    (2, 3, edge(40), sides(31, 33), BICUBIC),
    (300, 4000, edge(64), sides(64, 64), BICUBIC),
    (4000, 300, edge(64), sides(64, 64), BILINEAR),
    (300, 4000, edge(224), sides(224, 224), BICUBIC),
    (480, 640, edge(31), sides(64, 64), BICUBIC),  # the crop is larger on both axes, odd
    (480, 640, edge(32), sides(63, 63), BICUBIC),  # odd differences
    (480, 640, edge(32), sides(61, 42), BILINEAR),  # larger on one axis
    (640, 480, edge(30), sides(39, 51), BICUBIC),  # larger on the other
    (480, 640, edge(40), sides(39, 38), BICUBIC),
    (641, 479, edge(57), sides(32, 32), BICUBIC),
    (224, 224, edge(224), sides(224, 224), BICUBIC),  # nothing to do
    (64, 97, edge(64), sides(48, 48), BICUBIC),  # keeps its size, cropped
    (64, 97, sides(64, 31), None, BICUBIC),  # only columns
    (97, 64, sides(31, 64), None, BICUBIC),  # only rows
    (97, 64, sides(40, 64), sides(33, 21), BILINEAR),
    (200, 200, edge(50), sides(50, 50), BICUBIC),
    (333, 500, sides(60, 20), None, BICUBIC),
    (333, 500, sides(20, 60), None, BILINEAR),
    (30, 20, sides(61, 63), None, BICUBIC),
    (500, 333, sides(224, 224), None, BICUBIC),
    (375, 500, edge(336), sides(336, 336), BICUBIC),
    (225, 224, edge(224), sides(224, 224), BICUBIC),
    (223, 225, edge(224), sides(224, 224), BILINEAR),
    (17, 19, None, sides(9, 30), BICUBIC),
    # Pillow 13 runs the vertical pass first when the height loses more than twice what the width does.
    (120, 120, sides(60, 90), None, BICUBIC),  # exactly twice: horizontal
    (121, 120, sides(60, 90), None, BICUBIC),  # one more: vertical
    (1000, 500, edge(32), sides(32, 32), BICUBIC),  # exactly twice
    (1002, 500, edge(32), sides(40, 32), BICUBIC),
    (3000, 1000, edge(224), sides(224, 224), BICUBIC),
    (3000, 1000, edge(31), sides(32, 29), BILINEAR),
    (90, 20, sides(40, 50), None, BICUBIC),  # rows fewer, columns more
    (90, 20, sides(91, 18), None, BICUBIC),  # rows more, columns fewer
    (120, 90, edge(37), sides(32, 32), BOX),
    (120, 90, edge(37), sides(32, 32), HAMMING),
    (120, 90, edge(37), sides(32, 32), LANCZOS),
    (9, 11, edge(37), sides(32, 32), LANCZOS),
]

# height, width, out_height, out_width, box height, box width, resample: Pillow's own `box`
BOXES = [
    (40, 61, 20, 30, 40, 60.5, BICUBIC),
    (40, 61, 20, 30, 39.25, 60.875, BICUBIC),
    (40, 61, 40, 61, 39.5, 60.5, BILINEAR),  # an axis of the same size still has its pass
    (113, 76, 31, 21, 112.5, 75.125, BILINEAR),
]

# name, height, width, encoder options
JPEGS = [
    ("landscape", 427, 640, {"quality": 85, "subsampling": 2}),
    ("portrait", 501, 333, {"quality": 90, "subsampling": 0}),
    ("panorama", 97, 1201, {"quality": 85, "subsampling": 2}),
    ("progressive", 375, 500, {"quality": 80, "subsampling": 2, "progressive": True}),
    ("large", 1200, 1805, {"quality": 60, "subsampling": 2}),
]

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
NORMALIZATIONS = [
    {"rescale": True, "factor": 1 / 255, "normalize": True, "mean": CLIP_MEAN, "std": CLIP_STD},
    {"rescale": True, "factor": 0.00392156862745098, "normalize": True,
     "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    {"rescale": True, "factor": 1 / 127.5, "normalize": True, "mean": [1.0] * 3, "std": [1.0] * 3},
    {"rescale": True, "factor": 1 / 255, "normalize": True, "mean": [0.5] * 3, "std": [0.5] * 3},
    {"rescale": True, "factor": 1 / 255, "normalize": False, "mean": CLIP_MEAN, "std": CLIP_STD},
    {"rescale": False, "factor": 1 / 255, "normalize": True,
     "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
    {"rescale": False, "factor": 1 / 255, "normalize": False, "mean": CLIP_MEAN, "std": CLIP_STD},
]  # fmt: skip


def normalization_table(options):
    """(3, 256) float32."""
    processor = CLIPImageProcessorPil(
        do_resize=False,
        do_center_crop=False,
        do_rescale=options["rescale"],
        rescale_factor=options["factor"],
        do_normalize=options["normalize"],
        image_mean=options["mean"],
        image_std=options["std"],
    )
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    result = processor(Image.fromarray(ramp), return_tensors=None)["pixel_values"][0]
    assert options["rescale"] or options["normalize"] or result.dtype == np.uint8
    return np.asarray(result)[:, 0, :].astype(np.float32)


def record(blob, result):
    entry = {"height": result.shape[0], "width": result.shape[1]}
    if result.shape[1] <= 64:
        entry["offset"] = len(blob)
        blob += result.tobytes()
    else:
        entry["fnv1a"] = fnv1a(result.tobytes())
    return entry


def main():
    blob = bytearray()
    cases = []
    for seed, (height, width, size, crop, resample) in enumerate(CASES):
        result = process(Image.fromarray(pattern(height, width, seed)), size, crop, resample)
        cases.append({"height": height, "width": width, "seed": seed, "size": size, "crop": crop,
                      "resample": resample, "y": record(blob, result)})  # fmt: skip
    boxes = []
    for height, width, out_height, out_width, box_height, box_width, resample in BOXES:
        image = Image.fromarray(pattern(height, width, 7))
        box = (0, 0, box_width, box_height)
        result = np.asarray(image.resize((out_width, out_height), resample, box=box))
        boxes.append({"height": height, "width": width, "extent_height": box_height,
                      "extent_width": box_width, "resample": resample,
                      "y": record(blob, result)})  # fmt: skip
    jpegs = []
    for name, height, width, options in JPEGS:
        file = FOLDER / f"{name}.jpg"
        Image.fromarray(photo(height, width)).save(file, **options)
        result = process(Image.open(file), edge(224), sides(224, 224), BICUBIC)
        jpegs.append({"file": file.name, "height": height, "width": width, "y": record(blob, result)})
    normalizations = np.stack([normalization_table(options) for options in NORMALIZATIONS])
    document = {
        "made_with": {"pillow": PIL.__version__, "transformers": transformers.__version__},
        "pattern": fnv1a(pattern(37, 41, 5).tobytes()),
        "cases": cases,
        "boxes": boxes,
        "jpegs": jpegs,
        "normalizations": NORMALIZATIONS,
    }
    (FOLDER / "resize.json").write_text(json.dumps(document, indent=1) + "\n")
    (FOLDER / "resize.bin").write_bytes(blob)
    (FOLDER / "normalization.bin").write_bytes(normalizations.astype("<f4").tobytes())


if __name__ == "__main__":
    main()
