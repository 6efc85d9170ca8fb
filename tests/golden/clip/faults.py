"""The seven faults that a golden test must see, applied to transformers' own forward."""

import contextlib
import copy

import torch
from transformers import AttentionInterface
from transformers.activations import ACT2FN

import reference


def _attention(uniform=False, keys=None, scaled=True):
    def attend(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
        logits = query @ key.transpose(2, 3) * (scaling if scaled else 1.0)
        if uniform:
            logits = torch.zeros_like(logits)
        if keys is not None:
            logits, value = logits[..., :keys], value[..., :keys, :]
        weights = torch.softmax(logits, dim=-1)
        return (weights @ value).transpose(1, 2).contiguous(), weights

    return attend


@contextlib.contextmanager
def _replaced(tower, attend):
    AttentionInterface.register("fault", attend)
    before = tower.config._attn_implementation
    tower.config._attn_implementation = "fault"
    yield
    tower.config._attn_implementation = before


def run(tower, projection, pixel_values, bgr_values):
    """(fault, `reference.difference` of image_embeds) for each fault that this model can have."""
    right = reference.forward(tower, projection, pixel_values)["image_embeds"]

    def judged(model, values=pixel_values):
        return reference.difference(
            reference.forward(model, projection, values)["image_embeds"], right
        )

    def with_attention(**how):
        with _replaced(tower, _attention(**how)):
            return judged(tower)

    # The stand-in attention without a fault must be the right one.
    assert with_attention()["max_over_rms"] < 1e-4
    if tower.config.hidden_act == "quick_gelu":
        other = copy.deepcopy(tower)
        for layer in other.encoder.layers:
            layer.mlp.activation_fn = ACT2FN["gelu"]
        yield "GELU for QuickGELU", judged(other)
    yield "uniform attention", with_attention(uniform=True)
    yield "last key dropped", with_attention(keys=-1)
    yield "missing scale", with_attention(scaled=False)
    yield "BGR", judged(tower, bgr_values)
    other = copy.deepcopy(tower)
    other.embeddings.position_embedding.weight.zero_()
    yield "no position", judged(other)
    skipped = []
    for index in range(len(tower.encoder.layers)):
        other = copy.deepcopy(tower)
        del other.encoder.layers[index]
        skipped.append(judged(other))
    yield "one block skipped", min(skipped, key=lambda found: found["max_over_rms"])
