"""Makes onnx_export.onnx, what onnx-export makes of the int8 network in onnx/qdq.onnx (--input pixels; the same for OpenVINO and for
ONNX Runtime, since its sums are separate), and onnx_export.safetensors: the logits that ONNX Runtime and OpenVINO compute of it for
onnx_files.batches. Its weights have 7 bits, so that neither saturates on any processor.

    make && pip install onnxruntime==1.32.0 openvino==2026.4.1 safetensors==0.8.0 numpy==2.4.6
    python3 tests/reference/onnx_export.py [BIN]
"""
import pathlib
import subprocess
import sys

import numpy as np
import onnxruntime
import openvino
from safetensors.numpy import save_file

from onnx_files import images

HERE = pathlib.Path(__file__).parent
BIN = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "../../bin")
FILE = HERE / "onnx_export.onnx"


def main():
    model = subprocess.run([BIN / "onnx-import", "-q", HERE / "onnx/qdq.onnx"], check=True, capture_output=True).stdout
    FILE.write_bytes(subprocess.run([BIN / "onnx-export", "-m", "-", "--input", "pixels"], check=True, capture_output=True, input=model).stdout)
    pixels = images()
    session = onnxruntime.InferenceSession(FILE, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(FILE), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    save_file({"onnxruntime": session.run(None, {"image": pixels})[0], "openvino": np.array(compiled(pixels)[0])}, HERE / "onnx_export.safetensors")


if __name__ == "__main__":
    main()
