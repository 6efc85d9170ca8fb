"""Makes the golden CLIP models beside this script. See README.md.

make_clip.py [--output DIR] [NAME...]
"""

import argparse
import json
import pathlib
import shutil

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

import faults
import models
import reference
import weights

HERE = pathlib.Path(__file__).resolve().parent
PHOTO_SEED = 20261121
SIZE_LIMIT = 1_000_000  # bytes of one directory


def photos():
    """Three pictures with edges, colour and texture; landscape, portrait and square."""
    rng = np.random.default_rng(PHOTO_SEED)
    for (width, height), low, high in (
        ((150, 110), (40, 90, 160), (250, 200, 150)),
        ((97, 131), (30, 60, 20), (180, 220, 90)),
        ((120, 120), (200, 60, 50), (40, 20, 60)),
    ):
        t = np.linspace(0, 1, height)[:, None, None] * np.ones((1, width, 1))
        texture = rng.normal(0, 14, (height, width, 1))
        pixels = np.array(low) * (1 - t) + np.array(high) * t + texture
        picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        draw = ImageDraw.Draw(picture)
        for _ in range(9):
            x, y = rng.integers(0, width), rng.integers(0, height)
            a, b = rng.integers(8, 45, 2)
            colour = tuple(int(c) for c in rng.integers(0, 256, 3))
            (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(
                [x - a, y - b, x + a, y + b], fill=colour
            )
        yield picture


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_description(directory, spec):
    write_json(directory / "config.json", spec["config"])
    if spec.get("processor_config"):
        write_json(
            directory / "processor_config.json",
            {"image_processor": spec["preprocessor"], "processor_class": "CLIPProcessor"},
        )
    else:
        write_json(directory / "preprocessor_config.json", spec["preprocessor"])


def write_weights(directory, spec, state):
    dtype = getattr(torch, spec.get("storage", "float32"))
    state = {name: tensor.to(dtype).contiguous() for name, tensor in state.items()}
    if spec.get("position_ids"):
        tokens = len(state["vision_model.embeddings.position_embedding.weight"])
        words = len(state["text_model.embeddings.position_embedding.weight"])
        state["vision_model.embeddings.position_ids"] = torch.arange(tokens)[None]
        state["text_model.embeddings.position_ids"] = torch.arange(words)[None]
    shards = spec.get("shards", 1)
    if shards == 1:
        save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
        return
    names, index = sorted(state), {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: state[name] for name in names[shard::shards]}
        save_file(part, directory / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    total = sum(t.numel() * t.element_size() for t in state.values())
    write_json(
        directory / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": index},
    )


def fresh_model(directory, seed):
    torch.manual_seed(seed)  # for the text tower, which nothing here measures
    family = json.loads((directory / "config.json").read_text())["model_type"]
    config, kind = (
        (CLIPConfig, CLIPModel)
        if family == "clip"
        else (CLIPVisionConfig, CLIPVisionModelWithProjection)
    )
    config = config.from_pretrained(directory)
    return kind._from_config(config, dtype=torch.float32, attn_implementation="eager").eval()


def make(spec, output, seed):
    directory = output / spec["name"]
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    write_description(directory, spec)

    processor = reference.open_processor(directory)
    pictures = list(photos())
    pixels = np.stack(
        [
            np.asarray(p).transpose(1, 2, 0)
            for p in processor(images=pictures, do_rescale=False, do_normalize=False)[
                "pixel_values"
            ]
        ]
    )
    assert pixels.dtype == np.uint8
    finish = dict(
        do_resize=False,
        do_center_crop=False,
        return_tensors="pt",
        input_data_format="channels_last",
    )
    values = processor(images=pictures, return_tensors="pt")["pixel_values"]
    assert torch.equal(values, processor(images=list(pixels), **finish)["pixel_values"])
    bgr = processor(images=[np.ascontiguousarray(p[..., ::-1]) for p in pixels], **finish)[
        "pixel_values"
    ]

    model = fresh_model(directory, seed)
    outliers = weights.draw_vision(model.vision_model, model.visual_projection, values, seed)
    write_weights(directory, spec, model.state_dict())

    # From here on everything comes from the files.
    tower, projection = reference.open_model(directory)
    measured = weights.spreads(tower, values, outliers)
    weights.check_spreads(measured)
    tensors = reference.forward(tower, projection, values)
    assert all(t.isfinite().all() for t in tensors.values())
    cosines = reference.between_photos(tensors["image_embeds"])
    pairs = [float(cosines[i, j]) for i in range(len(cosines)) for j in range(i)]
    assert all(0.2 <= c <= 0.9 for c in pairs), pairs
    half = reference.forward(*reference.open_model(directory, torch.bfloat16), values)
    found = dict(faults.run(tower, projection, values, bgr))
    assert all(f["max_over_rms"] > 0.1 and f["cosine"] < 0.999 for f in found.values()), found

    save_file(
        {"pixels": torch.from_numpy(pixels), "pixel_values": values, **tensors},
        directory / "golden.safetensors",
    )
    write_json(
        directory / "golden.json",
        {
            "about": spec["about"],
            "bf16": {n: reference.difference(half[n], tensors[n]) for n in tensors},
            "cosines_between_photos": pairs,
            "faults": found,
            "made_with": reference.versions(),
            "outlier_channels": outliers,
            "seed": seed,
            "spreads": measured,
        },
    )
    size = sum(file.stat().st_size for file in directory.iterdir())
    assert size < SIZE_LIMIT, f"{spec['name']} takes {size:,} bytes"
    print(
        f"{spec['name']:20} {size:8,} bytes, between photos {min(pairs):.2f}..{max(pairs):.2f}, logits"
        f" {min(measured['logit_sd']):.2f}..{max(measured['logit_sd']):.2f}, fc1"
        f" {min(measured['fc1_sd']):.2f}..{max(measured['fc1_sd']):.2f}",
        flush=True,
    )


def fault_table(output):
    found = {
        s["name"]: json.loads((output / s["name"] / "golden.json").read_text())["faults"]
        for s in models.MODELS
    }
    main = found[models.MODELS[0]["name"]]
    assert len(main) == 7, main
    lines = ["| model | " + " | ".join(main) + " |", "|---" * (len(main) + 1) + "|"]
    for name, faulty in found.items():
        cells = [
            f"{faulty[f]['max_over_rms']:.2g}, {faulty[f]['cosine']:.4f}" if f in faulty else ""
            for f in main
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def bf16_table(output):
    lines = [
        "| model | last block, rel_l2 | image_embeds: rel_l2 | max_over_rms | cosine |",
        "|---|---|---|---|---|",
    ]
    for spec in models.MODELS:
        bf16 = json.loads((output / spec["name"] / "golden.json").read_text())["bf16"]
        last, end = bf16[max(n for n in bf16 if ".layers." in n)], bf16["image_embeds"]
        lines.append(
            f"| {spec['name']} | {last['rel_l2']:.2g} | {end['rel_l2']:.2g} | {end['max_over_rms']:.2g}"
            f" | {end['cosine']:.6f} |"
        )
    return "\n".join(lines)


def put(text, name, table):
    head, rest = text.split(f"<!-- {name} -->\n")
    return f"{head}<!-- {name} -->\n{table}\n<!-- /{name} -->{rest.split(f'<!-- /{name} -->')[1]}"


def main():
    parser = argparse.ArgumentParser(description="Makes the golden CLIP models.")
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--output", type=pathlib.Path, default=HERE)
    options = parser.parse_args()
    reference.deterministic()
    for spec in models.MODELS:
        if not options.names or spec["name"] in options.names:
            make(spec, options.output, spec["seed"])
    if not options.names:
        faulty, bf16 = fault_table(options.output), bf16_table(options.output)
        print(faulty, bf16, sep="\n\n")
        readme = HERE / "README.md"
        if options.output == HERE and readme.exists():
            readme.write_text(put(put(readme.read_text(), "faults", faulty), "bf16", bf16))


if __name__ == "__main__":
    main()
