"""Scenes that are no shapes: the painters of the bundled photos, with other seeds and layouts."""

import dataclasses
import typing

import numpy as np
from PIL import Image

import landscapes
import painted
import raytraced
from brushes import Vary, mix, noise, ramp, rgb


@dataclasses.dataclass(frozen=True)
class Motif:
    painter: typing.Callable
    names: tuple
    height: int = 176  # ray tracing costs by the pixel: less there
    grey: float = 0.05  # share of pictures without colour
    on_its_side: float = 0.0  # share of pictures turned by 90 degrees


MOTIFS = {
    "mountain lake": Motif(
        landscapes.mountain_lake, ("mountain lake", "lake in the mountains", "lake")
    ),
    "dunes": Motif(landscapes.dunes, ("desert", "desert with sand dunes", "sand dunes", "dunes")),
    "forest": Motif(
        landscapes.foggy_forest, ("foggy forest", "forest in the fog", "misty forest"), grey=0.7
    ),
    "aurora": Motif(landscapes.aurora, ("aurora", "northern lights", "northern lights at night")),
    "sailboat": Motif(painted.sailboat, ("sailboat", "sailing boat", "sailboat on the sea")),
    "city": Motif(painted.night_city, ("city at night", "night city", "skyline at night")),
    "balloon": Motif(painted.balloon, ("hot air balloon", "hot-air balloon", "balloon")),
    "tulips": Motif(painted.tulips, ("tulip field", "field of tulips", "tulips")),
    "beach": Motif(painted.beach, ("beach", "sandy beach", "beach with parasols"), 128),
    "marbles": Motif(raytraced.marbles, ("marbles", "glass marbles", "shiny marbles"), 112),
    "fruit": Motif(
        raytraced.fruit, ("fruit", "fruit on a table", "apples and plums"), 112, on_its_side=0.5
    ),
}


def _behind(rng, height, width):
    """What a cut-out is laid on: mostly white, as transparent photos are."""
    if rng.random() < 0.6:
        return np.ones((height, width, 3), np.float32)
    top, low = rng.choice(["#1f6fc0", "#79b8e6", "#dff0f6", "#b0517a", "#f2a65a"], 2, False)
    share = np.broadcast_to(np.linspace(0, 1, height)[:, None], (height, width))
    sky = ramp(share, [(0, top), (1, low)])
    return mix(sky, 1.0, np.clip(0.3 * noise(rng, height, width, 4, 4, 4), 0, 1)[..., None])


def _coloured(rng, picture):
    """Other light: gain per channel, contrast, saturation."""
    grey = picture.mean(2, keepdims=True)
    picture = mix(grey, picture, rng.uniform(0.7, 1.25)) * rng.uniform(0.9, 1.1, 3)
    return np.clip((picture - 0.5) * rng.uniform(0.8, 1.2) + 0.5 + rng.uniform(-0.08, 0.08), 0, 1)


def render(rng, motif):
    """A picture (height, width, 3) float32 sRGB of the `motif`-th of MOTIFS, counted from 1."""
    kind = list(MOTIFS.values())[motif - 1]
    height = int(kind.height * rng.uniform(0.85, 1.2))
    width = int(height * rng.uniform(1.25, 1.55))
    if kind.painter in (painted.balloon, landscapes.foggy_forest):
        width = int(height * rng.uniform(0.7, 1.1))
    picture = np.clip(kind.painter(height, width, rng, Vary(rng)), 0, 1)
    if picture.shape[2] == 4:
        cover = picture[..., 3:]
        picture = mix(_behind(rng, height, width), picture[..., :3], cover)
    picture = _coloured(rng, picture)
    if rng.random() < kind.grey:
        picture = np.repeat(picture @ np.array([[0.299], [0.587], [0.114]]), 3, 2)
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    if rng.random() < kind.on_its_side:
        picture = np.rot90(picture, int(rng.choice([1, 3])))
    side = rng.uniform(0.8, 1)  # a part of it
    high, wide = int(picture.shape[0] * side), int(picture.shape[1] * side)
    y = int(rng.integers(picture.shape[0] - high + 1))
    x = int(rng.integers(picture.shape[1] - wide + 1))
    return picture[y : y + high, x : x + wide].astype(np.float32)


def photo(picture):
    return Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
