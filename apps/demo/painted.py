"""Boats, towns, flowers in layers of paint. A scene is a function (height, width, rng, vary) -> picture.

All randomness comes from `rng`, so a seed gives the same picture; `vary` moves what is otherwise fixed.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from brushes import STILL, grid, lay, mask, mix, noise, ramp, rgb, ridge, smooth


def sailboat(height, width, rng, vary=STILL):
    y, x = grid(height, width)
    horizon = vary.by(0.56, 0.07)
    image = ramp(
        np.broadcast_to(y / horizon, (height, width)),
        [(0, "#1f6fc0"), (0.6, "#79b8e6"), (1, "#dff0f6")],
    )
    puff = noise(rng, height, width, 7, 6, 6, 0.55) + 0.25 - 3.2 * np.abs(y - 0.36)
    lay(
        image,
        smooth(-0.1, 0.5, puff)[..., None],
        mix(rgb("#c7d6e4"), rgb("#ffffff"), smooth(0, 0.7, puff)[..., None]),
    )
    depth = np.clip((y - horizon) / (1 - horizon), 1e-4, 1)
    far = 1 / (depth + 0.04)
    swell = noise(rng, 1024, 1024, 40, 6, 5)
    u = np.broadcast_to((far * 95).astype(int) % 1024, (height, width))
    v = (np.abs((x - width / height / 2) * far * 60 + 5000).astype(int)) % 1024
    sea = ramp(
        np.broadcast_to(depth, (height, width)), [(0, "#8cc3d6"), (0.25, "#2f86ae"), (1, "#0d4a75")]
    )
    sea += (0.10 * swell[u, v] * np.sqrt(depth))[..., None]
    sparkle = smooth(0.75, 1.3, swell[u, v]) * np.exp(-((x - 0.35) ** 2) / 0.05) * (1 - 0.6 * depth)
    lay(sea, 0.8 * sparkle[..., None], 1.0)
    lay(image, np.clip((y - horizon) * height, 0, 1)[..., None], sea)
    at, keel, span = vary.by(0.93, 0.3), vary.by(0.735, 0.06), vary.times(1, 1.25)

    def sail(points):
        return lambda draw, s: draw.polygon(
            [((at + span * px) * s, (keel + span * py) * s) for px, py in points], fill=255
        )

    def arc(x0, y0, x1, y1, bulge):
        t = np.linspace(0, 1, 24)
        return list(zip(mix(x0, x1, t) + bulge * np.sin(np.pi * t), mix(y0, y1, t)))

    water = mask(
        height,
        width,
        sail([(-0.20, 0.02), (0.24, 0.02), (0.14, 0.21), (0.02, 0.26), (-0.08, 0.14)]),
        0.012,
    )
    lay(
        image,
        0.35 * water * (0.6 + 0.6 * smooth(-0.6, 0.6, swell[u, v])[..., None]),
        rgb("#f2efe6"),
    )
    main = mask(
        height,
        width,
        sail(arc(0.012, -0.56, 0.012, -0.06, 0) + arc(0.235, -0.05, 0.012, -0.56, 0.035)),
    )
    lay(image, main, mix(rgb("#ffffff"), rgb("#d9d3c3"), np.clip((x - at) * 4, 0, 1)[..., None]))
    jib = mask(
        height,
        width,
        sail(arc(-0.012, -0.47, -0.022, -0.07, -0.02) + arc(-0.21, -0.045, -0.012, -0.47, -0.03)),
    )
    lay(image, jib, mix(rgb("#d6402f"), rgb("#f0715a"), np.clip((at - x) * 5, 0, 1)[..., None]))
    lay(
        image,
        mask(
            height, width, sail([(-0.002, -0.60), (0.006, -0.60), (0.006, -0.02), (-0.002, -0.02)])
        ),
        rgb("#5a4632"),
    )
    hull = (
        [(-0.225, -0.035)]
        + arc(-0.225, -0.035, 0.25, -0.03, 0)
        + arc(0.25, -0.03, 0.19, 0.035, 0.01)
        + arc(0.19, 0.035, -0.13, 0.035, 0)
    )
    lay(
        image,
        mask(height, width, sail(hull)),
        mix(rgb("#7a2f1d"), rgb("#b5532c"), smooth(0.03, -0.04, y - keel)[..., None]),
    )
    lay(
        image,
        mask(
            height,
            width,
            sail([(-0.215, -0.03), (0.248, -0.025), (0.245, -0.014), (-0.205, -0.019)]),
        ),
        rgb("#f4ead5"),
    )
    return image


def night_city(height, width, rng, vary=STILL):
    y, x = grid(height, width)
    quay = vary.by(0.72, 0.07)
    image = ramp(
        np.broadcast_to(y / quay, (height, width)),
        [(0, "#0b1033"), (0.5, "#3a2a66"), (0.85, "#b0517a"), (1, "#f2a65a")],
    )
    moon = np.hypot(x - vary.by(0.33, 0.3), y - vary.by(0.19, 0.1))
    lay(image, 0.35 * np.exp(-(moon**2) / 0.012)[..., None], rgb("#fff3c9"))
    lay(image, np.clip((0.06 - moon) * height, 0, 1)[..., None], rgb("#fff3d0"))
    for index, (colour, count, low, high) in enumerate(
        [("#4b2f66", 26, 0.16, 0.36), ("#1d1a40", 17, 0.10, 0.52)]
    ):
        left = -0.03
        for _ in range(count):
            wide, tall = rng.uniform(0.05, 0.10) * (1 + 0.4 * index), rng.uniform(low, high)
            box = (
                slice(int((quay - tall) * height), int(quay * height)),
                slice(max(0, int(left * height)), max(0, int((left + wide) * height) - 1)),
            )
            image[box] = rgb(colour)
            if index:
                pitch = height // 40
                for wy in range(box[0].start + pitch // 2, box[0].stop - pitch, pitch):
                    for wx in range(box[1].start + pitch // 2, box[1].stop - pitch // 2, pitch):
                        if rng.random() < 0.42:
                            image[wy : wy + pitch // 2, wx : wx + pitch // 2] = rgb(
                                rng.choice(["#ffd166", "#ffe8a3", "#9ad1ff"])
                            )
            left += wide * rng.uniform(0.85, 1.05)
    row = int(quay * height)
    depth = np.arange(height - row)
    wave = (
        np.sin(depth * 0.9)[:, None] * 2 + noise(rng, height - row, width, 30, 5, 2) * 3
    ).astype(int)
    columns = np.clip(np.arange(width)[None, :] + wave, 0, width - 1)
    image[row:] = image[(row - 1 - depth)[:, None], columns] * 0.5 + rgb("#131a3f") * 0.35
    return image


def balloon(height, width, rng, vary=STILL):
    """(height, width, 4): a hot-air balloon on nothing."""
    y, x = grid(height, width)
    cx, cy, radius = width / height / 2, 0.37, 0.335
    dx, dy = (x - cx) / radius, (y - cy) / radius
    squeeze = np.where(dy > 0, np.sqrt(np.clip(1 - 0.16 * dy - 0.33 * dy * dy, 0.05, 1)), 1)
    u = dx / squeeze
    inside = (
        (u * u + np.minimum(dy, 0) ** 2 < 1)
        & (dy < 1.2)
        & (np.abs(u) < np.sqrt(np.clip(1 - (dy / 1.32) ** 2, 0, 1)) + (dy < 0))
    )
    cover = (
        np.asarray(
            Image.fromarray((inside * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8)),
            np.float32,
        )
        / 255
    )
    z = np.sqrt(np.clip(1 - np.clip(u, -1, 1) ** 2, 0, 1))
    gore = np.floor((np.arctan2(u, z + 1e-3) / np.pi + 0.5) * 14 - 1e-3).astype(int) % 14
    colours = vary.shuffled(["#e4572e", "#f3a712", "#fff1d0", "#29335c", "#2a9d8f"])
    palette = np.stack([rgb(c) for c in colours])
    colour = palette[(gore + (np.floor((dy + 1) * 2.4) % 2 * 2).astype(int)) % 5]
    shade = 0.55 + 0.55 * np.clip(0.75 * z - 0.45 * u - 0.35 * dy, 0, 1)
    image = np.zeros((height, width, 4), np.float32)
    image[..., :3], image[..., 3] = np.clip(colour * shade[..., None], 0, 1), cover

    def ropes(draw, s):
        for side in (-1, -0.4, 0.4, 1):
            draw.line(
                [((cx + side * 0.095) * s, 0.765 * s), ((cx + side * 0.05) * s, 0.875 * s)],
                fill=255,
                width=int(0.006 * s),
            )

    def basket(draw, s):
        draw.rounded_rectangle(
            [(cx - 0.06) * s, 0.87 * s, (cx + 0.06) * s, 0.955 * s], int(0.016 * s), fill=255
        )

    weave = 0.8 + 0.2 * np.sign(np.sin(x * 330) * np.sin(y * 330))
    for coverage, paint in (
        (mask(height, width, ropes), rgb("#5b4636")),
        (mask(height, width, basket), rgb("#a9713c") * weave[..., None]),
    ):
        image[..., :3] = mix(image[..., :3], paint, coverage)
        image[..., 3] = np.maximum(image[..., 3], coverage[..., 0])
    image[image[..., 3] == 0] = 0
    return image


def tulips(height, width, rng, vary=STILL):
    y, x = grid(height, width)
    horizon, wide = vary.by(0.40, 0.06), width / height
    image = ramp(
        np.broadcast_to(y / horizon, (height, width)),
        [(0, "#5aa4dc"), (0.7, "#c4e3f3"), (1, "#f8f3df")],
    )
    puff = noise(rng, height, width, 9, 5, 5) - 4.5 * np.abs(y - 0.14) + 0.2
    lay(image, 0.9 * smooth(0, 0.6, puff)[..., None], 1.0)
    canvas = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8)).resize(
        (2 * width, 2 * height), Image.Resampling.BICUBIC
    )
    draw, s = ImageDraw.Draw(canvas), 2 * height
    tone = lambda c, k: tuple(int(v) for v in np.clip(rgb(c) * 255 * k, 0, 255))
    for tree in np.arange(0, wide, 0.018):
        r = rng.uniform(0.008, 0.022)
        draw.ellipse(
            [(tree - r) * s, (horizon - r) * s, (tree + r) * s, (horizon + r) * s],
            fill=tone("#4e7a4a", rng.uniform(0.8, 1.1)),
        )
    draw.rectangle([0, horizon * s, wide * s, s], fill=tone("#46702f", 1))
    mill = vary.by(1.02, 0.5)
    draw.polygon(
        [
            ((mill + a) * s, b * s)
            for a, b in ((-0.045, horizon), (0.045, horizon), (0.024, 0.235), (-0.024, 0.235))
        ],
        fill=tone("#7b4a33", 1),
    )
    draw.pieslice(
        [(mill - 0.027) * s, 0.205 * s, (mill + 0.027) * s, 0.262 * s],
        180,
        360,
        fill=tone("#33261f", 1),
    )
    for blade in range(4):
        a = 0.5 + blade * np.pi / 2
        tip, side = np.array([np.cos(a), np.sin(a)]), np.array([-np.sin(a), np.cos(a)])
        hub = np.array([mill, 0.233])
        corners = [
            hub,
            hub + 0.145 * tip,
            hub + 0.145 * tip + 0.024 * side,
            hub + 0.03 * tip + 0.024 * side,
        ]
        draw.polygon(
            [tuple(c * s) for c in corners], fill=tone("#efe6d2", 1), outline=tone("#5b4636", 1)
        )
        draw.line([tuple(hub * s), tuple((hub + 0.15 * tip) * s)], fill=tone("#4a372a", 1), width=4)
    colours = vary.shuffled(["#d62839", "#f6bd2b", "#e85d9b", "#ff7f32", "#8e3b9e", "#fff4e4"])
    depth = 0.004
    while depth < 1.15:
        size = 0.030 * depth + 0.0012
        foot = horizon + 0.62 * depth
        for lane in range(-24, 25):
            for step in range(5):
                px = (
                    wide / 2
                    + (lane + (step + 0.5) / 7) * 0.17 * depth
                    + rng.normal(0, 0.10) * size
                    + 0.10 * (1 - depth)
                )
                if not -0.05 < px < wide + 0.05:
                    continue
                py, k = foot + rng.normal(0, 0.25) * size, rng.uniform(0.82, 1.12) * (
                    0.85 + 0.15 * min(depth, 1)
                )
                if depth > 0.16:
                    draw.line(
                        [(px * s, py * s), (px * s, (py + 2.2 * size) * s)],
                        fill=tone("#3d7a2a", k),
                        width=max(1, int(0.22 * size * s)),
                    )
                name = colours[lane % 6]
                draw.ellipse(
                    [
                        (px - 0.42 * size) * s,
                        (py - 0.65 * size) * s,
                        (px + 0.42 * size) * s,
                        (py + 0.5 * size) * s,
                    ],
                    fill=tone(name, k),
                )
                if depth > 0.12:
                    draw.ellipse(
                        [
                            (px - 0.36 * size) * s,
                            (py - 0.6 * size) * s,
                            (px + 0.02 * size) * s,
                            (py + 0.35 * size) * s,
                        ],
                        fill=tone(name, k * 1.16),
                    )
        depth += 0.55 * size + 0.002
    return np.asarray(canvas.resize((width, height), Image.Resampling.BOX), np.float32) / 255


def beach(height, width, rng, vary=STILL):
    y, x = grid(height, width)
    edge = vary.by(0.33, 0.08) + 0.035 * ridge(rng, width, 4, 4)[None, :] + vary.by(0.06, 0.1) * (x - 0.66)
    sand = mix(
        rgb("#ecd3a2"),
        rgb("#dcb983"),
        np.clip(noise(rng, height, width, 60, 80, 3) * 0.5 + 0.5, 0, 1)[..., None],
    )
    sea = ramp(np.clip((edge - y) / 0.35, 0, 1), [(0, "#7fdcd3"), (0.4, "#28a6bd"), (1, "#0c6c9c")])
    image = mix(sand, sand * 0.78, smooth(0.07, 0.0, y - edge)[..., None])
    lay(image, np.clip((edge - y) * height, 0, 1)[..., None], sea)
    for offset, strength in ((0.0, 0.95), (-0.07, 0.5), (-0.15, 0.3)):
        foam = np.exp(
            -(((y - edge - offset + 0.008 * noise(rng, height, width, 20, 26, 3)) / 0.011) ** 2)
        )
        lay(image, strength * foam[..., None], 1.0)
    spots = [
        (0.22, 0.58, "#d62839"),
        (0.62, 0.70, "#1f7a8c"),
        (1.05, 0.56, "#f2a541"),
        (0.34, 0.88, "#2a9d8f"),
        (1.16, 0.87, "#8e3b9e"),
    ]
    for cx, cy, colour in spots:
        cx, cy = vary.by(cx, 0.15), vary.by(cy, 0.08)
        shadow = np.hypot(x - cx - 0.045, (y - cy - 0.05) * 1.1)
        lay(image, 0.4 * smooth(0.115, 0.095, shadow)[..., None], rgb("#5d4a37"))
        towel = (np.abs(x - cx - 0.12) < 0.03) & (np.abs(y - cy - 0.03) < 0.075)
        image[towel] = mix(
            rgb(colour),
            1.0,
            0.35 + 0.3 * (np.sin(np.broadcast_to(y, towel.shape)[towel] * 190) > 0)[:, None],
        )
        far, angle = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
        stripes = np.where(np.sin(angle * 6 + cx * 9)[..., None] > 0, rgb(colour), rgb("#fff8ec"))
        stripes = stripes * (
            0.9 + 0.18 * np.cos(angle + 2.4)[..., None] * np.clip(far / 0.1, 0, 1)[..., None]
        )
        lay(image, np.clip((0.1 - far) * height, 0, 1)[..., None], stripes)
    return image
