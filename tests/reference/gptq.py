"""Makes gptq.safetensors: codes by GPTQ as its paper has it (inverse, then Cholesky), by numpy in double, from inputs that go together
as neighbouring pixels do.

    pip install numpy==2.3.5 safetensors==0.8.0 && python3 tests/reference/gptq.py
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file

rng = np.random.default_rng(23)
inputs, samples, outputs = 54, 700, 6
mixed = rng.normal(0, 1, (samples, 12)) @ rng.normal(0, 1, (12, inputs)) + 0.3 * rng.normal(0, 1, (samples, inputs))
x = np.clip(np.rint(40 * np.maximum(mixed, 0)), 0, 255).astype(np.int16)
x[:, 7] = 0  # a channel that is never there
w = rng.normal(0, 0.1, (outputs, inputs)).astype(np.float32)
out = {"x": np.ascontiguousarray(x.T), "w": w}
for bits in (2, 3, 4):
    top = 2 ** (bits - 1) - 1
    scale = (np.abs(w).max(1) / top * {2: 0.45, 3: 0.7, 4: 0.9}[bits]).astype(np.float32)
    h = x.astype(np.float64).T @ x.astype(np.float64)
    h += 0.01 * np.mean(np.diag(h)) * np.eye(inputs)
    u = np.linalg.cholesky(np.linalg.inv(h)).T
    codes = np.zeros((outputs, inputs))
    for o in range(outputs):
        left = w[o].astype(np.float64)
        s = float(scale[o])
        for k in range(inputs):
            codes[o, k] = np.clip(np.rint(left[k] / s), -top, top)
            left[k:] -= (left[k] - s * codes[o, k]) / u[k, k] * u[k, k:]
    out[f"scale{bits}"], out[f"codes{bits}"] = scale, codes.astype(np.int8)
save_file(out, pathlib.Path(__file__).with_suffix(".safetensors"))
