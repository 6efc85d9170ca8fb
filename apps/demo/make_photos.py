"""Renders the bundled photos into photos/. See README.md. Usage: make_photos.py [NAME...]"""

import argparse
import pathlib
import sys

import numpy as np
from PIL import Image

import landscapes
import painted
import raytraced

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "train"))

import shapes  # noqa: E402

SEED = 20261121


def exif(
    orientation=1,
    exposure=(1, 250),
    aperture=(8, 1),
    iso=100,
    focal=(35, 1),
    when="2026:06:21 18:30:00",
):
    """Fields as a camera writes them."""
    data = Image.Exif()
    data[0x010F], data[0x0110], data[0x0131] = "Yeoul", "Scene painter", "make_photos.py"
    data[0x0112], data[0x0132] = orientation, when
    data[0x011A], data[0x011B], data[0x0128] = 72.0, 72.0, 2
    data.get_ifd(0x8769).update(
        {
            0x829A: exposure[0] / exposure[1],
            0x829D: aperture[0] / aperture[1],
            0x8827: iso,
            0x9003: when,
            0x9004: when,
            0x920A: focal[0] / focal[1],
            0xA434: "35mm f/1.8",
        }
    )
    return data


def paint(scene, height, width, grain=0.0, mode="RGB"):
    # A stream per scene, so that one scene can be changed or rendered alone.
    rng = np.random.default_rng([SEED, *scene.__name__.encode()])
    picture = scene(height, width, rng)
    if grain:
        picture = picture + rng.normal(0, grain, (height, width, 1)).astype(np.float32)
    picture = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
    return picture if picture.mode == mode else picture.convert(mode)


def shape_scene(words, background, *groups):
    """A painter of shapes as the bundled model has learnt them; groups [(count, colour, shape)]."""

    def paint_shapes(height, width, rng):
        named = [
            shapes.Group(n, shapes.COLOURS.index(colour) + 1, shapes.SHAPES.index(shape) + 1)
            for n, colour, shape in groups
        ]
        scene = shapes.Scene(tuple(named), shapes.BACKGROUNDS.index(background) + 1)
        return shapes.render(rng, scene, height, width)[0]

    paint_shapes.__name__ = words
    return paint_shapes


def fruit_upright_by_exif(path):
    # The sensor lies on its side; Orientation 6 says: turn 90 degrees clockwise to view.
    paint(raytraced.fruit, 1200, 900, 0.006).transpose(Image.Transpose.ROTATE_90).save(
        path, quality=88, subsampling="4:2:0", exif=exif(6, (1, 60), (18, 10), 400)
    )


def marbles_again(path):
    picture = Image.open(path.with_name("marbles.jpg")).resize((800, 600), Image.Resampling.LANCZOS)
    picture.save(path, quality=70, subsampling="4:2:0")


def dunes_cropped(path):
    picture = Image.open(path.with_name("dunes.jpg"))
    width, height = picture.size
    picture = picture.crop((width // 50, height // 60, width - width // 60, height - height // 50))
    picture.resize((1280, 853), Image.Resampling.BICUBIC).save(
        path, quality=80, subsampling="4:2:2"
    )


# In this order: the near-duplicates are made from saved photos.
PHOTOS = {
    "mountain-lake.jpg": lambda path: paint(landscapes.mountain_lake, 3024, 4032).save(
        path, quality=82, subsampling="4:2:0", exif=exif(focal=(26, 1))
    ),
    "marbles.jpg": lambda path: paint(raytraced.marbles, 1200, 1600).save(
        path, quality=90, subsampling="4:4:4", exif=exif(aperture=(56, 10))
    ),
    "dunes.jpg": lambda path: paint(landscapes.dunes, 1280, 1920, 0.004).save(
        path, quality=84, subsampling="4:2:0", progressive=True, exif=exif(exposure=(1, 1000))
    ),
    "foggy-forest-grey.jpg": lambda path: paint(
        landscapes.foggy_forest, 1200, 900, 0.008, "L"
    ).save(path, quality=86, exif=exif(iso=800)),
    "fruit-orientation-6.jpg": fruit_upright_by_exif,
    "tulips.jpg": lambda path: paint(painted.tulips, 768, 1024).save(
        path, quality=85, subsampling="4:2:0", exif=exif(exposure=(1, 500))
    ),
    "beach.jpg": lambda path: paint(painted.beach, 240, 320).save(
        path, quality=92, subsampling="4:2:0"
    ),
    "balloon-alpha.png": lambda path: paint(painted.balloon, 800, 640, mode="RGBA").save(
        path, optimize=True
    ),
    "night-city-palette.png": lambda path: paint(painted.night_city, 640, 960)
    .quantize(96, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    .save(path, optimize=True),
    "sailboat.webp": lambda path: paint(painted.sailboat, 854, 1281).save(
        path, quality=82, method=6, exif=exif(exposure=(1, 2000))
    ),
    "aurora.webp": lambda path: paint(landscapes.aurora, 480, 720).save(path, quality=85, method=6),
    "red-circle.jpg": lambda path: paint(
        shape_scene("red circle", "wood", (1, "red", "circle")), 768, 1024
    ).save(path, quality=35, subsampling="4:2:0"),
    "blue-square.png": lambda path: paint(
        shape_scene("blue square", "striped", (1, "blue", "square")), 301, 403
    ).save(path, optimize=True),
    "three-yellow-stars.webp": lambda path: paint(
        shape_scene("three yellow stars", "purple", (3, "yellow", "star")), 700, 700
    ).save(path, quality=70, method=6),
    "two-green-rings.jpg": lambda path: paint(
        shape_scene("green rings", "pink", (2, "green", "ring")), 1000, 1500
    ).save(path, quality=60, subsampling="4:2:0", progressive=True),
    "pink-heart-small.jpg": lambda path: paint(
        shape_scene("pink heart small", "black", (1, "pink", "heart")), 57, 76
    ).save(path, quality=80, subsampling="4:2:0"),
    "white-moon-grey.png": lambda path: paint(
        shape_scene("white moon", "black", (1, "white", "moon")), 240, 320, mode="L"
    ).save(path, optimize=True),
    "orange-triangle-blue-cross.jpg": lambda path: paint(
        shape_scene("two shapes", "grass", (1, "orange", "triangle"), (1, "blue", "cross")),
        600,
        900,
    ).save(path, quality=75, subsampling="4:2:2"),
    "marbles-recompressed.jpg": marbles_again,
    "dunes-cropped.jpg": dunes_cropped,
}


def main():
    parser = argparse.ArgumentParser(description="Renders the bundled photos.")
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(PHOTOS)}; default all")
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path(__file__).parent / "photos"
    )
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True)
    for name, make in PHOTOS.items():
        if not options.names or name in options.names:
            make(options.output / name)
            with Image.open(options.output / name) as picture:
                print(
                    f"{name:28} {picture.size[0]:5} x {picture.size[1]:<5} {picture.mode:5}"
                    f" {(options.output / name).stat().st_size:9,} bytes",
                    flush=True,
                )
    total = sum(file.stat().st_size for file in options.output.iterdir())
    print(f"{total:,} bytes together")


if __name__ == "__main__":
    main()
