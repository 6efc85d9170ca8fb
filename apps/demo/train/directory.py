"""The model directory: config, preprocessing, weights in fp16."""

import json

import numpy as np
import torch
from safetensors.torch import save_file

import camera
import vocabulary
from clip_files import MEAN, STD, preprocessor
from motifs import MOTIFS

MOTIF_LABELS = [motif.names[0] for motif in MOTIFS.values()]

_TOWER = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "hidden_size": 128}


def config(tokenizer):
    """config.json as a dict."""
    return {
        "architectures": ["CLIPModel"],
        "dtype": "float16",
        "model_type": "clip",
        "projection_dim": 128,
        "text_config": _TOWER
        | {
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "intermediate_size": 256,
            "max_position_embeddings": vocabulary.CONTEXT,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "projection_dim": 128,
            "vocab_size": len(tokenizer),
        },
        "vision_config": _TOWER
        | {
            "image_size": 64,
            "intermediate_size": 256,
            "num_attention_heads": 4,
            "num_hidden_layers": 4,
            "patch_size": 8,
            "projection_dim": 128,
        },
    }


def normalized(pixels):
    """Pixels (n, 3, height, width) in 0..1 as the model takes them."""
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def pixels(photo, side):
    """A photo as the model takes it (3, side, side)."""
    x = torch.from_numpy(np.array(camera.fitted(photo, side))).permute(2, 0, 1).float() / 255
    return normalized(x)


def _write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write(model, settings, output):
    """All but the tokenizer, which vocabulary.write writes."""
    _write_json(output / "config.json", settings)
    side = settings["vision_config"]["image_size"]
    _write_json(output / "preprocessor_config.json", preprocessor(side))
    state = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, output / "model.safetensors", metadata={"format": "pt"})
