"""Weights from which a small image tower learns fast: attention that begins local.

Products of query and key near a multiple of the identity, of value and output near a negative one
(Trockman, Kolter, Mimetic Initialization of Self-Attention Layers, 2023, arXiv:2305.09828), and a
sinusoidal table of positions in two dimensions. From transformers' own small random weights the
same tower named colour and shape of 19 % of the held-out objects after 32,000 pictures; from these,
with large single objects first, of 31 % after 26,000.
"""

import numpy as np
import torch


def positions(side, dim):
    """(side * side, dim): sine and cosine of row and column at dim / 4 wave lengths each."""
    wave = 1 / 100 ** (torch.arange(dim // 4) / (dim // 4))
    at = torch.arange(side)[:, None] * wave * np.pi / 2
    line = torch.cat([at.sin(), at.cos()], 1)
    rows, columns = line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)
    return torch.cat([rows, columns], 2).reshape(side * side, dim)


def _near_identity(dim, noise, diagonal):
    left, size, right = torch.linalg.svd(
        noise * torch.randn(dim, dim) / dim**0.5 + diagonal * torch.eye(dim)
    )
    return left * size.sqrt(), (size.sqrt()[:, None] * right).T


@torch.no_grad()
def start(tower):
    """Sets attention and positions of a CLIPVisionTransformer."""
    table = tower.embeddings.position_embedding.weight
    side, dim = int((table.shape[0] - 1) ** 0.5), table.shape[1]
    table[1:] = 0.4 * positions(side, dim)
    tower.embeddings.patch_embedding.weight.normal_(std=0.04)
    for layer in tower.encoder.layers:
        attention = layer.self_attn
        width = attention.head_dim
        for head in range(attention.num_heads):
            rows = slice(head * width, (head + 1) * width)
            query, key = _near_identity(dim, 0.7, 0.7)
            attention.q_proj.weight[rows] = query[:, :width].T
            attention.k_proj.weight[rows] = key[:, :width].T
        value, output = _near_identity(dim, 0.4, -0.4)
        attention.v_proj.weight.copy_(value.T)
        attention.out_proj.weight.copy_(output)
