"""Stores what transformers gives for the bundled model on the bundled photos, in vectors.safetensors.

make_demo.py [--model DIR] [--photos DIR] [--output FILE]
"""

import argparse
import json
import pathlib
import sys

from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clip"))

import reference  # noqa: E402

DEMO = HERE.parents[2] / "apps" / "demo"


def store(model, photos, output):
    """Writes `image_embeds`, `image_embeds_alpha_dropped` and the metadata that the README names."""
    paths = reference.photo_paths(photos)
    vectors = reference.vectors_of(model, photos, paths)
    dropped = reference.vectors_of(model, photos, paths, drop_alpha=True)
    metadata = {
        "paths": json.dumps(paths),
        "made_with": json.dumps(reference.versions(), sort_keys=True),
    }
    for file in sorted(pathlib.Path(model).glob("*.safetensors")):
        metadata[f"sha256:{file.name}"] = reference.sha256(file)
    save_file(
        {"image_embeds": vectors, "image_embeds_alpha_dropped": dropped}, output, metadata=metadata
    )
    return paths, vectors, dropped


def table(paths, vectors, dropped):
    cosines = reference.between_photos(vectors)
    for row, path in enumerate(paths):
        alpha = "" if vectors[row].equal(dropped[row]) else "  differs with alpha dropped"
        print(f"{path:28} " + " ".join(f"{c:5.2f}" for c in cosines[row]) + alpha)


def main():
    parser = argparse.ArgumentParser(
        description="Stores transformers' vectors of the bundled photos."
    )
    parser.add_argument("--model", type=pathlib.Path, default=DEMO / "model")
    parser.add_argument("--photos", type=pathlib.Path, default=DEMO / "photos")
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "vectors.safetensors")
    options = parser.parse_args()
    reference.deterministic()
    table(*store(options.model, options.photos, options.output))


if __name__ == "__main__":
    main()
