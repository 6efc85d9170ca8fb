"""What transformers gives for a model directory: vectors of photos, tensors by name, and metrics."""

import hashlib
import json
import pathlib
import platform

import numpy
import PIL
import safetensors
import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor, CLIPModel, CLIPVisionModelWithProjection

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def versions():
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
        "safetensors": safetensors.__version__,
    }


def deterministic():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def open_processor(directory):
    return AutoImageProcessor.from_pretrained(directory, backend="pil")


def open_model(directory, dtype=torch.float32):
    """The model and its parts that turn pixel values into vectors: (tower, projection)."""
    family = json.loads((pathlib.Path(directory) / "config.json").read_text())["model_type"]
    kind = CLIPModel if family == "clip" else CLIPVisionModelWithProjection
    model = kind.from_pretrained(directory, dtype=dtype, attn_implementation="eager").eval()
    return model.vision_model, model.visual_projection


def forward(tower, projection, pixel_values):
    """Tensors by the module that gives them, float32, and `image_embeds`."""
    seen, handles = {}, []

    def watch(name, module):
        handles.append(
            module.register_forward_hook(lambda _m, _i, out: seen.__setitem__(name, out))
        )

    watch("vision_model.pre_layrnorm", tower.pre_layrnorm)
    for index, layer in enumerate(tower.encoder.layers):
        watch(f"vision_model.encoder.layers.{index}", layer)
    watch("vision_model.post_layernorm", tower.post_layernorm)
    seen["image_embeds"] = projection(tower(pixel_values).pooler_output)
    for handle in handles:
        handle.remove()
    return {name: tensor.float().contiguous() for name, tensor in seen.items()}


def difference(y, reference):
    """Of the photo that comes off worst. Tensors (n, ...)."""
    y, reference = y.double().flatten(1), reference.double().flatten(1)
    gap, norm = y - reference, reference.norm(dim=1)
    return {
        "rel_l2": float((gap.norm(dim=1) / norm).max()),
        "max_over_rms": float((gap.abs().amax(1) / reference.square().mean(1).sqrt()).max()),
        "cosine": float(((y * reference).sum(1) / (y.norm(dim=1) * norm)).min()),
    }


def between_photos(vectors):
    """Cosines of all pairs (n, dim) -> (n, n)."""
    unit = torch.nn.functional.normalize(vectors, dim=1)
    return unit @ unit.T


def photo_paths(folder):
    """Names of the photos, sorted by their bytes."""
    names = [p.name for p in pathlib.Path(folder).iterdir() if p.suffix.lower() in PHOTO_SUFFIXES]
    return sorted(names, key=lambda name: name.encode())


def vectors_of(model_directory, photo_folder, paths, drop_alpha=False):
    """`image_embeds` (n, dim) of the photos, as they lie in their files: not turned by EXIF.

    transformers 5 lays transparent pictures on white; with `drop_alpha` Pillow's convert("RGB")
    comes first and keeps the colours under the transparency, as transformers 4 did.
    """
    processor = open_processor(model_directory)
    tower, projection = open_model(model_directory)
    rows = []
    for path in paths:
        with Image.open(pathlib.Path(photo_folder) / path) as photo:
            photo = photo.convert("RGB") if drop_alpha else photo
            values = processor(images=photo, return_tensors="pt")["pixel_values"]
        rows.append(forward(tower, projection, values)["image_embeds"])
    return torch.cat(rows)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
