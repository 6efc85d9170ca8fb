"""What can be said of a scene, and which captions are true of which scenes."""

import dataclasses

import numpy as np

import shapes
from motifs import MOTIFS

COUNTS = ["a", "two", "three", "four"]
FORMS = [
    "a photo of {}",
    "a photo of {}",
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "a drawing of {}",
    "this is {}",
    "{}",
]
POSITIONS = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "middle": "in the middle",
}
BACKGROUNDS = {"sky": "in the sky", "grass": "on grass", "wood": "on wood"}
PLURALS = {"cross": "crosses"}


def article(rng, words):
    """Mostly the right one. "a photo of a {}" puts "a" before anything, so that is met too."""
    return "an" if words[0] in "aeiou" and rng.random() < 0.7 else "a"


def group_words(rng, group, bare):
    """(words, what they claim): some of count, size, colour and shape."""
    claim = dataclasses.replace(group, position=0)
    if bare or rng.random() < 0.8:
        claim = dataclasses.replace(claim, size=0)
    if not bare and rng.random() < 0.08:
        claim = dataclasses.replace(claim, colour=0)
    if not bare and rng.random() < 0.05:
        claim = dataclasses.replace(claim, shape=0)
    noun = shapes.SHAPES[claim.shape - 1] if claim.shape else "shape"
    if claim.count > 1:
        noun = PLURALS.get(noun, noun + "s")
    words = [shapes.SIZES[claim.size - 1]] if claim.size else []
    words += [shapes.COLOURS[claim.colour - 1]] if claim.colour else []
    words = " ".join([*words, noun])
    if claim.count == 1:
        return f"{article(rng, words)} {words}", claim
    return f"{'a ' * (rng.random() < 0.08)}{COUNTS[claim.count - 1]} {words}", claim


def shape_words(rng, scene):
    bare = rng.random() < 0.5
    said = [group_words(rng, group, bare) for group in scene.groups]
    if len(said) > 1:
        order = rng.permutation(len(said))[: 1 if rng.random() < 0.1 else 2]
        said = [said[i] for i in order]
    words, claims = " and ".join(w for w, _ in said), [c for _, c in said]
    position = scene.groups[0].position
    if not bare and len(scene.groups) == 1 and position and rng.random() < 0.5:
        words += " " + POSITIONS[shapes.POSITIONS[position - 1]]
        claims[0] = dataclasses.replace(claims[0], position=position)
    background = 0
    if not bare and rng.random() < 0.4:
        background = scene.background
        name = shapes.BACKGROUNDS[background - 1]
        words += " " + BACKGROUNDS.get(name, f"on {article(rng, name)} {name} background")
    return words, shapes.Scene(tuple(claims), background)


def motif_words(rng, scene):
    words = rng.choice(list(MOTIFS.values())[scene.motif - 1].names)
    if rng.random() < 0.75:
        words = f"{article(rng, words)} {words}"
    return words, scene


def caption(rng, scene):
    """(text, the Scene of what it claims; 0 is what it does not say)."""
    words, claim = (motif_words if scene.motif else shape_words)(rng, scene)
    return str(rng.choice(FORMS)).format(words), claim


def altered(rng, scene):
    """The scene with one thing changed: what is easily taken for it."""
    if scene.motif:
        other = (scene.motif + int(rng.integers(len(MOTIFS) - 1))) % len(MOTIFS) + 1
        return shapes.Scene(motif=other)
    field, kinds = [
        ("colour", len(shapes.COLOURS)),
        ("shape", len(shapes.SHAPES)),
        ("count", shapes.MOST),
    ][rng.choice(3, p=[0.35, 0.45, 0.2])]
    groups, index = list(scene.groups), int(rng.integers(len(scene.groups)))
    value = (getattr(groups[index], field) + int(rng.integers(kinds - 1))) % kinds + 1
    groups[index] = dataclasses.replace(groups[index], **{field: value}, size=0, position=0)
    return dataclasses.replace(scene, groups=tuple(groups))


def everything():
    """Every word that captions are made of, for the vocabulary."""
    nouns = [*shapes.SHAPES, *(PLURALS.get(s, s + "s") for s in shapes.SHAPES), "shape", "shapes"]
    words = [*FORMS, *COUNTS, "an", "and", *nouns, *shapes.COLOURS, *shapes.SIZES]
    words += [*POSITIONS.values(), *BACKGROUNDS.values(), *shapes.BACKGROUNDS, "background"]
    words += [name for motif in MOTIFS.values() for name in motif.names]
    return [word.replace("{}", "") for word in words]


WIDTH = 12


def encoded(scene):
    """(12,) ids: motif, background, then count, colour, shape, size, position of two groups."""
    groups = [dataclasses.astuple(group) for group in scene.groups] + [(0,) * 5] * 2
    return np.array([scene.motif, scene.background, *groups[0], *groups[1]], np.int8)


def truth(scenes, claims):
    """(scenes, claims) bool: nothing that the claim says is wrong of the scene.

    scenes (n, 12), claims (m, 12) as `encoded`. Two groups may be told in either order.
    """
    agrees = (claims[None] == 0) | (claims[None] == scenes[:, None])
    crossed = np.concatenate([scenes[:, 7:], scenes[:, 2:7]], 1)[:, None]
    swapped = (claims[None, :, 2:] == 0) | (claims[None, :, 2:] == crossed)
    return agrees[..., :2].all(2) & (agrees[..., 2:].all(2) | swapped.all(2))


def decoded(ids):
    """The Scene of `encoded`."""
    groups = [shapes.Group(*map(int, part)) for part in (ids[2:7], ids[7:12]) if part[0]]
    return shapes.Scene(tuple(groups), int(ids[1]), int(ids[0]))


_KINDS = len(shapes.COLOURS) * len(shapes.SHAPES)
FACTS = len(MOTIFS) + 2 * shapes.MOST + _KINDS + len(shapes.COLOURS) + len(shapes.SHAPES)


def facts(scenes):
    """Scenes (n, 12) as (n, FACTS) float32 of 0 and 1: motif, counts, and kinds of objects."""
    table = np.zeros((len(scenes), FACTS), np.float32)
    for row, scene in zip(table, scenes):
        if scene[0]:
            row[scene[0] - 1] = 1
            continue
        base = len(MOTIFS)
        for count, colour, shape in (scene[2:5], scene[7:10]):
            if count:
                row[base + count - 1] = 1
                at = base + 2 * shapes.MOST
                row[at + (int(colour) - 1) * len(shapes.SHAPES) + shape - 1] = 1
                row[at + _KINDS + colour - 1] = 1
                row[at + _KINDS + len(shapes.COLOURS) + shape - 1] = 1
        row[base + shapes.MOST + min(int(scene[2]) + int(scene[7]), shapes.MOST) - 1] = 1
    return table
