"""Random weights for CLIP vision models that let a test see a bug.

At transformers' own initial scale attention is nearly uniform and activations nearly linear, so a
forward with the wrong activation or no softmax at all still gives cosine 0.9999. Here every layer
is measured while it is drawn, on real pixels, and scaled to stated spreads.
"""

import torch

LOGIT_SD = 3.0  # attention logits, around their row's mean: rows shift freely under softmax
FC1_SD = 2.0  # inputs of the activation
FC1_MEAN = -4.0  # most hidden units are off, as in trained models: GELU and QuickGELU differ by a
# third there, and by little where x is positive. Around 0 the wrong one still gives cosine 0.99999.
ATTENTION_SD = 1.3  # what attention adds to the residual stream, outliers apart
MLP_SD = 1.6
EMBEDDING_SD = 0.05  # patch, class and position embeddings; so small that the norm's eps shows
COSINE = 0.6  # between photos, on the mean
OUTLIER = 170.0  # the stream's two planted channels; the rest is about 1 to 3


class Draw:
    """Seeded normals, rounded so that a last-bit difference between machines never gets in."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape, mean=0.0, sd=1.0):
        return mean + sd * torch.randn(*shape, generator=self.generator)

    def outlier_channels(self, dim):
        first, second = torch.randperm(dim, generator=self.generator)[:2].tolist()
        return sorted((first, second))


def rounded(scale):
    return float(f"{float(scale):.3g}")


def logits_of(layer, x, heads):
    """Scaled attention logits (n, heads, tokens, tokens) of the stream x, and their spread."""
    n, tokens, dim = x.shape
    h = layer.layer_norm1(x)
    split = lambda t: t.view(n, tokens, heads, dim // heads).transpose(1, 2)
    q, k = split(layer.self_attn.q_proj(h)), split(layer.self_attn.k_proj(h))
    logits = q @ k.transpose(2, 3) * (dim // heads) ** -0.5
    return logits, (logits - logits.mean(3, keepdim=True)).std(correction=0)


def norm_(norm, draw, outliers, outlier_gain):
    dim = norm.weight.numel()
    norm.weight.copy_(draw.normal(dim, mean=1.0, sd=0.3))
    norm.bias.copy_(draw.normal(dim, sd=0.1))
    # Trained models damp their outlier channels in the gains, too.
    norm.weight[outliers] *= outlier_gain


def linear_(linear, draw, x, sd, bias_sd=0.15, keep=None):
    """Draws a linear layer so that its output on x has spread sd around each channel's bias."""
    rows, columns = linear.weight.shape
    linear.weight.copy_(draw.normal(rows, columns, sd=columns**-0.5))
    linear.bias.zero_()
    out = linear(x)
    out = out if keep is None else out[..., keep]
    linear.weight.mul_(rounded(sd / out.std(correction=0)))
    linear.bias.copy_(draw.normal(rows, sd=bias_sd * sd))


@torch.no_grad()
def draw_vision(tower, projection, pixel_values, seed):
    """Fills a CLIPVisionModel and its projection. Returns the two outlier channels."""
    draw, config = Draw(seed), tower.config
    dim, heads = config.hidden_size, config.num_attention_heads
    outliers = draw.outlier_channels(dim)
    rest = [c for c in range(dim) if c not in outliers]

    embeddings = tower.embeddings
    patch = embeddings.patch_embedding
    # Filters of zero mean see edges and texture; the part with a mean sees colour.
    filters = draw.normal(*patch.weight.shape)
    colour = draw.normal(dim, 3, 1, 1)
    filters = filters + 0.12 * colour * (patch.kernel_size[0] / 8) ** 0.5
    patch.weight.copy_(filters)
    patch.weight.mul_(rounded(EMBEDDING_SD / patch(pixel_values).std(correction=0)))
    embeddings.class_embedding.copy_(draw.normal(dim, sd=EMBEDDING_SD))
    positions = embeddings.position_embedding.weight
    positions.copy_(draw.normal(*positions.shape, sd=EMBEDDING_SD))
    norm_(tower.pre_layrnorm, draw, outliers, 1.0)

    x = tower.pre_layrnorm(embeddings(pixel_values))
    for index, layer in enumerate(tower.encoder.layers):
        attention, mlp = layer.self_attn, layer.mlp
        norm_(layer.layer_norm1, draw, outliers, 1.0 if index == 0 else 0.03)
        h = layer.layer_norm1(x)
        for projected in (attention.q_proj, attention.k_proj, attention.v_proj):
            linear_(projected, draw, h, 1.0)
        scale = rounded((LOGIT_SD / logits_of(layer, x, heads)[1]) ** 0.5)
        for projected in (attention.q_proj, attention.k_proj):
            projected.weight.mul_(scale)
            projected.bias.mul_(scale)
        mixed = []
        handle = attention.out_proj.register_forward_pre_hook(lambda _, args: mixed.append(args[0]))
        attention(h)
        handle.remove()
        linear_(attention.out_proj, draw, mixed[0], ATTENTION_SD, keep=rest)
        if index == 0:  # an outlier that is the same for every token
            attention.out_proj.bias[outliers[0]] = OUTLIER
        x = x + attention(h)[0]

        norm_(layer.layer_norm2, draw, outliers, 0.03)
        h = layer.layer_norm2(x)
        linear_(mlp.fc1, draw, h, FC1_SD)
        mlp.fc1.bias.add_(FC1_MEAN)
        active = mlp.activation_fn(mlp.fc1(h))
        linear_(mlp.fc2, draw, active, MLP_SD, keep=rest)
        if index == 0:  # and one that differs from token to token
            mlp.fc2.weight[outliers[1]] *= 12.0
            mlp.fc2.bias[outliers[1]] = -OUTLIER
        x = x + mlp(h)

    norm_(tower.post_layernorm, draw, outliers, 0.03)
    pooled = tower.post_layernorm(x[:, 0])
    projection.weight.copy_(draw.normal(*projection.weight.shape, sd=dim**-0.5))
    # The class token carries much that no photo changes; the projection keeps as much as COSINE asks.
    mean = pooled.mean(0, keepdim=True)
    common = projection(mean).square().sum()
    own = projection(pooled - mean).square().sum(1).mean()
    keep = rounded((own / common * (COSINE + 1 / (len(pooled) - 1)) / (1 - COSINE)) ** 0.5)
    direction = (mean / mean.norm())[0]
    projection.weight.sub_((1 - keep) * torch.outer(projection.weight @ direction, direction))
    projection.weight.mul_(rounded(1.0 / projection(pooled).std(correction=0)))
    return outliers


@torch.no_grad()
def spreads(tower, pixel_values, outliers):
    """What the rules promise, measured on a finished model; see `check_spreads`."""
    rest = [c for c in range(tower.config.hidden_size) if c not in outliers]
    measured = {"logit_sd": [], "fc1_sd": [], "outlier_ratio": []}
    x = tower.pre_layrnorm(tower.embeddings(pixel_values))
    for layer in tower.encoder.layers:
        measured["logit_sd"].append(float(logits_of(layer, x, tower.config.num_attention_heads)[1]))
        h = x + layer.self_attn(layer.layer_norm1(x))[0]
        measured["fc1_sd"].append(float(layer.mlp.fc1(layer.layer_norm2(h)).std(correction=0)))
        x = layer(x, None)
        size = x[..., outliers].abs().mean((0, 1)) / x[..., rest].square().mean().sqrt()
        measured["outlier_ratio"].append([float(v) for v in size])
    return measured


def check_spreads(measured):
    assert all(2.0 <= v <= 4.5 for v in measured["logit_sd"]), measured
    assert all(1.5 <= v <= 2.5 for v in measured["fc1_sd"]), measured
    assert all(30 <= v <= 100 for pair in measured["outlier_ratio"] for v in pair), measured
