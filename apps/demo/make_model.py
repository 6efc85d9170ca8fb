"""Makes model/: a small random CLIP image tower. See README.md. Run after make_photos.py."""

import json
import pathlib
import shutil
import sys

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "golden" / "clip"))

import models  # noqa: E402
import reference  # noqa: E402
import weights  # noqa: E402

SEED = 1
SIZE_LIMIT = 1_500_000  # bytes of the directory's weights
CONFIG = models.vision(
    dtype="float16",
    hidden_act="quick_gelu",
    hidden_size=128,
    image_size=128,
    intermediate_size=256,
    layer_norm_eps=1e-5,
    num_attention_heads=2,
    num_hidden_layers=4,
    patch_size=16,
    projection_dim=64,
)


def write_json(name, value):
    (HERE / "model" / name).write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def main():
    reference.deterministic()
    directory = HERE / "model"
    card = (directory / "README.md").read_text()
    shutil.rmtree(directory)
    directory.mkdir()
    (directory / "README.md").write_text(card)
    write_json("config.json", CONFIG)
    write_json("preprocessor_config.json", models.preprocessor(128))

    processor = reference.open_processor(directory)
    pictures = []
    for path in reference.photo_paths(HERE / "photos"):
        with Image.open(HERE / "photos" / path) as photo:
            pictures.append(photo.convert("RGB"))
    values = processor(images=pictures, return_tensors="pt")["pixel_values"]
    model = CLIPVisionModelWithProjection._from_config(
        CLIPVisionConfig.from_pretrained(directory),
        dtype=torch.float32,
        attn_implementation="eager",
    ).eval()
    outliers = weights.draw_vision(model.vision_model, model.visual_projection, values, SEED)
    state = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    size = (directory / "model.safetensors").stat().st_size
    assert size < SIZE_LIMIT, size

    tower, _ = reference.open_model(directory)
    measured = weights.spreads(tower, values, outliers)
    weights.check_spreads(measured)
    print(f"{size:,} bytes", measured)


if __name__ == "__main__":
    main()
