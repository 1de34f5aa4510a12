"""Int8 and float networks of resq's in ONNX Runtime and OpenVINO: how many classes are equal, how far logits are apart.

    python run.py BIN IMAGES WORK -o TABLE NAME=FUSED,RANGES ..

IMAGES: a file of batches; NAME=FUSED,RANGES: a fused model and its ranges. Each network goes out as float, and as int8 as it is
quantized by itself, saturation-free, and for TensorRT (saturation-free too, whose codes any reader of ONNX takes). Fails where
a runtime that computes rightly disagrees: float in any class or by 1e-3 of the largest logit; int8 in more than 5 classes of
10,000 (at least 2), TensorRT's form in more than 1 of 100, on a processor that does not saturate, or where the network cannot.
"""
import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import openvino

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "peers"))
import record

FORMS = {
    "float": ([], []),
    "int8": ([], []),
    "int8 saturation-free": (["--saturation-free"], []),
    "int8 for tensorrt, saturation-free": (["--for", "tensorrt", "--saturation-free"], ["--for", "tensorrt"]),
}
BATCH = 100


def run(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, **options)


def saturates():
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    return not any(f in flags for f in ("avx512_vnni", "avx_vnni", "asimddp"))


def onnxruntime_logits(path, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"image": x[i:i + BATCH]})[0] for i in range(0, len(x), BATCH)])


def openvino_logits(path, x):
    core = openvino.Core()
    model = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([np.array(model(x[i:i + BATCH])[0]) for i in range(0, len(x), BATCH)])


RUNTIMES = {"ONNX Runtime " + onnxruntime.__version__: onnxruntime_logits, "OpenVINO " + openvino.__version__.split("-")[0]: openvino_logits}


def one_form(a, network, form, fused, ranges):
    """Rows of one network in one form, and whether each may count."""
    how, target = FORMS[form]
    model, predictions, path = a.work / "model.st", a.work / "predictions.st", a.work / "model.onnx"
    if form == "float":
        model = pathlib.Path(fused)
    else:
        run(a.bin / "quantize", "-m", fused, "-r", ranges, *how, "-o", model)
    run(a.bin / "onnx-export", "-m", model, *target, "-o", path)
    with open(a.images, "rb") as f:
        run(a.bin / "evaluate", "-q", "-m", model, "--predictions", predictions, "-o", "/dev/null", stdin=f)
    want = record.read_file(predictions)[1]["logits"]
    pixels = record.image_set(a.images)[0]
    notes = {p.key: p.value for p in onnx.load(path).metadata_props}
    mean, std = (np.float32(json.loads(notes[k])) for k in ("mean", "std"))
    x = np.ascontiguousarray(((pixels.astype(np.float32) / np.float32(255) - mean) / std).transpose(0, 3, 1, 2))
    for runtime, logits in RUNTIMES.items():
        got = logits(path, x)
        equal = int((got.argmax(1) == want.argmax(1)).sum())
        apart, most = float(np.abs(got - want).max()), float(np.abs(want).max())
        if form == "float":
            is_right = equal == len(want) and apart <= 1e-3 * most
        else:
            most_apart = 0.01 * len(want) if "tensorrt" in form else max(2, 5e-4 * len(want))
            is_right = len(want) - equal <= most_apart or (form == "int8" and saturates())
        yield [network, form, runtime, len(want), equal, f"{apart:.3g}", f"{most:.3g}", int((got == want).all(1).sum())], is_right


def main():
    p = argparse.ArgumentParser()
    p.add_argument("bin", type=pathlib.Path)
    p.add_argument("images")
    p.add_argument("work", type=pathlib.Path)
    p.add_argument("networks", nargs="+")
    p.add_argument("-o", required=True)
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    lines, wrong = ["# saturates: " + ("yes, AVX2 without VNNI" if saturates() else "no")], 0
    lines.append("\t".join("network form runtime images equal_classes logit_difference largest_logit equal_logits".split()))
    for spec in a.networks:
        network, _, files = spec.partition("=")
        for form in FORMS:
            for row, is_right in one_form(a, network, form, *files.split(",")):
                lines.append("\t".join(map(str, row)))
                print(lines[-1] + ("" if is_right else "\tWRONG"), flush=True)
                wrong += not is_right
    pathlib.Path(a.o).write_text("\n".join(lines) + "\n")
    if wrong:
        raise SystemExit(f"interop: {wrong} of {len(lines) - 2} rows are not what they should be")


if __name__ == "__main__":
    main()
