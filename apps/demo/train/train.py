"""Learns the bundled model from a pool of rendered scenes, on one processor core. See ../README.md.

train.py POOL.npz OUTPUT_DIRECTORY [--steps N] [--resume CHECKPOINT]
"""

import argparse
import pathlib
import sys
import time

import numpy as np
import torch
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import captions  # noqa: E402
import directory  # noqa: E402
import heldout  # noqa: E402
import initial  # noqa: E402
import vocabulary  # noqa: E402

SEED = 20261121
BATCH = 64
PEAK = 1.5e-3  # learning rate
WARM_UP = 100  # steps
EASY = 400  # steps that mostly show one large object
SCALE_RATE = 10  # times as fast: the logit scale must rise by a factor of five or so
DECAY = 0.35  # share of the steps in which the rate falls to nothing
MOTIF_SHARE = 0.15  # of a batch
READER_SHARE = 0.3  # of the loss of Reader


class Pool:
    def __init__(self, file):
        data = np.load(file)
        self.pictures, self.scenes = data["pictures"], data["scenes"]
        motif, count, size, more = self.scenes[:, [0, 2, 5, 7]].T
        self.of_motifs = np.flatnonzero(motif)
        self.of_shapes = np.flatnonzero(motif == 0)
        self.of_one = np.flatnonzero((count == 1) & (more == 0))
        self.of_large_ones = np.flatnonzero((count == 1) & (more == 0) & (size == 2))

    def shapes(self, rng, count, easy):
        """Rows of pictures of shapes: half of them of one object, at first mostly a large one."""
        ones = count // 2 if not easy else count * 7 // 8
        return np.concatenate(
            [
                rng.choice(self.of_large_ones if easy else self.of_one, ones),
                rng.choice(self.of_shapes, count - ones),
            ]
        )

    def batch(self, rng, side, easy):
        """Pictures (batch, 3, side, side) in 0..1, their scenes, texts and claims of the texts.

        Texts are a caption of each picture and then one of each with something changed.
        """
        motifs = int(BATCH * MOTIF_SHARE)
        rows = np.concatenate(
            [self.shapes(rng, BATCH - motifs, easy), rng.choice(self.of_motifs, motifs)]
        )
        spare = self.pictures.shape[1] - side
        cut = []
        for row, (y, x) in zip(rows, rng.integers(spare + 1, size=(BATCH, 2))):
            cut.append(self.pictures[row, y : y + side, x : x + side])
        x = torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).float() / 255
        light = rng.uniform(0.9, 1.1, (BATCH, 1, 1, 1)) * rng.uniform(0.96, 1.04, (BATCH, 3, 1, 1))
        x = x * torch.from_numpy(light).float()
        x += torch.from_numpy(rng.uniform(-0.03, 0.03, (BATCH, 1, 1, 1))).float()
        scenes = [captions.decoded(self.scenes[row]) for row in rows]
        said = [captions.caption(rng, scene) for scene in scenes]
        said += [captions.caption(rng, captions.altered(rng, scene)) for scene in scenes]
        claims = np.stack([captions.encoded(claim) for _, claim in said])
        return x.clamp(0, 1), self.scenes[rows], [text for text, _ in said], claims


class Reader(torch.nn.Module):
    """What is in a picture, read off the image tower by one product each; only for learning.

    Captions alone teach colours and motifs within minutes and shapes very late; this says from the
    first step on which shape is where. It is thrown away afterwards.
    """

    def __init__(self, dim, facts):
        super().__init__()
        self.of_class, self.of_patches = torch.nn.Linear(dim, facts), torch.nn.Linear(dim, facts)
        for layer in (self.of_class, self.of_patches):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.constant_(layer.bias, -3)

    def loss(self, seen, facts):
        """seen: the image tower's output; facts (n, facts) of 0 and 1."""
        return sum(
            functional.binary_cross_entropy_with_logits(read, facts, reduction="none").sum(1).mean()
            for read in (
                self.of_class(seen.pooler_output),
                self.of_patches(seen.last_hidden_state[:, 1:].mean(1)),
            )
        )


def contrastive(model, images, ids, false):
    """CLIP's loss in which a text that happens to be true of another picture is no negative.

    The first n texts belong to the n pictures, the others to none.
    images (n, dim); false (n, texts) bool: the text is not true of the picture.
    """
    images = functional.normalize(images, dim=1)
    texts = functional.normalize(model.get_text_features(**ids).pooler_output, dim=1)
    logits = model.logit_scale.exp() * images @ texts.T
    own = torch.eye(*logits.shape, dtype=torch.bool)
    logits = logits.masked_fill(~(false | own), float("-inf"))
    target = torch.arange(len(images))
    of_texts = functional.cross_entropy(logits[:, : len(images)].T, target)
    return (functional.cross_entropy(logits, target) + of_texts) / 2


def rate(step, steps):
    fall = (steps - step) / (DECAY * steps)
    return PEAK * min(1, (step + 1) / WARM_UP, fall)


class Examination:
    """Zero-shot answers on held-out pictures, during learning: fewer than evaluate.py's."""

    def __init__(self, tokenizer, side):
        self.tokenizer = tokenizer
        self.sets = {}
        for name, make, count, labels in (
            ("one object", heldout.single_object, 180, heldout.LABELS),
            ("motifs", heldout.motif, 44, directory.MOTIF_LABELS),
        ):
            photos, answers = zip(*(make(10_000 + i) for i in range(count)))
            pixels = torch.stack([directory.pixels(photo, side) for photo in photos])
            self.sets[name] = pixels, torch.tensor(answers), labels

    @torch.no_grad()
    def __call__(self, model):
        found = {}
        for name, (pixels, answers, labels) in self.sets.items():
            texts = [f"a photo of a {label}" for label in labels]
            ids = self.tokenizer(texts, padding=True, return_tensors="pt")
            texts = functional.normalize(model.get_text_features(**ids).pooler_output, dim=1)
            images = model.get_image_features(pixels).pooler_output
            found[name] = float(((images @ texts.T).argmax(1) == answers).float().mean())
        return found


def main():
    parser = argparse.ArgumentParser(description="Learns the bundled model.")
    parser.add_argument("pool", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--resume", type=pathlib.Path, help="a checkpoint of this script")
    parser.add_argument("--stop", type=int, help="step after which to end, for a look")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    options.output.mkdir(parents=True, exist_ok=True)
    tokenizer = vocabulary.write(options.output)
    config = directory.config(tokenizer)
    side = config["vision_config"]["image_size"]
    # It is stored as fp16 and learnt as fp32.
    model = CLIPModel._from_config(
        CLIPConfig(**config), dtype=torch.float32, attn_implementation="sdpa"
    )
    initial.start(model.vision_model)
    model.logit_scale.data.fill_(np.log(14))
    reader = Reader(config["vision_config"]["hidden_size"], captions.FACTS)
    both = [*model.parameters(), *reader.parameters()]
    groups = [
        {"params": [p for p in both if p.ndim > 1], "weight_decay": 0.05, "times": 1},
        {"params": [p for p in both if p.ndim == 1], "weight_decay": 0, "times": 1},
        {"params": [model.logit_scale], "weight_decay": 0, "times": SCALE_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.98))
    first = 0
    if options.resume:
        state = torch.load(options.resume)
        model.load_state_dict(state["model"])
        reader.load_state_dict(state["reader"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    pool, examine = Pool(options.pool), Examination(tokenizer, side)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    start, losses = time.process_time(), []
    for step in range(first, options.stop or options.steps):
        # Numbers by step, so that a resumed run sees the batches of an uninterrupted one.
        rng = np.random.default_rng([SEED, step])
        pixels, scenes, texts, claims = pool.batch(rng, side, step < EASY)
        ids = tokenizer(texts, padding=True, return_tensors="pt")
        false = torch.from_numpy(~captions.truth(scenes, claims))
        for group in optimizer.param_groups:
            group["lr"] = rate(step, options.steps) * group["times"]
        seen = model.vision_model(directory.normalized(pixels))
        apart = contrastive(model, model.visual_projection(seen.pooler_output), ids, false)
        facts = torch.from_numpy(captions.facts(scenes))
        loss = apart + READER_SHARE * reader.loss(seen, facts)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(both, 1.0)
        optimizer.step()
        model.logit_scale.data.clamp_(max=np.log(100))
        losses.append((apart.item(), loss.item()))
        if step % 20 == 19:
            took = time.process_time() - start
            apart, whole = np.mean(losses[-20:], 0)
            print(f"step {step + 1} loss {apart:.3f} of {whole:.3f} {took:.0f} s", flush=True)
        if step % 200 == 199 or step + 1 == options.steps:
            print(f"step {step + 1}", examine(model), flush=True)
            state = {"model": model.state_dict(), "reader": reader.state_dict()}
            state |= {"optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, options.output / "checkpoint.pt")
    directory.write(model, config, options.output)


if __name__ == "__main__":
    main()
