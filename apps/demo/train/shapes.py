"""Scenes of shapes: what is on them, drawn by a seed, and the picture.

A scene is a Scene of ids; 0 means "nothing" everywhere, so that captions can use it for "not said".
"""

import colorsys
import dataclasses

import numpy as np

from brushes import grid, lay, mask, mix, noise, smooth

COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "black", "white"]
SHAPES = ["circle", "square", "triangle", "star", "cross", "heart", "ring", "moon"]
SIZES = ["small", "large"]
POSITIONS = ["left", "right", "top", "bottom", "middle"]
BACKGROUNDS = [*COLOURS, "grey", "wood", "striped", "checkered", "sky", "grass"]
MOST = 4  # objects of one kind

# Hue in degrees, saturation, value: middle and half width.
_PAINT = {
    "red": ((0, 7), (0.88, 0.12), (0.80, 0.14)),
    "orange": ((28, 5), (0.93, 0.07), (0.96, 0.04)),
    "yellow": ((53, 5), (0.88, 0.10), (0.96, 0.04)),
    "green": ((122, 24), (0.75, 0.20), (0.60, 0.20)),
    "blue": ((222, 14), (0.82, 0.16), (0.70, 0.22)),
    "purple": ((280, 10), (0.68, 0.18), (0.56, 0.16)),
    "pink": ((336, 9), (0.42, 0.12), (0.97, 0.03)),
    "black": ((0, 180), (0.15, 0.15), (0.06, 0.05)),
    "white": ((0, 180), (0.02, 0.02), (0.97, 0.03)),
    "grey": ((0, 180), (0.03, 0.03), (0.52, 0.14)),
    "wood": ((28, 5), (0.48, 0.10), (0.62, 0.12)),
    "sky": ((207, 8), (0.38, 0.12), (0.93, 0.05)),
    "grass": ((95, 12), (0.58, 0.12), (0.50, 0.10)),
}


@dataclasses.dataclass(frozen=True)
class Group:
    """`count` objects that look alike. Ids are positions in the lists above plus 1."""

    count: int = 0
    colour: int = 0
    shape: int = 0
    size: int = 0
    position: int = 0


@dataclasses.dataclass(frozen=True)
class Scene:
    groups: tuple = ()
    background: int = 0
    motif: int = 0  # of motifs.MOTIFS, for scenes that are no shapes


def _paint(rng, name):
    (hue, dh), (saturation, ds), (value, dv) = _PAINT[name]
    return np.array(
        colorsys.hsv_to_rgb(
            (hue + rng.uniform(-dh, dh)) / 360 % 1,
            np.clip(saturation + rng.uniform(-ds, ds), 0, 1),
            np.clip(value + rng.uniform(-dv, dv), 0, 1),
        ),
        np.float32,
    )


def _outline(shape):
    """Corners (n, 2) within the unit circle."""
    turn = lambda n, start: np.arange(n) * 2 * np.pi / n + start
    if shape == "square":
        return 0.8 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    if shape == "triangle":
        return np.stack([np.cos(turn(3, -np.pi / 2)), np.sin(turn(3, -np.pi / 2))], 1)
    if shape == "star":
        radius = np.where(np.arange(10) % 2, 0.42, 1.05)
        angle = turn(10, -np.pi / 2)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    if shape == "cross":
        a, b = 0.3, 0.95
        return np.array(
            [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a),
             (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]
        )  # fmt: skip
    if shape == "heart":
        t = turn(48, 0)
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        return np.stack([16 * np.sin(t) ** 3, -y - 2.5], 1) / 16.5
    if shape == "moon":  # a disc less another one that meets it at its horns
        horn, back = 0.9, 0.15
        middle, reach = np.cos(horn) + back, np.hypot(back, np.sin(horn))
        outer = np.linspace(horn, 2 * np.pi - horn, 40)
        inner = np.linspace(-1, 1, 40) * np.arctan2(np.sin(horn), back) + np.pi
        bite = np.stack([middle + reach * np.cos(inner), reach * np.sin(inner)], 1)[::-1]
        return np.concatenate([np.stack([np.cos(outer), np.sin(outer)], 1), bite]) + (0.2, 0)
    angle = turn(64, 0)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


# How far a shape may be turned, in degrees: a square on its corner has another name.
_TURN = {"square": 12, "triangle": 15, "star": 36, "cross": 12, "heart": 15, "moon": 180}


def draw_scene(rng, kinds=None, most=MOST):
    """A scene with `kinds` kinds of objects (1 or 2; default: either) and at most `most` of each."""
    kinds = kinds or int(rng.choice([1, 2], p=[0.75, 0.25]))
    pairs = []
    while len(pairs) < kinds:
        pair = (int(rng.integers(len(COLOURS))) + 1, int(rng.integers(len(SHAPES))) + 1)
        if pair not in pairs:
            pairs.append(pair)
    counts = [int(rng.choice(4, p=[0.64, 0.12, 0.12, 0.12])) + 1 for _ in pairs]
    counts = [min(count, most, 2 if kinds == 2 else MOST) for count in counts]
    return Scene(
        tuple(Group(count, *pair) for count, pair in zip(counts, pairs)),
        int(rng.integers(len(BACKGROUNDS))) + 1,
    )


def _radius(rng, total):
    low, high = {1: (0.14, 0.42), 2: (0.13, 0.23), 3: (0.11, 0.18), 4: (0.10, 0.16)}[total]
    return rng.uniform(low, high)


def _lay_out(rng, groups):
    """[(group, x, y, radius)] in units of the height about the middle; nothing overlaps."""
    total = min(sum(group.count for group in groups), 4)
    while True:
        radius, placed = _radius(rng, total), []
        for index, group in enumerate(groups):
            own = radius * rng.uniform(0.85, 1.15) if index else radius
            for _ in range(group.count):
                room = max(0.47 - own, 0)
                x, y = rng.uniform(-room, room, 2)
                size = own * rng.uniform(0.92, 1.08)
                if all(np.hypot(x - a, y - b) > 1.06 * (size + r) for _, a, b, r in placed):
                    placed.append((index, x, y, size))
        if len(placed) == sum(group.count for group in groups):
            return placed


def _described(groups, placed):
    """The groups with size and position filled in where there is one object and no doubt."""
    if len(placed) > 1:
        return groups
    _, x, y, radius = placed[0]
    size = 1 if radius < 0.2 else 2 if radius > 0.32 else 0
    position = 0
    if max(abs(x), abs(y)) < 0.07:
        position = POSITIONS.index("middle") + 1
    elif abs(x) > 0.16 and abs(y) < abs(x) / 2:
        position = POSITIONS.index("left" if x < 0 else "right") + 1
    elif abs(y) > 0.16 and abs(x) < abs(y) / 2:
        position = POSITIONS.index("top" if y < 0 else "bottom") + 1
    return (dataclasses.replace(groups[0], size=size, position=position),)


def _ground(rng, name, height, width):
    y, x = grid(height, width)
    if name in ("striped", "checkered"):
        one, other = _paint(rng, rng.choice([*COLOURS, "grey"])), _paint(rng, rng.choice(COLOURS))
        other = mix(one, other, 0.35)
        angle, pitch = rng.uniform(0, np.pi), rng.uniform(22, 60)
        u = np.sin((x * np.cos(angle) + y * np.sin(angle)) * pitch)
        v = np.sin((y * np.cos(angle) - x * np.sin(angle)) * pitch) if name == "checkered" else 1
        return mix(one, other, smooth(-0.15, 0.15, u * v)[..., None])
    colour = _paint(rng, name)
    if name == "wood":
        grain = noise(rng, height, width, 30, 2, 3)
        planks = np.abs((y * 4 + rng.uniform()) % 1) < 0.03
        return colour * (1 + 0.16 * grain - 0.3 * planks)[..., None]
    if name == "sky":
        cloud = smooth(0.1, 0.9, noise(rng, height, width, 4, 4, 4))
        return mix(colour * np.ones((height, width, 1), np.float32), 1.0, 0.5 * cloud[..., None])
    if name == "grass":
        return colour * (1 + 0.2 * noise(rng, height, width, 50, 60, 2))[..., None]
    # Plain: light from one side and the grain of paper.
    lean = rng.uniform(-0.12, 0.12, 2)
    light = 1 + lean[0] * (x - 0.5) + lean[1] * (y - 0.5)
    return colour * light[..., None] * np.ones((height, width, 1), np.float32)


def _stands_out(tints, ground):
    """Every colour differs from the ground behind it, pixel for pixel."""
    samples = ground[:: max(1, len(ground) // 16), :: max(1, ground.shape[1] // 16)].reshape(-1, 3)
    return all(np.abs(samples - tint).max(1).min() > 0.28 for tint in tints)


def render(rng, scene, height, width):
    """(picture (height, width, 3) float32 sRGB, the scene with sizes and positions)."""
    while True:
        tints = [_paint(rng, COLOURS[group.colour - 1]) for group in scene.groups]
        image = np.clip(_ground(rng, BACKGROUNDS[scene.background - 1], height, width), 0, 1)
        if _stands_out(tints, image):
            break
        scene = dataclasses.replace(scene, background=int(rng.integers(len(BACKGROUNDS))) + 1)
    y, x = grid(height, width)
    placed = _lay_out(rng, scene.groups)
    middle = (width / height / 2, 0.5)
    shadow, depth = rng.uniform(0, 0.45) * (rng.random() < 0.6), rng.uniform(-0.03, 0.03, 2)
    sheen, sun = rng.uniform(0, 0.3), rng.uniform(0, 2 * np.pi)
    for index, dx, dy, radius in placed:
        shape = SHAPES[scene.groups[index].shape - 1]
        angle = np.radians(rng.uniform(-1, 1) * _TURN.get(shape, 0))
        turned = _outline(shape) @ np.array(
            [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        )
        at = np.array(middle) + (dx, dy)

        def paint(draw, scale, offset=(0, 0)):
            corners = (turned * radius + at + offset) * scale
            draw.polygon([tuple(c) for c in corners], fill=255)
            if shape == "ring":
                inner = (turned * radius * 0.55 + at + offset) * scale
                draw.polygon([tuple(c) for c in inner], fill=0)

        if shadow:
            cast = mask(height, width, lambda d, s: paint(d, s, depth), 0.012, oversample=1)
            lay(image, shadow * cast, 0.0)
        across = ((x - at[0]) * np.cos(sun) + (y - at[1]) * np.sin(sun)) / radius
        colour = np.clip(tints[index] * (1 + sheen * across[..., None] / 2), 0, 1)
        lay(image, mask(height, width, paint), colour)
    image += rng.normal(0, rng.uniform(0, 0.02), (height, width, 1)).astype(np.float32)
    return np.clip(image, 0, 1), dataclasses.replace(
        scene, groups=_described(scene.groups, placed)
    )
