"""Int8 and float networks of resq's in ONNX Runtime and OpenVINO: how many classes are equal, how far logits are apart.

    python run.py BIN CALIBRATION IMAGES WORK -o TABLE NAME=FLOAT ..

CALIBRATION, IMAGES: files of batches, of the train split and to look at; NAME=FLOAT: a float model. Each network goes out as float,
and as int8 as it is quantized by itself, saturation-free, for ONNX Runtime and for TensorRT (both saturation-free, and the latter's
codes any reader of ONNX takes). Fails where a runtime that computes rightly disagrees: float in any class or by 1e-3 of the largest
logit; ONNX Runtime in its own form in any class or by 1e-5 (where two logits are nearer than that, either class is right), unless means
of windows are computed, which it does in float; int8 otherwise in more than 5 classes of 10,000 (at least 2), TensorRT's form in more
than 1 of 100, not counting those that are behind here by less than 1 in 100 of the largest logit (networks trained a little have many),
on a processor that does not saturate, or where the network cannot. TensorRT's form in OpenVINO is not judged where
sums saturate: for signed codes oneDNN halves the weights there, so that they keep 7 bits. ONNX Runtime's form in OpenVINO, which adds
residual branches in float where that form rounds them, may be apart by 1 in 20 of the largest logit: a network of small margins then
has another class on some images.
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

# Options of fuse, quantize and onnx-export.
FORMS = {
    "float": ([], [], []),
    "int8": ([], [], []),
    "int8 saturation-free": ([], ["--saturation-free"], []),
    "int8 for onnxruntime, saturation-free": (["--for", "onnxruntime"], ["--for", "onnxruntime", "--saturation-free"], ["--for", "onnxruntime"]),
    "int8 for tensorrt, saturation-free": ([], ["--for", "tensorrt", "--saturation-free"], ["--for", "tensorrt"]),
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


def make(a, form, network):
    """The model of a network in one form, and its ONNX file."""
    fuse, quantize, export = FORMS[form]
    fused, ranges, model, path = (a.work / n for n in ("fused.st", "ranges.st", "model.st", "model.onnx"))
    run(a.bin / "fuse", "-m", network, *fuse, "-o", fused)
    if form == "float":
        model = fused
    else:
        with open(a.calibration, "rb") as f:
            run(a.bin / "calibrate", "-q", "-m", fused, "-o", ranges, stdin=f)
        run(a.bin / "quantize", "-m", fused, "-r", ranges, *quantize, "-o", model)
    run(a.bin / "onnx-export", "-m", model, *export, "-o", path)
    return model, path


def tolerance(form, runtime, path, images, most):
    """Images whose class may differ, by what a logit may, and the margin below which either class is right; most: the largest logit."""
    if form == "float":
        return 0, 1e-3 * most, 0
    if "for onnxruntime" in form:
        if not runtime.startswith("ONNX Runtime"):
            return images, 0.05 * most, 0
        if not any(n.op_type == "AveragePool" for n in onnx.load(path).graph.node):
            return 0, 1e-5, 2e-5
    if "for tensorrt" in form:
        return 0.01 * images, most, 0.01 * most
    return max(2, 5e-4 * images), most, 0.01 * most


def wrong_classes(got, want, tie):
    """Images that have another class, which is behind by more than a tie."""
    behind = want.max(1) - want[np.arange(len(want)), got.argmax(1)]
    return int((behind > tie).sum())


def one_form(a, name, form, network):
    """Rows of one network in one form, and whether each may count."""
    model, path = make(a, form, network)
    predictions = a.work / "predictions.st"
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
        classes, difference, tie = tolerance(form, runtime, path, len(want), most)
        is_right = wrong_classes(got, want, tie) <= classes and apart <= difference
        is_right = is_right or saturates() and (form == "int8" or "tensorrt" in form and runtime.startswith("OpenVINO"))
        yield [name, form, runtime, len(want), equal, f"{apart:.3g}", f"{most:.3g}", int((got == want).all(1).sum())], is_right


def main():
    p = argparse.ArgumentParser()
    p.add_argument("bin", type=pathlib.Path)
    p.add_argument("calibration")
    p.add_argument("images")
    p.add_argument("work", type=pathlib.Path)
    p.add_argument("networks", nargs="+")
    p.add_argument("-o", required=True)
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    lines, wrong = ["# saturates: " + ("yes, AVX2 without VNNI" if saturates() else "no")], 0
    lines.append("\t".join("network form runtime images equal_classes logit_difference largest_logit equal_logits".split()))
    for spec in a.networks:
        name, _, network = spec.partition("=")
        for form in FORMS:
            for row, is_right in one_form(a, name, form, network):
                lines.append("\t".join(map(str, row)))
                print(lines[-1] + ("" if is_right else "\tWRONG"), flush=True)
                wrong += not is_right
    pathlib.Path(a.o).write_text("\n".join(lines) + "\n")
    if wrong:
        raise SystemExit(f"interop: {wrong} of {len(lines) - 2} rows are not what they should be")


if __name__ == "__main__":
    main()
