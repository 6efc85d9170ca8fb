"""Pictures that learning never sees: other seeds, and sizes outside those of the pool."""

import numpy as np

import camera
import motifs
import pool
import shapes

SEED = 1_000_003  # pool.py is run with other ones
SIZES = [48, 60, 200, 333, 480, 640]  # of the shorter side
LABELS = [f"{colour} {shape}" for colour in shapes.COLOURS for shape in shapes.SHAPES]
assert all(not pool.SHORTEST <= size < pool.LONGEST for size in SIZES)


def single_object(index):
    """(photo with JPEG artefacts, number of its label)."""
    rng = np.random.default_rng([SEED, index])
    height = SIZES[index % len(SIZES)]
    scene = shapes.draw_scene(rng, kinds=1, most=1)
    picture, scene = shapes.render(rng, scene, height, int(height * rng.uniform(1, 1.5)))
    photo = camera.as_jpeg(motifs.photo(picture), int(rng.integers(30, 91)), 2)
    group = scene.groups[0]
    return photo, (group.colour - 1) * len(shapes.SHAPES) + group.shape - 1


def counted(index):
    """(photo, number of objects) of one to four objects of one kind, with the label's noun."""
    rng = np.random.default_rng([SEED, 1, index])
    height = SIZES[2 + index % (len(SIZES) - 2)]
    scene = shapes.draw_scene(rng, kinds=1)
    picture, scene = shapes.render(rng, scene, height, int(height * rng.uniform(1, 1.5)))
    photo = camera.as_jpeg(motifs.photo(picture), int(rng.integers(30, 91)), 2)
    return photo, scene.groups[0]


def motif(index):
    """(photo, number of the motif from 0)."""
    rng = np.random.default_rng([SEED, 2, index])
    which = index % len(motifs.MOTIFS)
    photo = motifs.photo(motifs.render(rng, which + 1))
    return camera.as_jpeg(photo, int(rng.integers(30, 91)), 2), which
