"""Compares engine-run with transformers on the bundled model and photos. See ../README.md.

agree.py ENGINE_RUN [--model DIR] [--photos DIR]        exits 1 where they disagree
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from PIL import Image
from safetensors import safe_open
from torch.nn import functional

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import evaluate  # noqa: E402

TEMPLATE = "a photo of {}"
COSINE, PROBABILITY = 0.999999, 1e-3  # of fp32 on both sides


def engine_vectors(program, model, photos):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "vectors.safetensors"
        subprocess.run(
            [program, "embed", photos, "--model", model, "--output", file, "--quiet"], check=True
        )
        with safe_open(file, "pt") as tensors:
            return tensors.get_tensor("image_embeds")


def engine_tags(program, model, photos, labels):
    """[(path, {label: probability})]"""
    arguments = ["--labels-file", labels, "--template", TEMPLATE, "--format", "jsonl"]
    count = len(labels.read_text().splitlines())
    lines = subprocess.run(
        [program, "tag", photos, "--model", model, *arguments, "--top-k", str(count), "--quiet"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    return [(r["path"], {t["label"]: t["probability"] for t in r["tags"]}) for r in rows]


def main():
    parser = argparse.ArgumentParser(description="Compares engine-run with transformers.")
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, default=HERE.parent / "model")
    parser.add_argument("--photos", type=pathlib.Path, default=HERE.parent / "photos")
    parser.add_argument("--labels", type=pathlib.Path, default=HERE.parent / "labels.txt")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    answers = evaluate.Answers(options.model)
    tags = engine_tags(options.program, options.model, options.photos, options.labels)
    vectors = engine_vectors(options.program, options.model, options.photos)
    images = answers.images([Image.open(path) for path, _ in tags])
    labels = options.labels.read_text().splitlines()
    texts = answers.texts([TEMPLATE.format(label) for label in labels])
    logits = answers.model.logit_scale.exp() * functional.normalize(images, dim=1) @ texts.T
    cosines = functional.cosine_similarity(images, vectors, dim=1)
    gap, same = 0.0, 0
    for (path, seen), row in zip(tags, logits.softmax(1)):
        gap = max(gap, *(abs(seen[label] - float(p)) for label, p in zip(labels, row)))
        same += max(seen, key=seen.get) == labels[int(row.argmax())]
    print(f"{len(tags)} photos, {len(labels)} labels")
    print(f"least cosine of two vectors {float(cosines.min()):.8f}")
    print(f"largest difference of two probabilities {gap:.1e}")
    print(f"same first tag: {same} of {len(tags)}")
    sys.exit(float(cosines.min()) < COSINE or gap > PROBABILITY or same < len(tags))


if __name__ == "__main__":
    main()
