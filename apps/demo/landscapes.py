"""Landscapes in layers of paint. A scene is a function (height, width, rng, vary) -> picture.

All randomness comes from `rng`, so a seed gives the same picture; `vary` moves what is otherwise fixed.
"""

import numpy as np
from PIL import Image, ImageFilter

from brushes import STILL, grid, lay, mask, mix, noise, pine, ramp, rgb, ridge, smooth


def mountain_lake(height, width, rng, vary=STILL):
    y, x = grid(height, width)
    shore = vary.by(0.62, 0.05)
    image = ramp(
        np.broadcast_to(y / shore, (height, width)),
        [(0, "#274f86"), (0.45, "#6f96bd"), (0.75, "#f0bf94"), (1, "#fbe3b4")],
    )
    cloud = smooth(
        0.05, 1.0, noise(rng, height, width, 14, 4, 5) + 0.5 - 1.2 * np.abs(y - 0.2) / 0.3
    )
    lay(
        image,
        0.75 * cloud[..., None],
        ramp(
            np.broadcast_to(y / shore, (height, width)),
            [(0, "#d9e2ee"), (0.6, "#ffe2c4"), (1, "#ffd9a6")],
        ),
    )
    glow = np.exp(-((x - vary.by(0.95, 0.4)) ** 2 + (y - vary.by(0.43, 0.05)) ** 2) / 0.03)
    lay(image, 0.75 * glow[..., None], rgb("#fff1c2"))
    layers = [
        (0.42, 0.150, 5, "#8fa3bd"),
        (0.47, 0.100, 7, "#6f86a3"),
        (0.53, 0.075, 8, "#4c6680"),
        (0.58, 0.040, 11, "#2f4a58"),
    ]
    for index, (base, swing, cells, colour) in enumerate(layers):
        crest = vary.by(base, 0.02) - vary.times(swing, 1.4) * ridge(rng, width, cells, 9, 0.48)
        below = (y - crest[None, :]) * height
        body = mix(
            rgb(colour), rgb("#e8c7a0"), 0.35 * smooth(0, 0.16, y - crest[None, :])[..., None]
        )
        if index < 2:
            slope = noise(rng, height, width, 26, 34, 6, 0.6)
            snow = smooth(-0.1, 0.5, slope + 0.9 - (y - crest[None, :]) / (0.09 - 0.04 * index))
            body = mix(body + 0.05 * slope[..., None], rgb("#f3efe9"), 0.85 * snow[..., None])
        lay(image, np.clip(below, 0, 1)[..., None], body)
    row = int(shore * height)
    depth = np.arange(height - row)
    source = np.clip(row - 1 - (depth * row / (height - row) * 0.93).astype(int), 0, row - 1)
    ripple = (
        noise(rng, height - row, width, 120, 8, 3)
        * (depth / (height - row))[:, None]
        * 0.030
        * height
    )
    rows = np.clip(source[:, None] + ripple.astype(int), 0, row - 1)
    tint = mix(rgb("#93a9b8"), rgb("#3b6379"), (depth / (height - row))[:, None, None])
    image[row:] = image[rows, np.arange(width)[None, :]] * 0.62 + tint * 0.33

    wood = int(vary.by(46, 20))

    def trees(draw, scale):
        for _ in range(wood):
            at = rng.choice([rng.uniform(-0.02, 0.3), rng.uniform(1.08, 1.36)])
            edge = min(abs(at), abs(1.333 - at))
            pine(
                draw,
                at,
                1.02 - 0.05 * edge,
                rng.uniform(0.5, 1.05) * (0.52 - 1.1 * edge),
                scale,
                rng,
                0.17,
            )

    lay(image, mask(height, width, trees, oversample=1, blur=0.0004), rgb("#14252b"))
    return image


def dunes(height, width, rng, vary=STILL):
    y, x = grid(height, width)
    image = ramp(
        np.broadcast_to(y, (height, width)), [(0, "#3f7fb8"), (0.3, "#9cc3dc"), (0.48, "#f5e3c3")]
    )
    sun = vary.by(1.15, 0.5), vary.by(0.2, 0.1)
    disc = np.exp(-((x - sun[0]) ** 2 + (y - sun[1]) ** 2) / 0.012)
    lay(image, disc[..., None], rgb("#fff6d6"))
    top = vary.by(0.38, 0.08)
    warp = noise(rng, height, width, 5, 7, 4)
    for index in range(6):
        base = top + 0.02 * index + 0.085 * index * (0.6 + 0.12 * index)
        swing = vary.times(0.05 + 0.012 * index, 1.4)
        crest = base + swing * ridge(rng, width, 3, 2, 0.35)
        below = y - crest[None, :]
        # The side behind a wandering edge lies in shadow.
        edge = (
            ridge(rng, height, 3, 3)[:, None] * 0.25 + below * rng.uniform(1.2, 2.2) * (-1) ** index
        )
        lean = smooth(-0.08, 0.02, np.gradient(crest)[None, :] * height * 0.25 + edge * 0.5 - 0.03)
        lines = np.sin(2 * np.pi * (below * (105 - 12 * index) + warp * 1.6 + x * 2.5))
        near = index / 5
        bright = mix(rgb("#f0cf9b"), rgb("#e59a4c"), near) * (1 + 0.045 * near * lines[..., None])
        dark = mix(rgb("#c79a78"), rgb("#7c3f2b"), near) * (1 + 0.03 * near * lines[..., None])
        body = mix(bright, dark, lean[..., None]) * (1 - 0.18 * smooth(0.0, 0.4, below)[..., None])
        lay(image, np.clip(below * height, 0, 1)[..., None], body)
    return image


def foggy_forest(height, width, rng, vary=STILL):
    y, x = grid(height, width)
    image = np.repeat(mix(0.93, 0.72, np.broadcast_to(y, (height, width)))[..., None], 3, 2).astype(
        np.float32
    )
    sun = vary.by(0.3, 0.25), vary.by(0.22, 0.1)
    disc = np.exp(-((x - sun[0]) ** 2 + (y - sun[1]) ** 2) / 0.02)
    lay(image, 0.6 * disc[..., None], 1.0)
    top, tall = vary.by(0.60, 0.08), vary.times(1, 1.25)
    for index in range(6):
        near = index / 5
        foot = top + 0.085 * index

        def row(draw, scale):
            for _ in range(int(22 - 3 * index)):
                pine(
                    draw,
                    rng.uniform(-0.05, width / height + 0.05),
                    foot + rng.uniform(-0.01, 0.02),
                    tall * rng.uniform(0.7, 1.15) * (0.22 + 0.095 * index),
                    scale,
                    rng,
                    0.19,
                )
            hill = foot - 0.012 + 0.015 * ridge(rng, 64, 4, 3)
            points = [(k / 63 * width / height * scale, hill[k] * scale) for k in range(64)]
            draw.polygon(points + [(width * 9, height * 9), (0, height * 9)], fill=255)

        shape = mask(height, width, row, blur=0.0016 * (1 - near))
        lay(image, shape, mix(0.80, 0.10, near**1.1) + 0.0)
        drift = noise(rng, height, width, 6, 4, 4) * 0.25 + 0.75
        low = smooth(foot - 0.16, foot + 0.06, y) * (0.85 - 0.55 * near)
        lay(image, (low * drift)[..., None] * shape, 0.86 - 0.12 * near)
    return image


def aurora(height, width, rng, vary=STILL):
    y, x = grid(height, width)
    image = ramp(
        np.broadcast_to(y, (height, width)), [(0, "#050a1e"), (0.55, "#0d2440"), (0.8, "#1d4a5c")]
    )
    stars = np.zeros((height, width), np.float32)
    for _ in range(420):
        stars[rng.integers(0, int(0.75 * height)), rng.integers(0, width)] = (
            rng.uniform(0.2, 1) ** 2
        )
    soft = Image.fromarray((stars * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))
    image += np.minimum(np.asarray(soft, np.float32) / 255 * 4 + 0.4 * stars, 1)[..., None]
    for colour, base, seed_cells, power in (
        ("#35e39b", 0.55, 3, 0.95),
        ("#63f0c0", 0.44, 4, 0.6),
        ("#9a5cf0", 0.36, 3, 0.55),
    ):
        foot = vary.by(base, 0.1) + vary.times(0.10, 1.5) * ridge(rng, width, seed_cells, 3)
        rays = 0.55 + 0.45 * ridge(rng, width, 70, 3)
        up = foot[None, :] - y
        sheet = (
            np.where(up > 0, np.exp(-up / 0.16), np.exp(up / 0.018))
            * np.clip(rays, 0.05, 1.3)[None, :]
        )
        fade = np.clip(0.8 + 0.6 * ridge(rng, width, 4, 2), 0, 1)[None, :]
        image = 1 - (1 - np.clip(image, 0, 1)) * (
            1 - np.clip(power * sheet * fade, 0, 1)[..., None] * rgb(colour)
        )
    for base, swing, colour in ((0.80, 0.05, "#0d2230"), (0.87, 0.03, "#060f17")):
        crest = base - swing * ridge(rng, width, 5, 7)
        lay(image, np.clip((y - crest[None, :]) * height, 0, 1)[..., None], rgb(colour))

    def trees(draw, scale):
        for _ in range(34):
            pine(
                draw,
                rng.uniform(0, width / height),
                rng.uniform(0.90, 0.99),
                rng.uniform(0.07, 0.22),
                scale,
                rng,
            )

    lay(image, mask(height, width, trees), rgb("#03080d"))
    aside = vary.by(0, 0.4)
    cabin = lambda draw, s: draw.polygon(
        [
            ((aside + a) * s, b * s)
            for a, b in ((0.98, 0.95), (0.98, 0.87), (1.045, 0.825), (1.11, 0.87), (1.11, 0.95))
        ],
        fill=255,
    )
    pane = lambda draw, s: [
        draw.rectangle([a * s, 0.885 * s, (a + 0.025) * s, 0.915 * s], fill=255)
        for a in (aside + 1.0, aside + 1.06)
    ]
    lay(image, mask(height, width, cabin), rgb("#1b120d"))
    lay(image, 0.5 * mask(height, width, pane, blur=0.02), rgb("#ffb347"))
    lay(image, mask(height, width, pane), rgb("#ffd27a"))
    return image
