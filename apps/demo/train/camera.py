"""What happens to a picture before a model sees it: blur, sizes, JPEG."""

import io

from PIL import Image, ImageFilter


def as_jpeg(photo, quality, subsampling):
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(file).convert("RGB")


def worn(rng, photo, shortest):
    """With the marks of a way through the web: soft, made smaller, recompressed."""
    if rng.random() < 0.25:
        photo = photo.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.3:
        scale = rng.uniform(shortest / min(photo.size), 1)
        size = [max(shortest, round(side * scale)) for side in photo.size]
        filters = [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]
        photo = photo.resize(size, filters[rng.integers(3)])
    if rng.random() < 0.75:
        photo = as_jpeg(photo, int(rng.integers(25, 96)), int(rng.choice([0, 1, 2])))
    return photo


def fitted(photo, side):
    """(side, side) as CLIP's preprocessing: shortest edge to `side` by bicubic, centre crop."""
    width, height = photo.size
    scale = side / min(width, height)
    size = max(side, int(width * scale)), max(side, int(height * scale))
    photo = photo.resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return photo.crop((left, top, left + side, top + side))
