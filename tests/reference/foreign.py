"""Makes foreign.safetensors: a file written by the safetensors library, which the record reader must take.

    pip install safetensors==0.8.0 numpy==2.4.6 && python3 tests/reference/foreign.py
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file

save_file(
    {
        "conv.weight": (np.arange(6, dtype=np.float32) / 4 - 0.5).reshape(2, 3, 1, 1),
        "codes": np.array([0, 1, 127, 128, 255], np.uint8),
        "steps": np.array(-123456789012345, np.int64),
        "half": np.array([-0.0, 1.0, 65504.0], np.float16),
        "none": np.zeros((0, 4), np.float32),
        "flags": np.array([[True, False, True]]),
    },
    pathlib.Path(__file__).with_name("foreign.safetensors"),
    metadata={"format": "pt", "author": 'naïve "quotes"'},
)
