"""Stores what transformers gives for the bundled model on the bundled photos and labels, in vectors.safetensors.

make_demo.py [--model DIR] [--photos DIR] [--output FILE]
"""

import argparse
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clip"))

import reference  # noqa: E402

DEMO = HERE.parents[2] / "apps" / "demo"
TEMPLATE = "a photo of {}"  # as `make demo` has it


def tags(model, vectors):
    """`text_embeds` (labels, dim) of the demo's labels and `probabilities` (photos, labels)."""
    labels = (DEMO / "labels.txt").read_text().splitlines()
    tokenizer = CLIPTokenizer.from_pretrained(model)
    clip = CLIPModel.from_pretrained(model, dtype=torch.float32, attn_implementation="eager").eval()
    ids = tokenizer([TEMPLATE.format(label) for label in labels], padding="max_length", return_tensors="pt")
    texts = clip.get_text_features(**ids).pooler_output
    cosines = functional.normalize(vectors, dim=1) @ functional.normalize(texts, dim=1).T
    probabilities = (clip.logit_scale.exp() * cosines).softmax(1)
    return {"text_embeds": texts, "probabilities": probabilities}


def store(model, photos, output, more=lambda model, vectors: {}):
    """Writes `image_embeds`, `image_embeds_alpha_dropped`, `more` and the metadata that the README names."""
    paths = reference.photo_paths(photos)
    vectors = reference.vectors_of(model, photos, paths)
    dropped = reference.vectors_of(model, photos, paths, drop_alpha=True)
    metadata = {
        "paths": json.dumps(paths),
        "made_with": json.dumps(reference.versions(), sort_keys=True),
    }
    for file in sorted(pathlib.Path(model).glob("*.safetensors")):
        metadata[f"sha256:{file.name}"] = reference.sha256(file)
    tensors = {"image_embeds": vectors, "image_embeds_alpha_dropped": dropped}
    save_file(tensors | more(model, vectors), output, metadata=metadata)
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
    table(*store(options.model, options.photos, options.output, tags))


if __name__ == "__main__":
    main()
