"""What a model directory knows, on pictures that learning never saw. See ../README.md.

evaluate.py DIRECTORY [--count 1440]
"""

import argparse
import pathlib
import sys

import torch
from torch.nn import functional
from transformers import AutoImageProcessor, CLIPModel, CLIPTokenizer

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import captions  # noqa: E402
import directory  # noqa: E402
import heldout  # noqa: E402
import shapes  # noqa: E402


class Answers:
    """Zero-shot answers of one model directory."""

    def __init__(self, folder):
        self.processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        self.model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()

    def texts(self, texts):
        ids = self.tokenizer(texts, padding=True, return_tensors="pt")
        return functional.normalize(self.model.get_text_features(**ids).pooler_output, dim=1)

    def images(self, photos):
        pixels = [self.processor(images=p, return_tensors="pt")["pixel_values"] for p in photos]
        return self.model.get_image_features(torch.cat(pixels)).pooler_output


def share(hits):
    return f"{100 * float(torch.as_tensor(hits).float().mean()):.1f} %"


def plural(group):
    noun = shapes.SHAPES[group.shape - 1]
    return noun if group.count == 1 else captions.PLURALS.get(noun, noun + "s")


def main():
    parser = argparse.ArgumentParser(description="Zero-shot accuracy on held-out pictures.")
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=1440, help="pictures of one object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    answers = Answers(options.directory)

    photos, wanted = zip(*(heldout.single_object(i) for i in range(options.count)))
    wanted, images = torch.tensor(wanted), answers.images(photos)
    texts = answers.texts([f"a photo of a {label}" for label in heldout.LABELS])
    found = (images @ texts.T).argmax(1)
    hits = found == wanted
    print(f"one object, {len(heldout.LABELS)} labels, {options.count} pictures: {share(hits)}")
    for place, size in enumerate(heldout.SIZES):
        print(f"    shorter side {size}: {share(hits[place :: len(heldout.SIZES)])}")
    kinds = len(shapes.SHAPES)
    print(f"    colour right: {share(found // kinds == wanted // kinds)}")
    print(f"    shape right: {share(found % kinds == wanted % kinds)}")

    photos, groups = zip(*(heldout.counted(i) for i in range(options.count // 4)))
    images, hits = answers.images(photos), []
    for row, group in enumerate(groups):
        colour = shapes.COLOURS[group.colour - 1]
        claims = [
            f"a photo of {word} {colour} {plural(shapes.Group(n + 1, group.colour, group.shape))}"
            for n, word in enumerate(captions.COUNTS)
        ]
        hits.append(int((images[row] @ answers.texts(claims).T).argmax()) == group.count - 1)
    print(f"how many of one kind, 1 to 4, {len(hits)} pictures: {share(hits)}")

    photos, wanted = zip(*(heldout.motif(i) for i in range(220)))
    labels = [*directory.MOTIF_LABELS, *heldout.LABELS]
    texts = answers.texts([f"a photo of a {label}" for label in labels])
    hits = (answers.images(photos) @ texts.T).argmax(1) == torch.tensor(wanted)
    print(f"motifs, {len(labels)} labels, {len(hits)} pictures: {share(hits)}")


if __name__ == "__main__":
    main()
