#!/usr/bin/env python3
"""Writes allocator.trace: what the customers of the caching allocator ask for in one long day.

    python3 apps/bench/allocator_trace.py > apps/bench/allocator.trace

A line is `a ID BYTES TAG STREAM` or `f ID`. Stream 0 copies, 1 computes. The sizes are those of the real
models and photos; the order comes from a seed, and the same file comes out everywhere.
"""

import random

rng = random.Random(4)
live = {}
next_id = 0


def take(count, tag, stream):
    global next_id
    print(f"a {next_id} {count} {tag} {stream}")
    live[next_id] = count
    next_id += 1
    return next_id - 1


def free(block):
    print(f"f {block}")
    del live[block]


class Model:
    """CLIP image tower: fp16 weights as the ops hold them, an arena and slots for one compute stream."""

    def __init__(self, dim, blocks, patch, side, out, batch):
        tokens = (side // patch) ** 2 + 1
        weights = [patch * patch * 3 * dim * 2, dim * 4, tokens * dim * 4, dim * 4, dim * 4]
        for _ in range(blocks):
            weights += [dim * 4] * 4
            for rows, columns in ((3 * dim, dim), (dim, dim), (4 * dim, dim), (dim, 4 * dim)):
                weights += [rows * columns * 2, rows * 4]
        weights += [dim * 4, dim * 4, out * dim * 2]
        self.blocks = [take(count, "weights", 0) for count in weights]
        arena = batch * tokens * dim * 2 * (1 + 4 + 4)
        self.blocks += [
            take(arena, "activations", 1),
            take(2 * batch * side * side * 3, "activations", 1),
            take(2 * batch * out * 4, "activations", 1),
            take(32 << 20, "workspace", 1),
        ]

    def unload(self):
        rng.shuffle(self.blocks)
        for block in self.blocks:
            free(block)


def base32():
    return Model(768, 12, 32, 224, 512, 64)


def large14():
    return Model(1024, 24, 14, 224, 768, 32)


# Height and width of photos people send, and how often; a fifth is cropped to some other size.
PHOTOS = [((1080, 1920), 30), ((1280, 960), 15), ((3000, 4000), 20), ((3024, 4032), 15), ((600, 800), 10), ((2000, 3000), 10)]


def photo():
    sizes, weights = zip(*PHOTOS)
    height, width = rng.choices(sizes, weights)[0]
    if rng.random() < 0.2:
        height = int(height * rng.uniform(0.4, 1))
        width = int(width * rng.uniform(0.4, 1))
    # The source rectangle of a square crop, with the filter's support.
    side = min(height, width) + 8
    return side * min(side, max(height, width)) * 3


def serve(albums, labels, in_flight=24):
    """Images come and go nearly in order; label matrices are made before the old ones go."""
    images = []
    for _ in range(albums):
        for _ in range(rng.randint(10, 40)):
            while len(images) >= in_flight:
                free(images.pop(min(int(rng.expovariate(0.5)), len(images) - 1)))
            images.append(take(photo(), "staging", 0))
        if rng.random() < 0.5:
            fresh = take(rng.choice([200, 1000, 1000, 5000]) * 512 * 4, "labels", 1)
            free(labels.pop(0))
            labels.append(fresh)
        if rng.random() < 0.3:  # near-duplicates: a block of the matrix of an album against the rest
            rows = [take(rng.randint(20, 100) * 512 * 4, "labels", 1) for _ in range(4)]
            for block in rows:
                free(block)
        if rng.random() < 0.2:  # a quiet moment
            for block in images:
                free(block)
            images = []
    for block in images:
        free(block)


print("# Made by allocator_trace.py; do not edit.")
model = base32()
labels = [take(1000 * 512 * 4, "labels", 1) for _ in range(3)]
for _ in range(2):
    serve(25, labels)
    second = large14()  # beside the first, then in its place
    serve(10, labels)
    model.unload()
    serve(25, labels)
    model = base32()
    second.unload()
    serve(15, labels)
model.unload()
for block in labels:
    free(block)
assert not live
