"""Makes ops_model.safetensors and ops.safetensors: a network of every op but those of a ResNet (ops.net), in PyTorch, its logits and
one training step, as train_step.py does; and codes from ONNX Runtime: QLinearConv with groups, MaxPool, QLinearConcat, QLinearAdd,
QLinearAveragePool.

    pip install torch==2.15.0 onnx==1.23.2 onnxruntime==1.32.0 safetensors==0.8.0 && python3 tests/reference/ops.py
"""
import pathlib

import numpy as np
import onnxruntime as ort
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import nn


class Net(nn.Module):
    """ops.net, line by line."""

    def __init__(self):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(3, 6, 3, 1, 1, bias=False), nn.BatchNorm2d(6)
        self.c2, self.b2 = nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False), nn.BatchNorm2d(6)
        self.c3 = nn.Conv2d(6, 12, 1, groups=2)
        self.d3 = nn.Conv2d(12, 4, 3, 2, 1, bias=False)
        self.cm = nn.Conv2d(12, 3, 1, bias=False)
        self.b3 = nn.BatchNorm2d(28)
        self.l4, self.l5, self.fc = nn.Linear(140, 12), nn.Linear(24, 7), nn.Linear(7, 5)

    def forward(self, x):
        r1 = F.hardtanh(self.b1(self.c1(x)), 0, 1)
        r2 = F.hardtanh(self.b2(self.c2(r1)), -0.5, 1.25)
        c3 = self.c3(r2)
        m3, a3, d3 = F.max_pool2d(c3, 3, 2, 1), F.avg_pool2d(c3, 2, None, 1), self.d3(c3)
        r3 = F.relu(self.b3(torch.cat([m3, d3, m3], 1)))
        k4 = torch.cat([r3, self.cm(m3), F.hardtanh(d3, -1, 1)], 1)
        f4 = torch.flatten(F.max_pool2d(k4, 2), 1)
        p4 = F.avg_pool2d(a3, 3, 2, 1).mean((2, 3))
        e4 = F.relu(self.l4(f4) + p4)
        return self.fc(F.relu(self.l5(torch.cat([e4, p4], 1))))


def normalised(images):
    mean, std = torch.tensor([0.5, 0.4, 0.45]).double(), torch.tensor([0.25, 0.2, 0.3]).double()
    return ((images.double() / 255 - mean) / std).permute(0, 3, 1, 2)


def floats(here):
    torch.manual_seed(21)
    net = Net()
    with torch.no_grad():
        for p in net.parameters():
            if p.dim() == 1:
                p.add_(0.2 * torch.randn_like(p))
    net.train()
    for _ in range(4):
        net(normalised(torch.randint(0, 256, (16, 9, 8, 3), dtype=torch.uint8)).float())
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, here / "ops_model.safetensors")
    images = torch.randint(0, 256, (3, 9, 8, 3), dtype=torch.uint8)
    net.double().eval()
    out = {"images": images, "logits": net(normalised(images))}
    net.train()
    logits = net(normalised(images))
    logits.retain_grad()
    F.cross_entropy(logits, torch.tensor([3, 0, 4])).backward()
    out |= {"logits_training": logits, "dlogits": logits.grad}
    out |= {f"gradient.{name}": p.grad for name, p in net.named_parameters()}
    return {k: v.detach().float() if v.is_floating_point() else v for k, v in out.items()}


# ---- codes ----


def run(op, inputs, domain="", **attributes):
    """One node on constants, but for the first uint8 map, which is fed."""
    names = [f"i{k}" for k in range(len(inputs))]
    fed = next(k for k, a in enumerate(inputs) if a.ndim == 4 and a.dtype == np.uint8)
    init = [numpy_helper.from_array(a, n) for k, (a, n) in enumerate(zip(inputs, names)) if k != fed]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], domain=domain, **attributes)], "g",
        [helper.make_tensor_value_info(names[fed], TensorProto.UINT8, inputs[fed].shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)], init)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {names[fed]: inputs[fed]})[0]


def nhwc(a):
    return torch.from_numpy(np.ascontiguousarray(a.transpose(0, 2, 3, 1)))


def convs(rng, out):
    # name, H, W, C, K, R, stride, pad, groups, zero point of x, of y
    for name, h, w, c, k, r, stride, pad, groups, zx, zy in [
        ("depthwise", 9, 8, 24, 24, 3, 1, 1, 24, 77, 128),
        ("depthwise_2", 9, 8, 17, 17, 3, 2, 1, 17, 255, 1),
        ("depthwise_5x5", 8, 8, 16, 16, 5, 1, 2, 16, 0, 200),
        ("groups_3", 7, 7, 12, 18, 3, 1, 1, 3, 128, 77),
        ("multiplier", 6, 5, 8, 16, 3, 1, 1, 8, 1, 128),
    ]:
        x = rng.integers(0, 256, (1, c, h, w), np.uint8)
        weight = rng.integers(-127, 128, (k, c // groups, r, r), np.int64).astype(np.int8)
        bias = rng.integers(-5000, 5000, k).astype(np.int32)
        sx, sy = np.float32(0.02), np.float32(0.05)
        sw = rng.uniform(0.003, 0.006, k).astype(np.float32)
        y = run("QLinearConv", [x, sx, np.uint8(zx), weight, sw, np.zeros(k, np.int8), sy, np.uint8(zy), bias],
                kernel_shape=[r, r], strides=[stride] * 2, pads=[pad] * 4, group=groups)
        out |= {f"{name}.shape": torch.tensor([h, w, c, k, r, stride, pad, groups, zx, zy], dtype=torch.int32),
                f"{name}.x": nhwc(x), f"{name}.w": torch.from_numpy(weight), f"{name}.b": torch.from_numpy(bias),
                f"{name}.sw": torch.from_numpy(sw), f"{name}.scales": torch.tensor([sx, sy]), f"{name}.y": nhwc(y)}


def codes():
    rng, out = np.random.default_rng(7), {}
    convs(rng, out)
    x = rng.integers(0, 256, (1, 17, 9, 8), np.uint8)
    out |= {"max.x": nhwc(x), "max.y": nhwc(run("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))}
    scales, zeros = np.float32([0.02, 0.031, 0.0007, 0.025]), np.uint8([77, 128, 0, 100])
    parts = [rng.integers(0, 256, (1, c, 5, 4), np.uint8) for c in (8, 3, 17)]
    inputs = [scales[3], zeros[3]]
    for k in range(3):
        inputs += [parts[k], scales[k], zeros[k]]
        out[f"concat.x{k}"] = nhwc(parts[k])
    out["concat.scales"], out["concat.zeros"] = torch.from_numpy(scales), torch.from_numpy(zeros)
    out["concat.y"] = nhwc(run("QLinearConcat", [np.asarray(a) for a in inputs], "com.microsoft", axis=1))
    a, b = (rng.integers(0, 256, (1, 16, 6, 6), np.uint8) for _ in range(2))
    maps = [a, np.float32(0.02), np.uint8(77), b, np.float32(0.013), np.uint8(128), np.float32(0.025), np.uint8(90)]
    out |= {"add.a": nhwc(a), "add.b": nhwc(b),
            "add.y": nhwc(run("QLinearAdd", [np.asarray(v) for v in maps], "com.microsoft"))}
    maps = [x, np.float32(0.02), np.uint8(77), np.float32(0.015), np.uint8(90)]
    out |= {"average.x": nhwc(x), "average.y": nhwc(run("QLinearAveragePool", [np.asarray(v) for v in maps], "com.microsoft",
                                                     kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1))}
    return out


def main():
    here = pathlib.Path(__file__).parent
    out = floats(here) | codes()
    save_file({k: v.contiguous() for k, v in out.items()}, here / "ops.safetensors")


main()
