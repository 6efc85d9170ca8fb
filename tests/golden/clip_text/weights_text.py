"""Random weights for CLIP text models that let a test see a bug: the rules of ../clip/weights.py."""

import torch

from weights import ATTENTION_SD, FC1_MEAN, FC1_SD, LOGIT_SD, MLP_SD, Draw, linear_, norm_, rounded

EMBEDDING_SD = 0.8
OUTLIER = 60.0
COSINE = 0.5  # between texts, on the mean


def causal_mask(tokens):
    return torch.full((tokens, tokens), float("-inf")).triu(1)[None, None]


def logit_spread(layer, h, heads):
    """Standard deviation of what the causal softmax sees, around each row's mean."""
    n, tokens, dim = h.shape
    split = lambda t: t.view(n, tokens, heads, dim // heads).transpose(1, 2)
    q, k = split(layer.self_attn.q_proj(h)), split(layer.self_attn.k_proj(h))
    logits = q @ k.transpose(2, 3) * (dim // heads) ** -0.5
    seen = torch.tril(torch.ones(tokens, tokens)).bool()
    rows = [logits[:, :, i, : i + 1] for i in range(tokens // 2, tokens)]
    assert seen[-1].all()
    return torch.cat([(row - row.mean(-1, keepdim=True)).flatten() for row in rows]).std(correction=0)


@torch.no_grad()
def draw_text(tower, projection, ids, pooled, seed):
    """Fills a CLIPTextModel and its projection. Returns the outlier channel."""
    draw, config = Draw(seed), tower.config
    dim, heads = config.hidden_size, config.num_attention_heads
    outlier = draw.outlier_channels(dim)[0]
    rest = [c for c in range(dim) if c != outlier]
    mask = causal_mask(ids.shape[1])
    for table in (tower.embeddings.token_embedding, tower.embeddings.position_embedding):
        table.weight.copy_(draw.normal(*table.weight.shape, sd=EMBEDDING_SD))

    x = tower.embeddings(ids)
    for index, layer in enumerate(tower.encoder.layers):
        attention, mlp = layer.self_attn, layer.mlp
        norm_(layer.layer_norm1, draw, [outlier], 1.0 if index == 0 else 0.03)
        h = layer.layer_norm1(x)
        for projected in (attention.q_proj, attention.k_proj, attention.v_proj):
            linear_(projected, draw, h, 1.0)
        scale = rounded((LOGIT_SD / logit_spread(layer, h, heads)) ** 0.5)
        for projected in (attention.q_proj, attention.k_proj):
            projected.weight.mul_(scale)
            projected.bias.mul_(scale)
        mixed = []
        handle = attention.out_proj.register_forward_pre_hook(lambda _, args: mixed.append(args[0]))
        attention(h, attention_mask=mask)
        handle.remove()
        linear_(attention.out_proj, draw, mixed[0], ATTENTION_SD, keep=rest)
        if index == 0:
            attention.out_proj.bias[outlier] = OUTLIER
        x = x + attention(h, attention_mask=mask)[0]

        norm_(layer.layer_norm2, draw, [outlier], 0.03)
        h = layer.layer_norm2(x)
        linear_(mlp.fc1, draw, h, FC1_SD)
        mlp.fc1.bias.add_(FC1_MEAN)
        linear_(mlp.fc2, draw, mlp.activation_fn(mlp.fc1(h)), MLP_SD, keep=rest)
        x = x + mlp(h)

    norm_(tower.final_layer_norm, draw, [outlier], 0.03)
    last = tower.final_layer_norm(x)[torch.arange(len(ids)), pooled]
    projection.weight.copy_(draw.normal(*projection.weight.shape, sd=dim**-0.5))
    mean = last.mean(0, keepdim=True)
    common = projection(mean).square().sum()
    own = projection(last - mean).square().sum(1).mean()
    keep = rounded((own / common * (COSINE + 1 / (len(last) - 1)) / (1 - COSINE)) ** 0.5)
    direction = (mean / mean.norm())[0]
    projection.weight.sub_((1 - keep) * torch.outer(projection.weight @ direction, direction))
    projection.weight.mul_(rounded(1.0 / projection(last).std(correction=0)))
    return outlier
