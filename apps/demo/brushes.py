"""What the painted and the ray traced scenes share: colours, noise, masks, layers.

Pictures are float32 arrays (height, width, 3), sRGB in 0..1.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


class Vary:
    """How far a scene departs from its usual layout: not at all, unless there is an rng."""

    def __init__(self, rng=None):
        self.rng = rng

    def by(self, value, spread):
        return value if self.rng is None else value + self.rng.uniform(-spread, spread)

    def times(self, value, factor):
        return value if self.rng is None else value * factor ** self.rng.uniform(-1, 1)

    def shuffled(self, values):
        return values if self.rng is None else list(self.rng.permutation(values))


STILL = Vary()


def rgb(code):
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def mix(a, b, t):
    return a + (b - a) * t


def smooth(low, high, x):
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def ramp(t, stops):
    """Colours along t (any shape) from [(position, colour), ...]."""
    positions = [p for p, _ in stops]
    colours = np.stack([rgb(c) for _, c in stops])
    return np.stack([np.interp(t, positions, colours[:, k]) for k in range(3)], -1).astype(
        np.float32
    )


def noise(rng, height, width, rows, columns, octaves=5, gain=0.5):
    """Fractal value noise, mean about 0, range about -1..1; rows x columns cells in octave 0."""
    total, weight = np.zeros((height, width), np.float32), 0.0
    for octave in range(octaves):
        shape = (min(height, rows << octave) + 2, min(width, columns << octave) + 2)
        grid = Image.fromarray(rng.uniform(-1, 1, shape).astype(np.float32))
        total += gain**octave * np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
        weight += gain ** (2 * octave)
    return total / weight**0.5


def ridge(rng, width, cells, octaves=6, gain=0.5):
    return noise(rng, 1, width, 1, cells, octaves, gain)[0]


def grid(height, width):
    """Column of y and row of x, both in units of the height."""
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    x = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / height
    return y, x


def mask(height, width, paint, blur=0.0, oversample=2):
    """Coverage 0..1 of what paint(draw, scale) draws with fill=255; scale is pixels per height."""
    image = Image.new("L", (width * oversample, height * oversample))
    paint(ImageDraw.Draw(image), height * oversample)
    image = image.resize((width, height), Image.Resampling.BOX)
    if blur:
        image = image.filter(ImageFilter.GaussianBlur(blur * height))
    return np.asarray(image, np.float32)[..., None] / 255


def lay(image, coverage, colour):
    image += (colour - image) * coverage
    return image


def pine(draw, x, foot, tall, scale, rng, slim=0.2):
    """A conifer: a stack of ragged triangles. Units of the picture's height."""
    draw.rectangle(
        [
            (x - 0.012 * tall) * scale,
            (foot - 0.2 * tall) * scale,
            (x + 0.012 * tall) * scale,
            foot * scale,
        ],
        fill=255,
    )
    tiers = 9
    for tier in range(tiers):
        top = foot - tall * (1 - tier / (tiers + 1.5))
        low = top + tall * 0.24
        half = slim * tall * (tier + 1.2) / tiers * rng.uniform(0.85, 1.15)
        sag = rng.uniform(-0.02, 0.02, 2) * tall
        draw.polygon(
            [
                (x * scale, top * scale),
                ((x - half) * scale, (low + sag[0]) * scale),
                (x * scale, (low - 0.05 * tall) * scale),
                ((x + half) * scale, (low + sag[1]) * scale),
            ],
            fill=255,
        )
