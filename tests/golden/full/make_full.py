"""Stores what transformers gives for a full-size model directory on the bundled photos.

The directory is not in the tree; make it first:

    engine-run synth --arch clip-vit-base-patch32 --output DIR
    make_full.py DIR        # writes clip-vit-base-patch32.safetensors beside this script
"""

import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "clip"), str(HERE.parent / "demo")]

import make_demo  # noqa: E402
import reference  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        description="Stores transformers' vectors for a full-size model."
    )
    parser.add_argument("model", type=pathlib.Path, help="a directory made by engine-run synth")
    parser.add_argument("--photos", type=pathlib.Path, default=make_demo.DEMO / "photos")
    parser.add_argument(
        "--output", type=pathlib.Path, default=HERE / "clip-vit-base-patch32.safetensors"
    )
    options = parser.parse_args()
    reference.deterministic()
    make_demo.table(*make_demo.store(options.model, options.photos, options.output))


if __name__ == "__main__":
    main()
