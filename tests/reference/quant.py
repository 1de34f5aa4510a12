"""Makes quant.safetensors: scales and zero points by PyTorch's observers, codes by ONNX Runtime's QuantizeLinear and by PyTorch,
and batch norms folded by PyTorch, from inputs that hit ties, constants, signs and outliers.

    pip install torch==2.15.0 onnx==1.23.2 onnxruntime==1.32.0 safetensors==0.8.0 && python3 tests/reference/quant.py
"""
import pathlib

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.numpy import save_file
from torch.ao.quantization.observer import MinMaxObserver, PerChannelMinMaxObserver
from torch.nn.utils.fusion import fuse_conv_bn_weights

rng = np.random.default_rng(7)
out = {}

# Affine maps: [low, high] -> scale, zero point, for 8, 4 and 2 bits.
low = np.concatenate([[0, 3, -1, -3, 0, -1e-9, -5, 0, -1e-3, -2], -np.abs(rng.normal(0, 3, 60)), rng.normal(0, 3, 30)])
high = np.concatenate([[0, 3, 2, -3, 1e-9, 1e-9, 0, 1e30, 1e6, -1], np.abs(rng.normal(0, 9, 60)), np.full(30, 20)])
low, high = low.astype(np.float32), high.astype(np.float32)
for bits in (8, 4, 2):
    scales, zeros = [], []
    for pair in zip(low, high):
        observer = MinMaxObserver(dtype=torch.quint8, quant_min=0, quant_max=2**bits - 1)
        observer(torch.tensor(pair))
        scale, zero = observer.calculate_qparams()
        scales.append(scale.item())
        zeros.append(zero.item())
    out[f"affine{bits}.scale"] = np.array(scales, np.float32)
    out[f"affine{bits}.zero_point"] = np.array(zeros, np.uint8)
out["affine.low"], out["affine.high"] = low, high


# Codes: every tie of the grid and its neighbours, random values, far outliers; ONNX divides, PyTorch multiplies by 1/scale.
def quantize_linear(x, scale, zero):
    h = onnx.helper
    node = h.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    graph = h.make_graph(
        [node],
        "g",
        [h.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None])],
        [h.make_tensor_value_info("y", onnx.TensorProto.UINT8, [None])],
        [h.make_tensor("s", onnx.TensorProto.FLOAT, [], [scale]), h.make_tensor("z", onnx.TensorProto.UINT8, [], [zero])],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 13)])
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


maps = [(0.1, 0), (1 / 3, 77), (0.0117647, 128), (1.1920929e-07, 0), (0.5, 255)]
for i, (scale, zero) in enumerate(maps):
    scale = np.float32(scale)
    ties = ((np.arange(-260, 521) + np.float32(0.5)) * scale).astype(np.float32)
    x = np.concatenate([ties, np.nextafter(ties, np.float32(-9e9)), np.nextafter(ties, np.float32(9e9)),
                        (rng.normal(0, 90, 600) * scale).astype(np.float32), np.float32([0, -0.0, 3e38, -3e38, 1e-45])])
    out[f"codes{i}.x"] = x
    out[f"codes{i}.scale"] = np.array(scale)
    out[f"codes{i}.zero_point"] = np.array(zero, np.uint8)
    out[f"codes{i}.onnx"] = quantize_linear(x, scale, zero)
    out[f"codes{i}.torch"] = torch.quantize_per_tensor(torch.tensor(x), float(scale), zero, torch.quint8).int_repr().numpy()

# Weights: symmetric per channel over -127..127, and over -7..7.
w = rng.normal(0, 0.1, (8, 27)).astype(np.float32)
w[3] = 0
w[5, 0] = 40
out["weights.w"] = w
for bits in (8, 4):
    top = 2 ** (bits - 1) - 1
    observer = PerChannelMinMaxObserver(
        ch_axis=0, dtype=torch.qint8, qscheme=torch.per_channel_symmetric, quant_min=-top, quant_max=top
    )
    observer(torch.tensor(w))
    scale = observer.calculate_qparams()[0].numpy()
    out[f"weights{bits}.scale"] = scale
    out[f"weights{bits}.q"] = np.clip(np.rint(w / scale[:, None]), -top, top).astype(np.int8)

# Batch norms folded, in double.
weight = rng.normal(0, 1, (4, 3, 3, 3)).astype(np.float32)
norm = {k: rng.normal(0, 1, 4).astype(np.float32) for k in ("weight", "bias", "running_mean")}
norm["running_var"] = np.abs(rng.normal(0, 1, 4)).astype(np.float32)
norm["weight"][2] = 0
norm["running_var"][3] = 0
d = {k: torch.tensor(v, dtype=torch.float64) for k, v in norm.items()}
folded = fuse_conv_bn_weights(torch.tensor(weight, dtype=torch.float64), None, d["running_mean"], d["running_var"],
                              float(np.float32(1e-5)), d["weight"], d["bias"])
out["conv.weight"] = weight
out |= {f"bn.{k}": v for k, v in norm.items()}
out["folded.weight"], out["folded.bias"] = (t.detach().numpy().astype(np.float32) for t in folded)

save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, pathlib.Path(__file__).with_name("quant.safetensors"))
