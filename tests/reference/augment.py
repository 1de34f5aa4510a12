"""Makes augment.safetensors: what torchvision's PIL path makes of a few images with given parameters.

    pip install torch==2.15.0 torchvision==0.29.2 pillow==13.0.0 numpy==2.4.6 safetensors==0.8.0
    python3 tests/reference/augment.py

For each operation: NAME.parameters f64 [P,k] and NAME.images u8 [P,32,32,3], where row p was made from images[p % 6].
"""
import pathlib

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms import functional as F

SIDE = 32
random = np.random.default_rng(20240229)


def images():
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    noise = random.integers(0, 256, (SIDE, SIDE, 3))
    ramp = np.stack([8 * x, 8 * y, 255 - 4 * (x + y)], -1)
    dim = 20 + noise // 8
    grey = np.repeat(noise[:, :, :1], 3, -1)
    pure = 255 * (noise > 127)
    blobs = 128 + 100 * np.stack([np.sin(x / 5 + c) * np.cos(y / (4 + c)) for c in range(3)], -1)
    return np.stack([noise, ramp, dim, grey, pure, blobs]).clip(0, 255).astype(np.uint8)


INPUT = images()
tensors = {"images": INPUT}


def add(name, parameters, operation):
    rows = []
    for p, values in enumerate(parameters):
        rows.append(np.asarray(operation(Image.fromarray(INPUT[p % len(INPUT)]), *values)))
    tensors[name + ".parameters"] = np.array(parameters, np.float64)
    tensors[name + ".images"] = np.stack(rows)


def factors(low, high, fixed):
    return [(v,) for v in fixed] + [(v,) for v in random.uniform(low, high, 12 - len(fixed))]


def crop(mode):
    return lambda image, pad, top, left: F.crop(F.pad(image, pad, padding_mode=mode), top, left, SIDE, SIDE)


def places():
    return [(p, *(int(v) for v in random.integers(0, 2 * p + 1, 2))) for p in (1, 2, 4, 4, 4, 4, 8, 16, 16)]


JITTERS = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]


def jitter(image, order, *strengths):
    for which in str(int(order)):
        image = JITTERS[int(which)](image, strengths[int(which)])
    return image


def jitters():
    rows = []
    for order in (1230, 1023, 1302, 2130, 2310, 3210, 3021, 3102, 1032):
        rows.append((order, *random.uniform(0.4, 1.6, 3), random.uniform(-0.5, 0.5)))
    return rows


add("brightness", factors(0, 2, [0, 1, 0.5, 2.5]), F.adjust_brightness)
add("contrast", factors(0, 2, [0, 1, 0.5, 2.5]), F.adjust_contrast)
add("saturation", factors(0, 2, [0, 1, 0.5, 2.5]), F.adjust_saturation)
add("hue", factors(-0.5, 0.5, [0, 0.5, -0.5, 0.1]), F.adjust_hue)
add("rotate", factors(-180, 180, [15, -15, 90, 180, -90, 0, 45]), F.rotate)
add("crop_zero", places(), crop("constant"))
add("crop_reflect", places(), crop("reflect"))
add("flip", [(0,)] * 2, lambda image, _: F.hflip(image))
add("jitter", jitters(), jitter)
save_file(tensors, pathlib.Path(__file__).with_name("augment.safetensors"))
