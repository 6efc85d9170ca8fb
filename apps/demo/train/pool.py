"""Renders the scenes to learn from into one file: pictures, what is on them. See ../README.md.

pool.py FILE.npz [--shapes N] [--motifs N_OF_EACH] [--seed 1] [--processes 1]
"""

import argparse
import multiprocessing
import pathlib
import sys
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import camera  # noqa: E402
import captions  # noqa: E402
import motifs  # noqa: E402
import shapes  # noqa: E402

SIDE = 72  # learning takes 64 x 64 of it, at another place each time
SHORTEST, LONGEST = 72, 160  # pixels of the shorter side of rendered shapes


def shape_picture(rng):
    height = int(rng.integers(SHORTEST, LONGEST))
    width = int(height * rng.uniform(1, 1.5))
    picture, scene = shapes.render(rng, shapes.draw_scene(rng), height, width)
    return picture, scene


def motif_picture(rng, motif):
    return motifs.render(rng, motif), shapes.Scene(motif=motif)


def render(job):
    """The picture (SIDE, SIDE, 3) of a job (seed, motif or 0, index) and its scene as ids.

    Each job has its own stream of numbers, so that pictures do not depend on each other.
    """
    _, motif, _ = job
    rng = np.random.default_rng(job)
    picture, scene = motif_picture(rng, motif) if motif else shape_picture(rng)
    photo = camera.worn(rng, motifs.photo(picture), SHORTEST)
    return np.asarray(camera.fitted(photo, SIDE)), captions.encoded(scene)


def main():
    parser = argparse.ArgumentParser(description="Renders the scenes to learn from.")
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--shapes", type=int, default=22000)
    parser.add_argument("--motifs", type=int, default=300, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    jobs = [(options.seed, 0, i) for i in range(options.shapes)]
    jobs += [
        (options.seed, motif + 1, i)
        for motif in range(len(motifs.MOTIFS))
        for i in range(options.motifs)
    ]
    pictures = np.empty((len(jobs), SIDE, SIDE, 3), np.uint8)
    scenes = np.empty((len(jobs), captions.WIDTH), np.int8)
    start = time.monotonic()
    with multiprocessing.Pool(options.processes) as workers:
        for row, made in enumerate(workers.imap(render, jobs, 20)):
            pictures[row], scenes[row] = made
            if row % 1000 == 999:
                print(f"{row + 1} of {len(jobs)}, {time.monotonic() - start:.0f} s", flush=True)
    np.savez(options.output, pictures=pictures, scenes=scenes)


if __name__ == "__main__":
    main()
