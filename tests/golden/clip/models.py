"""The golden models: what each is for, and its files as a hub directory has them.

`config` and `preprocessor` are written as they stand: keys that equal transformers' defaults are
left out of most, since real directories leave them out, too. Of the seeds 1 to 5, `seed` is one
with which every fault of faults.py shows well (a dropped key does not with most, at 197 tokens).
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "apps/demo/train"))

from clip_files import MEAN, STD, preprocessor  # noqa: E402


def vision(**keys):
    return {
        "architectures": ["CLIPVisionModelWithProjection"],
        "model_type": "clip_vision_model",
        **keys,
    }


TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "vocab_size": 40,
    "max_position_embeddings": 8,
    "bos_token_id": 38,
    "eos_token_id": 39,
}

MODELS = [
    {
        "name": "quick-gelu-50",
        "seed": 4,
        "about": "the main one: 50 tokens as ViT-B/32 has, every key written out",
        "config": vision(
            attention_dropout=0.0,
            dtype="float32",
            hidden_act="quick_gelu",
            hidden_size=64,
            image_size=56,
            initializer_factor=1.0,
            initializer_range=0.02,
            intermediate_size=128,
            layer_norm_eps=1e-05,
            num_attention_heads=2,
            num_channels=3,
            num_hidden_layers=4,
            patch_size=8,
            projection_dim=48,
        ),
        "preprocessor": preprocessor(64, 56),
    },
    {
        "name": "gelu-197",
        "seed": 2,
        "about": "erf GELU, 197 tokens, one head of 64, eps 1e-6, `torch_dtype`",
        "config": vision(
            hidden_act="gelu",
            hidden_size=64,
            image_size=56,
            intermediate_size=128,
            layer_norm_eps=1e-6,
            num_attention_heads=1,
            num_hidden_layers=2,
            patch_size=4,
            projection_dim=32,
            torch_dtype="float32",
        ),
        "preprocessor": preprocessor(56, resample=2),
    },
    {
        "name": "gelu-tanh-257-fp16",
        "seed": 5,
        "about": "tanh GELU, 257 tokens as ViT-L/14 has, weights in fp16, resized without a crop",
        "storage": "float16",
        "config": vision(
            dtype="float16",
            hidden_act="gelu_pytorch_tanh",
            hidden_size=64,
            image_size=64,
            intermediate_size=128,
            num_attention_heads=2,
            num_hidden_layers=2,
            patch_size=4,
            projection_dim=40,
        ),
        "preprocessor": preprocessor(
            64,
            do_center_crop=False,
            size={"height": 64, "width": 64},
            image_mean=[0.5, 0.5, 0.5],
            image_std=[0.5, 0.5, 0.5],
        ),
    },
    {
        "name": "patch32-5-bf16",
        "seed": 4,
        "about": "patches of 32 pixels, 5 tokens, weights in bf16; patch size and activation by default",
        "storage": "bfloat16",
        "config": vision(
            hidden_size=64,
            image_size=64,
            intermediate_size=256,
            num_attention_heads=1,
            num_hidden_layers=3,
            projection_dim=64,
            torch_dtype="bfloat16",
        ),
        "preprocessor": preprocessor(64),
    },
    {
        "name": "patch14-17-sharded",
        "seed": 4,
        "about": "patches of 14 pixels, three heads of 32, weights in three files, sizes as bare numbers",
        "shards": 3,
        "config": vision(
            hidden_size=96,
            image_size=56,
            intermediate_size=128,
            num_attention_heads=3,
            num_hidden_layers=2,
            patch_size=14,
            projection_dim=24,
        ),
        "preprocessor": {
            "crop_size": 56,
            "do_center_crop": True,
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor",
            "image_mean": MEAN,
            "image_std": STD,
            "resample": 3,
            "size": 56,
        },
    },
    {
        "name": "six-heads-17-eps",
        "seed": 5,
        "about": "six heads of 32, an MLP narrower than the stream, fp16, and eps 0.1: one taken from elsewhere shows",
        "storage": "float16",
        "config": vision(
            hidden_size=192,
            image_size=32,
            intermediate_size=64,
            layer_norm_eps=0.1,
            num_attention_heads=6,
            num_hidden_layers=2,
            patch_size=8,
            projection_dim=32,
        ),
        "preprocessor": preprocessor(32),
    },
    {
        "name": "clip-26-processor",
        "seed": 5,
        "about": "type `clip` with a text tower, `processor_config.json`; projection_dim at the top, not in `vision_config`",
        "processor_config": True,
        "config": {
            "architectures": ["CLIPModel"],
            "dtype": "float32",
            "logit_scale_init_value": 2.6592,
            "model_type": "clip",
            "projection_dim": 48,
            "text_config": {"model_type": "clip_text_model", **TEXT},
            "vision_config": {
                "hidden_size": 64,
                "image_size": 80,
                "intermediate_size": 192,
                "model_type": "clip_vision_model",
                "num_attention_heads": 2,
                "num_hidden_layers": 2,
                "patch_size": 16,
            },
        },
        "preprocessor": preprocessor(80),
    },
    {
        "name": "clip-17-legacy",
        "seed": 1,
        "about": "type `clip` of old: `vision_config_dict` overrides `vision_config` (eps falls back to its default), `position_ids` among the tensors",
        "position_ids": True,
        "config": {
            "architectures": ["CLIPModel"],
            "model_type": "clip",
            "projection_dim": 32,
            "text_config": dict(TEXT),
            "text_config_dict": dict(TEXT),
            "torch_dtype": "float32",
            "vision_config": {
                "hidden_act": "gelu",
                "hidden_size": 64,
                "image_size": 64,
                "intermediate_size": 128,
                "layer_norm_eps": 0.001,
                "num_attention_heads": 1,
                "num_hidden_layers": 3,
                "patch_size": 16,
            },
            "vision_config_dict": {
                "hidden_act": "quick_gelu",
                "hidden_size": 64,
                "image_size": 64,
                "intermediate_size": 128,
                "num_attention_heads": 2,
                "num_hidden_layers": 3,
                "patch_size": 16,
            },
        },
        "preprocessor": {
            "crop_size": 64,
            "do_center_crop": True,
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor",
            "image_mean": MEAN,
            "image_std": STD,
            "resample": 3,
            "size": 72,
        },
    },
]
