"""Makes the golden CLIP models with text beside this script. See README.md.

make_clip_text.py [--output DIR] [NAME...]
"""

import argparse
import json
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clip"))

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

import models
import reference
import weights
from make_clip import photos, write_json
from weights_text import draw_text

SIZE_LIMIT = 1_000_000  # bytes of one directory
LEGACY_END = 2
VISION = {
    "hidden_size": 32, "image_size": 32, "intermediate_size": 64, "num_attention_heads": 1,
    "num_hidden_layers": 1, "patch_size": 16, "hidden_act": "quick_gelu",
}  # fmt: skip
TEXTS = [
    "",
    "a photo of a cat",
    "A photo of two  small DOGS, beside the river!",
    "여울 사진: 빨간 꽃 3",
    "don't 😀 <|endoftext|> after the end",
    " ".join(f"{i} red trees under the moon" for i in range(30)),
]
MODELS = [
    {
        "name": "quick-gelu-77",
        "about": "the main one: 77 tokens, three blocks, two heads of 32; pads with the end token; fp16",
        "tokenizer": "vocab-merges",
        "storage": "float16",
        "seed": 6,
        "projection_dim": 48,
        "text": {
            "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_hidden_layers": 3,
            "hidden_act": "quick_gelu",
        },
    },
    {
        "name": "gelu-tanh-19-legacy",
        "about": "19 tokens, eos_token_id 2: pooled at the largest id; pads with '!'; three heads of 32, eps 0.05, bf16",
        "tokenizer": "tokenizer-json",
        "storage": "bfloat16",
        "seed": 5,
        "projection_dim": 24,
        "text": {
            "hidden_size": 96, "intermediate_size": 64, "num_attention_heads": 3, "num_hidden_layers": 2,
            "hidden_act": "gelu_pytorch_tanh", "max_position_embeddings": 19, "layer_norm_eps": 0.05,
        },
    },
]  # fmt: skip


def write_files(directory, spec, tokenizer):
    for file in (HERE.parent / "tokenizer" / spec["tokenizer"]).iterdir():
        shutil.copy(file, directory)
    legacy = spec["name"].endswith("legacy")
    text = spec["text"] | {
        "vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": LEGACY_END if legacy else tokenizer.eos_token_id,
    }  # fmt: skip
    write_json(directory / "preprocessor_config.json", models.preprocessor(VISION["image_size"]))
    write_json(
        directory / "config.json",
        {
            "architectures": ["CLIPModel"],
            "model_type": "clip",
            "projection_dim": spec["projection_dim"],
            "text_config": text,
            "vision_config": VISION,
        },
    )


def forward(model, ids):
    """Tensors by the module that gives them, float32, and `text_embeds`."""
    tower, seen, handles = model.text_model, {}, []

    def watch(name, module):
        hook = lambda _m, _i, out: seen.__setitem__(name, out)
        handles.append(module.register_forward_hook(hook))

    watch("text_model.embeddings", tower.embeddings)
    for index, layer in enumerate(tower.encoder.layers):
        watch(f"text_model.encoder.layers.{index}", layer)
    seen["text_embeds"] = model.text_projection(tower(ids).pooler_output)
    for handle in handles:
        handle.remove()
    return {name: tensor.float().contiguous() for name, tensor in seen.items()}


def make(spec, output):
    directory = output / spec["name"]
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    tokenizer = CLIPTokenizer.from_pretrained(HERE.parent / "tokenizer" / spec["tokenizer"])
    write_files(directory, spec, tokenizer)
    config = CLIPConfig.from_pretrained(directory)
    context = config.text_config.max_position_embeddings
    encoded = tokenizer(TEXTS, padding="max_length", truncation=True, max_length=context, return_tensors="pt")
    ids = encoded["input_ids"]
    end = tokenizer.eos_token_id
    pooled = (ids == end).int().argmax(1)

    torch.manual_seed(spec["seed"])
    model = CLIPModel._from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    processor = reference.open_processor(directory)
    values = processor(images=list(photos()), return_tensors="pt")["pixel_values"]
    weights.draw_vision(model.vision_model, model.visual_projection, values, spec["seed"])
    draw_text(model.text_model, model.text_projection, ids, pooled, spec["seed"])
    model.logit_scale.data.fill_(3.5)
    dtype = getattr(torch, spec["storage"])
    state = {name: tensor.to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})

    # From here on everything comes from the files.
    model = CLIPModel.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    tensors = forward(model, ids)
    assert all(t.isfinite().all() for t in tensors.values())
    # Padding comes after what is pooled: masking it changes nothing.
    masked = model.get_text_features(**encoded).pooler_output
    assert torch.allclose(masked, tensors["text_embeds"], rtol=1e-4, atol=1e-5)
    image = reference.forward(model.vision_model, model.visual_projection, values)["image_embeds"]
    both = model(input_ids=ids, pixel_values=values)
    cosines = reference.between_photos(tensors["text_embeds"])
    pairs = [float(cosines[i, j]) for i in range(len(cosines)) for j in range(i)]
    save_file(
        {
            "ids": ids.to(torch.int32), "pooled": pooled.to(torch.int32), **tensors,
            "image_embeds": image,
            "logits_per_image": both.logits_per_image.contiguous(),
            "probabilities": both.logits_per_image.softmax(1).contiguous(),
        },
        directory / "golden.safetensors",
    )  # fmt: skip
    write_json(
        directory / "golden.json",
        {
            "about": spec["about"],
            "cosines_between_texts": pairs,
            "made_with": reference.versions(),
            "seed": spec["seed"],
            "texts": TEXTS,
        },
    )
    size = sum(file.stat().st_size for file in directory.iterdir())
    assert size < SIZE_LIMIT, f"{spec['name']} takes {size:,} bytes"
    print(f"{spec['name']:20} {size:8,} bytes, between texts {min(pairs):.2f}..{max(pairs):.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Makes the golden CLIP models with text.")
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--output", type=pathlib.Path, default=HERE)
    options = parser.parse_args()
    reference.deterministic()
    for spec in MODELS:
        if not options.names or spec["name"] in options.names:
            make(spec, options.output)


if __name__ == "__main__":
    main()
