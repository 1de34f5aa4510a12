"""Makes pictures.safetensors: what Pillow makes of pictures of many shapes and kinds.

    pip install pillow==12.3.0 numpy==2.4.6 safetensors==0.8.0
    python3 tests/reference/pictures.py

resize.N: in, out u8 [h,w,c], how i64 [fit (0 crop, 1 pad, 2 stretch), filter (0 bilinear, 1 box, 2 bicubic)].
file.N: bytes u8 [n] of a PNG or JPEG, out u8 [h,w,c], is_exact i64 [1].
As torchvision's PIL path calls it: NAME.N for rotate, contrast, saturation, hue, resized_crop: in, out u8 [h,w,c], parameters f64.
"""
import io
import pathlib

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from safetensors.numpy import save_file

random = np.random.default_rng(20260301)
tensors = {}


def make(h, w, c):
    y, x, k = np.mgrid[0:h, 0:w, 0:c]
    waves = 128 + 90 * np.sin(x / (2 + k) + k) * np.cos(y / 3.5) + random.normal(0, 30, (h, w, c))
    return waves.clip(0, 255).astype(np.uint8)


def picture(pixels):
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def pixels(image):
    array = np.asarray(image)
    return np.ascontiguousarray(array[:, :, None] if array.ndim == 2 else array)


FILTERS = [Image.Resampling.BILINEAR, Image.Resampling.BOX, Image.Resampling.BICUBIC]
FITS = [lambda i, s, f: ImageOps.fit(i, s, f), lambda i, s, f: ImageOps.pad(i, s, f),
        lambda i, s, f: i.resize(s, f)]
SHAPES = [((48, 64, 3), (32, 32)), ((17, 9, 1), (24, 40)), ((40, 30, 3), (8, 60)), ((33, 80, 1), (11, 13)),
          ((8, 8, 3), (19, 8)), ((31, 47, 3), (31, 20)), ((100, 70, 1), (10, 7)), ((9, 120, 3), (16, 16))]
n = 0
for shape, (h, w) in SHAPES:
    source = make(*shape)
    for fit in range(3):
        for kind in range(3):
            tensors[f"resize.{n}.in"] = source
            tensors[f"resize.{n}.out"] = pixels(FITS[fit](picture(source), (w, h), FILTERS[kind]))
            tensors[f"resize.{n}.how"] = np.array([fit, kind], np.int64)
            n += 1



def turn_hue(image, share):
    if image.mode == "L":
        return image
    h, s, v = image.convert("HSV").split()
    h = (np.asarray(h) + np.int32(share * 255).astype(np.uint8)).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(h), s, v)).convert("RGB")


OPERATIONS = {
    "rotate": (lambda i, p: i.rotate(p[0]), [(15,), (-40.5,), (90,), (180,), (270,), (3,)]),
    "contrast": (lambda i, p: ImageEnhance.Contrast(i).enhance(p[0]), [(0.3,), (1.7,)]),
    "saturation": (lambda i, p: ImageEnhance.Color(i).enhance(p[0]), [(0.4,), (1.6,)]),
    "hue": (lambda i, p: turn_hue(i, p[0]), [(0.2,), (-0.45,)]),
    "resized_crop": (lambda i, p: i.crop(p).resize(i.size, Image.Resampling.BILINEAR),
                     [(3, 2, 11, 13), (0, 0, 20, 20), (7, 1, 8, 2)]),
}
for name, (operation, cases) in OPERATIONS.items():
    n = 0
    for shape in [(24, 40, 3), (33, 20, 1)]:
        for parameters in cases:
            source = make(*shape)
            tensors[f"{name}.{n}.in"] = source
            tensors[f"{name}.{n}.out"] = pixels(operation(picture(source), parameters))
            tensors[f"{name}.{n}.parameters"] = np.array(parameters, np.float64)
            n += 1


def put(n, image, want, kind, exact, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    tensors[f"file.{n}.bytes"] = np.frombuffer(data.getvalue(), np.uint8)
    tensors[f"file.{n}.out"] = pixels(want)
    tensors[f"file.{n}.is_exact"] = np.array([exact], np.int64)
    return n + 1


colour, grey = picture(make(12, 9, 3)), picture(make(12, 9, 1))
alpha = Image.fromarray(make(12, 9, 1)[:, :, 0])
deep = random.integers(0, 65536, (12, 9)).astype(np.uint16)
palette = colour.quantize(16)
n = put(0, colour, colour, "PNG", 1)
n = put(n, grey, grey, "PNG", 1)
n = put(n, grey.convert("1"), grey.convert("1").convert("L"), "PNG", 1)
n = put(n, palette, palette.convert("RGB"), "PNG", 1)
n = put(n, palette, palette.convert("RGB"), "PNG", 1, transparency=3)
n = put(n, Image.merge("RGBA", [*colour.split(), alpha]), colour, "PNG", 1)
n = put(n, Image.merge("LA", [grey, alpha]), grey, "PNG", 1)
n = put(n, Image.fromarray(deep), Image.fromarray((deep >> 8).astype(np.uint8)), "PNG", 1)
n = put(n, grey, grey, "JPEG", 0, quality=100)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind, source in [("PNG", colour), ("PNG", grey), ("JPEG", grey)]:
        data = io.BytesIO()
        source.save(data, kind, exif=exif, **({"quality": 100} if kind == "JPEG" else {}))
        turned = ImageOps.exif_transpose(Image.open(data))
        n = put(n, source, turned, kind, int(kind == "PNG"), exif=exif,
                **({"quality": 100} if kind == "JPEG" else {}))

save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()},
          pathlib.Path(__file__).with_suffix(".safetensors"))
