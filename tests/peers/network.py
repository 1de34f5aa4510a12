"""The network of a model record as PyTorch modules: float; int8 by quantize/dequantize pairs, which torch.compile turns into
integer operators; and int8 by PyTorch's own quantized operators."""
import json
import os

import numpy as np
import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
import torch.nn.functional as F

pairs = torch.ops.quantized_decomposed


def tensor(a):
    return torch.from_numpy(np.array(a))


class Network(torch.nn.Module):
    """Walks the nodes; values by name."""

    def __init__(self, model):
        super().__init__()
        self.nodes = [n for n in model.nodes if n.op not in ("input", "normalize")]
        self.first = next(n.name for n in model.nodes if n.op == "normalize")

    def forward(self, x):
        values = {self.first: self.enter(x)}
        for n in self.nodes:
            values[n.name] = getattr(self, n.op)(n, values[n.inputs[0]], values.get(n.residual))
        return values[self.nodes[-1].name]

    def enter(self, x):
        return x

    def parameter(self, name, value):
        self.register_buffer(name.replace(".", "_"), value)

    def __getitem__(self, name):
        return getattr(self, name.replace(".", "_"))


def geometry(n):
    return n.integer("stride", 1), n.integer("pad"), 1, n.integer("groups", 1)


class FloatNetwork(Network):
    def __init__(self, model):
        super().__init__(model)
        for n in self.nodes:
            if n.op in ("conv2d", "linear"):
                for part in ".weight", ".bias":
                    self.parameter(n.name + part, tensor(model[n.name + part]))

    def conv2d(self, n, x, residual):
        y = F.conv2d(x, self[n.name + ".weight"], self[n.name + ".bias"], *geometry(n))
        y = y if residual is None else y + residual
        return y.relu() if n.relu else y

    def avgpool(self, n, x, _):
        return x.mean((2, 3))

    def linear(self, n, x, _):
        return F.linear(x, self[n.name + ".weight"], self[n.name + ".bias"])


class Scales:
    """Scale and zero point of every activation, and bias in real numbers."""

    def __init__(self, model):
        self.of = {n.name: (model.scale(n.name), model.zero_point(n.name)) for n in model.nodes if n.name + ".scale" in model.tensors}

    def bias(self, model, n):
        scale = np.float32(self.of[n.inputs[0]][0]) * model[n.name + ".weight_scale"]
        return tensor((model[n.name + ".bias"] * scale).astype(np.float32))


class PairsNetwork(Network):
    def __init__(self, model):
        super().__init__(model)
        self.scales = Scales(model)
        for n in self.nodes:
            if n.op in ("conv2d", "linear"):
                self.parameter(n.name + ".weight", tensor(model[n.name + ".weight"]))
                self.parameter(n.name + ".scale", tensor(model[n.name + ".weight_scale"]))
                self.parameter(n.name + ".zero", torch.zeros(n.shape[-1], dtype=torch.int64))
                self.parameter(n.name + ".bias", self.scales.bias(model, n))

    def pair(self, n, x):
        if n.name not in self.scales.of:
            return x
        how = (*self.scales.of[n.name], 0, 255, torch.uint8)
        return pairs.dequantize_per_tensor.default(pairs.quantize_per_tensor.default(x, *how), *how)

    def weight(self, n):
        w = self[n.name + ".weight"], self[n.name + ".scale"], self[n.name + ".zero"]
        return pairs.dequantize_per_channel.default(*w, 0, -128, 127, torch.int8)

    def quantize(self, n, x, _):
        return self.pair(n, x)

    def conv2d(self, n, x, residual):
        y = F.conv2d(x, self.weight(n), self[n.name + ".bias"], *geometry(n))
        y = y if residual is None else y + residual
        return self.pair(n, y.relu() if n.relu else y)

    def avgpool(self, n, x, _):
        return self.pair(n, x.mean((2, 3)))

    def linear(self, n, x, _):
        return F.linear(x, self.weight(n), self[n.name + ".bias"])


class IntegerNetwork(Network):
    """is_added: the engine has a convolution that adds a residual before it rounds; otherwise its result is quantized first, by
    `inner` scales, and added then."""

    def __init__(self, model, inner, is_added):
        super().__init__(model)
        self.scales, self.inner, self.is_added, self.packed = Scales(model), inner, is_added, {}
        for n in self.nodes:
            if n.op not in ("conv2d", "linear"):
                continue
            scale = tensor(model[n.name + ".weight_scale"]).double()
            weight = torch._make_per_channel_quantized_tensor(
                tensor(model[n.name + ".weight"]), scale, torch.zeros(len(scale), dtype=torch.int64), 0
            )
            bias, (stride, pad, dilation, groups) = self.scales.bias(model, n), geometry(n)
            if n.op == "conv2d":
                weight = weight.contiguous(memory_format=torch.channels_last)
                self.packed[n.name] = torch.ops.quantized.conv2d_prepack(
                    weight, bias, [stride] * 2, [pad] * 2, [dilation] * 2, groups
                )
            else:
                self.parameter(n.name + ".weight", weight.dequantize())
                self.parameter(n.name + ".bias", bias)

    def quantize(self, n, x, _):
        return torch.quantize_per_tensor(x, *self.scales.of[n.name], torch.quint8)

    def conv2d(self, n, x, residual):
        op, packed, out = torch.ops.quantized, self.packed[n.name], self.scales.of[n.name]
        if residual is None:
            return (op.conv2d_relu if n.relu else op.conv2d)(x, packed, *out)
        if self.is_added:
            return (op.conv2d_add_relu if n.relu else op.conv2d_add)(x, residual, packed, *out)
        y = op.conv2d(x, packed, *self.inner[n.name])
        return (op.add_relu if n.relu else op.add)(y, residual, *out)

    def avgpool(self, n, x, _):
        return x.dequantize().mean((2, 3))

    def linear(self, n, x, _):
        return F.linear(x, self[n.name + ".weight"], self[n.name + ".bias"])


def load_inner(work):
    with open(os.path.join(work, "inner.json")) as f:
        return json.load(f)
