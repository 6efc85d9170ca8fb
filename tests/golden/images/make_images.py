#!/usr/bin/env python3
"""Writes the small photos of this folder and, beside each, the RGB bytes that Pillow gives.

    python make_images.py        (Pillow 13.0.0, numpy; a C compiler with libjpeg; pillow-heif for HEIC)

For each NAME there are NAME (the file), NAME.rgb (height, width, 3) after convert("RGB"), and a
line of manifest.txt:
    NAME WIDTH HEIGHT ORIENTATION CUT WARNING
CUT: Pillow still opens the file with so many bytes missing at its end; -1: not asked.
WARNING: 1 where Pillow's result is questionable (16-bit grey). Files named *.upright.* hold in
their .rgb the pixels after ImageOps.exif_transpose; WIDTH and HEIGHT are those of the .rgb.
heic files are lossy and have no Pillow: their .rgb is the picture that was encoded.
"""
import io
import pathlib
import struct
import subprocess
import tempfile
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).resolve().parent
MANIFEST = []
assert PIL.__version__ == "13.0.0", PIL.__version__


def scene(width, height, channels=3, seed=1):
    """Gradients, a disc, bars and noise of an integer hash: (height, width, channels) u8."""
    y, x, c = np.meshgrid(np.arange(height, dtype=np.uint32), np.arange(width, dtype=np.uint32),
                          np.arange(channels, dtype=np.uint32), indexing="ij")
    noise = (x * 73856093) ^ (y * 19349663) ^ (c * 83492791) ^ np.uint32(seed * 2654435761 % 2**32)
    noise = (noise ^ (noise >> 13)) * np.uint32(1274126177)
    noise = (noise ^ (noise >> 16)) & 31
    ramp = (x * (c + 1) * 255 // max(1, width * (channels + 1)) + y * 120 // max(1, height))
    value = ramp + noise
    inside = (x.astype(int) - width // 3) ** 2 + (y.astype(int) - height // 2) ** 2 < (height // 4) ** 2
    value = np.where(inside, 255 - 60 * c - noise, value)
    value = np.where((x // 3 + y // 5) % 9 == 0, 20 + 70 * c, value)
    return np.clip(value, 0, 255).astype(np.uint8)


def load(data, upright=False):
    image = Image.open(io.BytesIO(data))
    image.load()
    if upright:
        image = ImageOps.exif_transpose(image)
    return np.asarray(image.convert("RGB"))


def accepted_cut(data):
    """How many bytes may be missing; Pillow accepts none in between that it then refuses."""
    cut = 0
    while cut < len(data):
        try:
            load(data[:len(data) - cut - 1])
        except Exception:
            return cut
        cut += 1
    return cut


def write(name, data, orientation=1, cut=False, warning=0, upright=False, rgb=None):
    if rgb is None:
        rgb = load(data, upright)
    (HERE / name).write_bytes(data)
    (HERE / (name + ".rgb")).write_bytes(rgb.tobytes())
    missing = accepted_cut(data) if cut else -1
    MANIFEST.append(f"{name} {rgb.shape[1]} {rgb.shape[0]} {orientation} {missing} {warning}")


def save(array, format, mode=None, **options):
    out = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array, mode)
    image.save(out, format, **options)
    return out.getvalue()


class JpegVariants:
    def __init__(self, folder):
        self.program = pathlib.Path(folder) / "jpeg_variants"
        subprocess.run(["cc", "-o", self.program, HERE / "jpeg_variants.c", "-ljpeg"], check=True)

    def __call__(self, pixels, space, factors, quality=85, restart=0, progressive=0, arithmetic=0):
        height, width = pixels.shape[:2]
        arguments = [width, height, space, quality, factors, restart, progressive, arithmetic]
        return subprocess.run([self.program, *map(str, arguments)], input=pixels.tobytes(),
                              check=True, capture_output=True).stdout


def make_jpegs(variant):
    for name, factors in [("444", "1x1,1x1,1x1"), ("422", "2x1,1x1,1x1"), ("420", "2x2,1x1,1x1"),
                          ("440", "1x2,1x1,1x1"), ("411", "4x1,1x1,1x1"), ("410", "4x2,1x1,1x1"),
                          ("441", "1x4,1x1,1x1"), ("odd_31", "3x1,1x1,1x1"), ("odd_32", "3x2,1x1,1x1"),
                          ("luma_low", "1x1,2x2,1x1"), ("uneven", "2x2,2x1,1x2"),
                          ("all_21", "2x1,2x1,2x1")]:
        write(f"jpeg_{name}.jpg", variant(scene(61, 47), "ycc", factors))
        write(f"jpeg_{name}_progressive.jpg", variant(scene(37, 29), "ycc", factors, progressive=1))
    for width, height in [(1, 1), (8, 8), (16, 16), (17, 15), (100, 3), (2, 77)]:
        write(f"jpeg_420_{width}x{height}.jpg", variant(scene(width, height), "ycc", "2x2,1x1,1x1"),
              cut=width == 17)
    write("jpeg_grey.jpg", variant(scene(41, 33, 1), "grey", "1x1"), cut=True)
    write("jpeg_grey_22.jpg", variant(scene(41, 33, 1), "grey", "2x2"))
    write("jpeg_rgb.jpg", variant(scene(41, 33), "rgb", "1x1,1x1,1x1"))
    write("jpeg_rgb_pillow.jpg", save(scene(41, 33), "JPEG", keep_rgb=True))
    write("jpeg_cmyk.jpg", variant(scene(41, 33, 4), "cmyk", "1x1,1x1,1x1,1x1"))
    write("jpeg_cmyk_pillow.jpg", save(Image.fromarray(scene(41, 33, 4), "CMYK"), "JPEG"))
    write("jpeg_ycck.jpg", variant(scene(41, 33, 4), "ycck", "1x1,1x1,1x1,1x1"))
    write("jpeg_ycck_420.jpg", variant(scene(41, 33, 4), "ycck", "2x2,1x1,1x1,2x2"))
    write("jpeg_cmyk_progressive.jpg",
          variant(scene(41, 33, 4), "cmyk", "1x1,1x1,1x1,1x1", progressive=1))
    write("jpeg_restart.jpg", variant(scene(90, 50), "ycc", "2x2,1x1,1x1", restart=2))
    write("jpeg_restart_422.jpg", variant(scene(90, 50), "ycc", "2x1,1x1,1x1", restart=1))
    write("jpeg_arithmetic.jpg", variant(scene(61, 47), "ycc", "2x2,1x1,1x1", arithmetic=1))
    write("jpeg_arithmetic_progressive.jpg",
          variant(scene(61, 47), "ycc", "2x2,1x1,1x1", arithmetic=1, progressive=1))
    write("jpeg_quality_5.jpg", variant(scene(61, 47), "ycc", "2x2,1x1,1x1", quality=5))
    write("jpeg_quality_100.jpg", variant(scene(61, 47), "ycc", "2x1,1x1,1x1", quality=100))
    write("jpeg_progressive_cut.jpg", variant(scene(24, 18), "ycc", "2x2,1x1,1x1", progressive=1),
          cut=True)
    # A missing end marker is accepted only where the last code ends 8 bits before the end of the
    # data, because the decoder looks 8 bits ahead: take the first scene where it does.
    for seed in range(1, 200):
        data = variant(scene(40, 30, seed=seed), "ycc", "2x2,1x1,1x1")
        if accepted_cut(data) >= 2:
            write("jpeg_without_end.jpg", data[:-2])
            break
    else:
        raise SystemExit("no scene without its end marker is accepted")
    data = variant(scene(40, 30), "ycc", "2x2,1x1,1x1")
    write("jpeg_trailing_bytes.jpg", data + b"trailing bytes" * 9)
    scan = data.index(b"\xff\xda")
    write("jpeg_early_end.jpg", data[:scan + (len(data) - scan) // 2] + b"\xff\xd9")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def pack_row(samples, depth):
    flat = samples.reshape(-1)
    if depth == 16:
        return flat.astype(">u2").tobytes()
    if depth == 8:
        return flat.astype(np.uint8).tobytes()
    bits = (flat[:, None].astype(np.uint8) >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(-1)).tobytes()


def png(samples, colour, depth, interlace=False, before=(), after=(), filters=False):
    """samples (height, width, channels); filter 0, or Sub and Up in turn for 8 and 16 bits."""
    height, width, channels = samples.shape
    raw = b""
    for x0, y0, dx, dy in (ADAM7 if interlace else [(0, 0, 1, 1)]):
        part = samples[y0::dy, x0::dx]
        if part.size == 0:
            continue
        previous = None
        for index, row in enumerate(part):
            line = np.frombuffer(pack_row(row, depth), np.uint8)
            step = max(1, channels * depth // 8)
            if filters and index % 3 == 1:
                left = np.concatenate([np.zeros(step, np.uint8), line[:-step]])
                raw += b"\x01" + (line - left).tobytes()
            elif filters and index % 3 == 2:
                raw += b"\x02" + (line - previous).tobytes()
            else:
                raw += b"\x00" + line.tobytes()
            previous = line
    body = zlib.compress(raw, 9)
    middle = len(body) // 2
    return (b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlace)))
            + b"".join(before) + chunk(b"IDAT", body[:middle]) + chunk(b"IDAT", body[middle:])
            + b"".join(after) + chunk(b"IEND", b""))


def wide(width, height, channels, seed=3):
    low = scene(width, height, channels, seed).astype(np.uint16)
    high = scene(width, height, channels, seed + 1).astype(np.uint16)
    result = high * 256 + low
    result[::3] = low[::3]  # rows below 256, which 16-bit grey keeps
    return result


def make_pngs():
    palette = chunk(b"PLTE", scene(16, 16).reshape(-1).tobytes())
    for interlace in (False, True):
        tag = "_interlaced" if interlace else ""
        for depth in (1, 2, 4, 8):
            limit = (1 << depth) - 1
            grey = scene(45, 31, 1) & limit
            write(f"png_grey{depth}{tag}.png", png(grey, 0, depth, interlace, filters=depth == 8))
            colours = chunk(b"PLTE", scene(1 << depth, 1).reshape(-1).tobytes())
            write(f"png_palette{depth}{tag}.png", png(grey, 3, depth, interlace, [colours]))
        write(f"png_grey16{tag}.png", png(wide(45, 31, 1), 0, 16, interlace, filters=True), warning=1)
        write(f"png_rgb8{tag}.png", png(scene(45, 31), 2, 8, interlace, filters=True))
        write(f"png_rgb16{tag}.png", png(wide(45, 31, 3), 2, 16, interlace, filters=True))
        write(f"png_la8{tag}.png", png(scene(45, 31, 2), 4, 8, interlace))
        write(f"png_la16{tag}.png", png(wide(45, 31, 2), 4, 16, interlace))
        write(f"png_rgba8{tag}.png", png(scene(45, 31, 4), 6, 8, interlace, filters=True))
        write(f"png_rgba16{tag}.png", png(wide(45, 31, 4), 6, 16, interlace))
    write("png_palette_transparent.png",
          png(scene(45, 31, 1), 3, 8, before=[palette, chunk(b"tRNS", bytes(range(200)))]))
    write("png_palette_short.png", png(scene(45, 31, 1) & 7, 3, 8,
                                       before=[chunk(b"PLTE", bytes(range(100, 115)))]))
    write("png_grey_transparent.png",
          png(scene(45, 31, 1), 0, 8, before=[chunk(b"tRNS", struct.pack(">H", 40))]))
    write("png_rgb_transparent.png",
          png(scene(45, 31), 2, 8, before=[chunk(b"tRNS", struct.pack(">HHH", 20, 90, 160))]))
    write("png_text_and_profile.png",
          png(scene(20, 12), 2, 8, before=[chunk(b"gAMA", struct.pack(">I", 45455)),
                                           chunk(b"tEXt", b"Title\0scene"),
                                           chunk(b"sRGB", b"\0")]), cut=True)
    write("png_pillow.png", save(scene(80, 60), "PNG", optimize=True))
    write("png_1x1.png", png(scene(1, 1), 2, 8))
    for width, height in [(1, 1), (2, 3), (5, 4), (9, 1), (1, 9)]:
        write(f"png_interlaced_{width}x{height}.png", png(scene(width, height), 2, 8, True))


def riff(chunks):
    body = b"WEBP"
    for kind, data in chunks:
        body += kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def u24(value):
    return struct.pack("<I", value)[:3]


def make_webps():
    write("webp_lossy.webp", save(scene(61, 47), "WEBP", quality=70), cut=True)
    write("webp_lossy_odd.webp", save(scene(33, 1), "WEBP", quality=90))
    write("webp_lossless.webp", save(scene(61, 47), "WEBP", lossless=True))
    write("webp_lossless_1x1.webp", save(scene(1, 1), "WEBP", lossless=True))
    write("webp_lossy_alpha.webp", save(scene(61, 47, 4), "WEBP", quality=70))
    write("webp_lossless_alpha.webp", save(scene(61, 47, 4), "WEBP", lossless=True, exact=True))
    hidden = scene(61, 47, 4)
    hidden[:, :30, 3] = 0
    write("webp_lossless_hidden.webp", save(hidden, "WEBP", lossless=True, exact=True))
    frames = [Image.fromarray(scene(52, 40, seed=s)) for s in (5, 6, 7)]
    write("webp_animated.webp", save(frames[0], "WEBP", save_all=True, append_images=frames[1:],
                                     duration=50, quality=70))
    # Frame 0 smaller than its canvas and off its corner, with alpha and a background colour.
    small = save(scene(20, 14, 4), "WEBP", lossless=True, exact=True)
    image = small[12:] if small[12:16] == b"VP8L" else small[30:]
    frame = u24(6 // 2) + u24(8 // 2) + u24(19) + u24(13) + u24(100) + b"\0" + image
    animation = [(b"VP8X", bytes([0x12, 0, 0, 0]) + u24(39) + u24(29)),
                 (b"ANIM", bytes([10, 200, 30, 255, 0, 0])), (b"ANMF", frame), (b"ANMF", frame)]
    write("webp_animated_offset.webp", riff(animation))


def make_bmps():
    write("bmp_24.bmp", save(scene(53, 41), "BMP"), cut=True)
    write("bmp_8_grey.bmp", save(scene(53, 41, 1)[:, :, 0], "BMP"))
    write("bmp_8_palette.bmp", save(Image.fromarray(scene(53, 41)).quantize(200), "BMP"))
    write("bmp_1.bmp", save(Image.fromarray(scene(53, 41)).convert("1"), "BMP"))
    write("bmp_32.bmp", save(scene(53, 41, 4), "BMP"))
    height, width = 41, 53

    def bmp(bits, body, height=height, masks=None, palette=b""):
        extra = palette + (b"".join(struct.pack("<I", m) for m in masks) if masks else b"")
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 3 if masks else 0, 0, 0, 0,
                           len(palette) // 4, 0)
        offset = 14 + len(info) + len(extra)
        return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + info + extra + body

    words = wide(width + 1, height, 1)[:, :, 0].astype("<u2").tobytes()
    write("bmp_16_555.bmp", bmp(16, words))
    write("bmp_16_565.bmp", bmp(16, words, masks=(0xF800, 0x7E0, 0x1F)))
    nibbles = np.zeros((height, 28), np.uint8)
    nibbles[:] = scene(28, height, 1)[:, :, 0]
    palette = np.concatenate([scene(16, 1)[0], np.zeros((16, 1), np.uint8)], axis=1).tobytes()
    write("bmp_4.bmp", bmp(4, nibbles.tobytes(), palette=palette))
    rows = np.zeros((height, 160), np.uint8)
    rows[:, :159] = scene(width, height).reshape(height, -1)
    write("bmp_24_top_down.bmp", bmp(24, rows.tobytes(), height=-height))

    # Longer headers, whose masks may make an alpha channel: this folder has the colours alone,
    # ../alpha what is seen of them on white.
    small = wide(18, 13, 1)[:, :, 0].astype("<u2").tobytes()
    for name, data in masked_bmps(scene(17, 13, 4), small):
        write(name, data)


def masked_bmps(pixels, words):
    """Each layout of masks that Pillow knows: `pixels` (height, width, 4), `words` 16-bit rows."""
    height, width = pixels.shape[:2]
    red, green, blue, alpha = 0xFF0000, 0xFF00, 0xFF, 0xFF000000

    def bmp(header, bits, body, masks=(), fields=3):
        info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, fields, 0, 0, 0, 0, 0)
        info += b"".join(struct.pack("<I", mask) for mask in masks[:3 if header < 56 else 4])
        info = info.ljust(header, b"\0")
        return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(body), 0, 0, 14 + len(info)) + info + body

    for name, header, masks in (("v3_bgra", 56, (red, green, blue, alpha)),
                                ("v4_bgra", 108, (red, green, blue, alpha)),
                                ("v5_bgra", 124, (red, green, blue, alpha)),
                                ("v5_abgr", 124, (alpha, red, green, blue)),
                                ("v4_rgba", 108, (blue, green, red, alpha)),
                                ("v5_bgar", 124, (alpha, green, blue, red)),
                                ("info_zero", 40, (0, 0, 0, 0)),
                                ("v5_zero", 124, (0, 0, 0, 0)),
                                ("info_bgr", 40, (red, green, blue, 0)),
                                ("v2_bgr", 52, (red, green, blue, 0)),
                                ("v5_bgrx", 124, (red, green, blue, 0)),
                                ("v5_xbgr", 124, (alpha, red, green, 0)),
                                ("v4_bgxr", 108, (alpha, green, blue, 0))):
        yield f"bmp_32_{name}.bmp", bmp(header, 32, pixels.tobytes(), masks)
    clear = pixels.copy()
    clear[:, :, 3] = 0
    yield "bmp_32_v5_clear.bmp", bmp(124, 32, clear.tobytes(), (red, green, blue, alpha))
    yield "bmp_32_v5_raw.bmp", bmp(124, 32, pixels.tobytes(), (red, green, blue, alpha), fields=0)
    yield "bmp_16_v3.bmp", bmp(56, 16, words, (0xF800, 0x7E0, 0x1F, 0))
    yield "bmp_16_v5_alpha.bmp", bmp(124, 16, words, (0x7C00, 0x3E0, 0x1F, 0x8000))


def make_pnms():
    write("ppm.ppm", save(scene(53, 41), "PPM"), cut=True)
    write("pgm.pgm", save(scene(53, 41, 1)[:, :, 0], "PPM"))
    write("ppm_comment.ppm", b"P6 # a comment\n53\n# another\n 41\t255\n" + scene(53, 41).tobytes())
    for largest in (1, 2, 100, 254):
        samples = (scene(53, 41).astype(int) % (largest + 1)).astype(np.uint8)
        write(f"ppm_{largest}.ppm", b"P6\n53 41\n%d\n" % largest + samples.tobytes())
        write(f"pgm_{largest}.pgm", b"P5\n53 41\n%d\n" % largest + samples[:, :, 0].tobytes())


def tiff(orientation, big_endian=False):
    order = ">" if big_endian else "<"
    entries = struct.pack(order + "HHHI", 2, 0x010F, 2, 4) + b"Cam\0"
    entries += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return (b"MM" if big_endian else b"II") + struct.pack(order + "HI", 42, 8) + entries + b"\0\0\0\0"


def make_oriented(variant):
    plain = variant(scene(39, 22), "ycc", "2x2,1x1,1x1")
    for orientation in range(1, 9):
        block = b"Exif\0\0" + tiff(orientation, orientation % 2 == 0)
        data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]
        write(f"exif_{orientation}.upright.jpg", data, orientation, upright=True)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + plain[2:]
    write("xmp_6.upright.jpg", data, 6, upright=True)
    exif = chunk(b"eXIf", tiff(8, True))
    write("exif_8.upright.png", png(scene(39, 22), 2, 8, before=[exif]), 8, upright=True)
    write("exif_5_behind.upright.png",
          png(scene(39, 22), 2, 8, after=[chunk(b"eXIf", tiff(5))]), 5, upright=True)
    write("exif_7.upright.webp", save(scene(39, 22), "WEBP", quality=80, exif=tiff(7)), 7, upright=True)
    write("exif_9.upright.jpg", data.replace(b'tiff:Orientation="6"', b'tiff:Orientation="9"'), 1,
          upright=True)


def make_heics():
    try:
        import pillow_heif
    except ImportError:
        raise SystemExit("pillow-heif is needed to write the HEIC file")
    smooth = np.asarray(Image.fromarray(scene(16, 12)).resize((64, 48), Image.Resampling.BICUBIC))
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(smooth)).save(out, quality=95, chroma=444)
    write("photo.heic", out.getvalue(), rgb=smooth)
    alpha = np.tile((np.arange(64) * 255 // 63).astype(np.uint8), (48, 1))[:, :, None]
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(np.concatenate([smooth, alpha], axis=2))).save(
        out, quality=95, chroma=444)
    write("photo_alpha.heic", out.getvalue(), rgb=smooth)


def main():
    for old in HERE.iterdir():
        if old.suffix not in (".py", ".c", ".txt"):
            old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        variant = JpegVariants(folder)
        make_jpegs(variant)
        make_oriented(variant)
    make_pngs()
    make_webps()
    make_bmps()
    make_pnms()
    make_heics()
    (HERE / "manifest.txt").write_text("\n".join(MANIFEST) + "\n")
    print(len(MANIFEST), "images,", sum(p.stat().st_size for p in HERE.iterdir()), "bytes")


if __name__ == "__main__":
    main()
