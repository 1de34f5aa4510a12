"""Makes weights.safetensors: weight scales of least squared error and their codes, by numpy alone, written from the rule in
lib/quant/QUANT.md: every factor tried, none left out.

    pip install numpy==2.3.5 safetensors==0.8.0 && python3 tests/reference/weights.py
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file

rng = np.random.default_rng(19)
f32 = np.float32


def codes(w, scale, top):
    return np.clip(np.rint(w / scale), -top, top).astype(f32)


def error(w, scale, top):
    e = (w - scale * codes(w, scale, top)).astype(np.float64)
    return float(np.cumsum(e * e)[-1])  # in index order, which numpy's sum is not


def search(w, top):
    largest = np.abs(w).max()
    if largest == 0:
        return f32(2.0**-23)
    most = f32(largest / f32(top))
    tried = [(error(w, f32(f * float(most)), top), -float(f32(f * float(most))), f) for f in [i / 100 for i in range(20, 101)]]
    best = min(tried)
    step = 0.01
    for _ in range(8):
        step /= 2
        middle = best[2]
        for f in (middle + step, middle - step):
            if 0 < f <= 1:
                s = f32(f * float(most))
                best = min(best, (error(w, s, top), -float(s), f))
    return f32(-best[1])


out = {}
w = np.concatenate([rng.normal(0, 0.05, (4, 75)), rng.laplace(0, 0.02, (3, 75)), rng.uniform(-1, 1, (2, 75))]).astype(f32)
w[5, 3] = 2  # an outlier
w[6] = 0
w[8] = np.repeat(f32([0.25, -0.5, 0.75]), 25)  # on the grid of 3 and more bits
out["w"] = w
for bits in (2, 3, 4, 8):
    top = 2 ** (bits - 1) - 1
    scales = np.array([search(row, top) for row in w], f32)
    out[f"scale{bits}"] = scales
    out[f"codes{bits}"] = np.stack([codes(row, s, top) for row, s in zip(w, scales)]).astype(np.int8)
    out[f"shared{bits}"] = np.array([search(w.reshape(-1), top)], f32)
save_file(out, pathlib.Path(__file__).with_suffix(".safetensors"))
