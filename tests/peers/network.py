"""The network of a model record as PyTorch modules: float; int8 by quantize/dequantize pairs, which torch.compile turns into
integer operators; and int8 by PyTorch's own quantized operators."""
import numpy as np
import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
import torch.nn.functional as F

pairs = torch.ops.quantized_decomposed


def tensor(a):
    return torch.from_numpy(np.array(a))


class Network(torch.nn.Module):
    """Walks the nodes; values by name. Each op is a method: its node, its first input, and its others (a residual too)."""

    def __init__(self, model):
        super().__init__()
        self.nodes = [n for n in model.nodes if n.op not in ("input", "normalize")]
        self.first = next(n.name for n in model.nodes if n.op == "normalize")

    def forward(self, x):
        values = {self.first: self.enter(x)}
        for n in self.nodes:
            others = [values[name] for name in (*n.inputs[1:], *([n.residual] if n.residual else []))]
            values[n.name] = self.leave(n, getattr(self, n.op)(n, values[n.inputs[0]], *others))
        return values[self.nodes[-1].name]

    def enter(self, x):
        return x

    def leave(self, n, y):
        return y

    def relu(self, n, x):
        return x.relu()

    def clip(self, n, x):
        return x.clamp(*n.clip)

    def add(self, n, x, other):
        return x + other

    def concat(self, n, *inputs):
        return torch.cat(inputs, 1)

    def flatten(self, n, x):
        return x.flatten(1)

    def maxpool(self, n, x):
        return F.max_pool2d(x, *n.window)

    def avgpool(self, n, x):
        return F.avg_pool2d(x, *n.window) if n.window else x.mean((2, 3))

    def parameter(self, name, value):
        self.register_buffer(name.replace(".", "_"), value)

    def __getitem__(self, name):
        return getattr(self, name.replace(".", "_"))


def activation(n, y):
    if n.clip:
        return y.clamp(*n.clip)
    return y.relu() if n.relu else y


def geometry(n):
    return n.integer("stride", 1), n.integer("pad"), 1, n.integer("groups", 1)


class FloatNetwork(Network):
    def __init__(self, model):
        super().__init__(model)
        for n in self.nodes:
            if n.op in ("conv2d", "linear"):
                for part in ".weight", ".bias":
                    self.parameter(n.name + part, tensor(model[n.name + part]))

    def product(self, n, x):
        return F.conv2d(x, self[n.name + ".weight"], self[n.name + ".bias"], *geometry(n))

    def conv2d(self, n, x, *residual):
        return activation(n, sum(residual, self.product(n, x)))

    def linear(self, n, x):
        return activation(n, F.linear(x, self[n.name + ".weight"], self[n.name + ".bias"]))


class TrainedNetwork(Network):
    """A float network with its batch norms, to be trained on: the mini-batch's statistics, averages moved by a tenth."""

    def __init__(self, model):
        super().__init__(model)
        for n in self.nodes:
            for part in ".weight", ".bias", ".running_mean", ".running_var":
                if n.name + part in model.tensors:
                    value = tensor(model[n.name + part])
                    if "running" in part:
                        self.parameter(n.name + part, value)
                    else:
                        self.register_parameter((n.name + part).replace(".", "_"), torch.nn.Parameter(value))

    def bias(self, n):
        return self[n.name + ".bias"] if "bias" in n.options else None

    def conv2d(self, n, x, *residual):
        return activation(n, sum(residual, F.conv2d(x, self[n.name + ".weight"], self.bias(n), *geometry(n))))

    def batchnorm(self, n, x):
        state = self[n.name + ".running_mean"], self[n.name + ".running_var"]
        return F.batch_norm(x, *state, self[n.name + ".weight"], self[n.name + ".bias"], True, 0.1, float(n.options.get("eps", 1e-5)))

    def linear(self, n, x):
        return activation(n, F.linear(x, self[n.name + ".weight"], self.bias(n)))


class Scales:
    """Scale and zero point of every activation, and bias in real numbers."""

    def __init__(self, model):
        self.of = {n.name: (model.scale(n.name), model.zero_point(n.name)) for n in model.nodes if n.name + ".scale" in model.tensors}

    def bias(self, model, n):
        scale = np.float32(self.of[n.inputs[0]][0]) * model[n.name + ".weight_scale"]
        return tensor((model[n.name + ".bias"] * scale).astype(np.float32))


class WeighedNetwork(Network):
    """Products by what `weight` gives of a node."""

    def conv2d(self, n, x, *residual):
        return activation(n, sum(residual, F.conv2d(x, self.weight(n), self[n.name + ".bias"], *geometry(n))))

    def linear(self, n, x):
        return activation(n, F.linear(x, self.weight(n), self[n.name + ".bias"]))


class FakeQuantizedNetwork(WeighedNetwork):
    """A fused network as quantization-aware training has it: weights pass through codes of 8 bits, by each output's largest magnitude as
    it now is, activations through those that the int8 model has; straight through on the way back, nothing beyond the codes."""

    def __init__(self, model, int8):
        super().__init__(model)
        self.of, self.image = Scales(int8).of, next(n.name for n in int8.nodes if n.op == "quantize")
        for n in self.nodes:
            if n.op in ("conv2d", "linear"):
                for part in ".weight", ".bias":
                    self.register_parameter((n.name + part).replace(".", "_"), torch.nn.Parameter(tensor(model[n.name + part])))
                self.parameter(n.name + ".zeros", torch.zeros(n.shape[-1], dtype=torch.int32))

    def through(self, name, x):
        return torch.fake_quantize_per_tensor_affine(x, *self.of[name], 0, 255) if name in self.of else x

    def enter(self, x):
        return self.through(self.image, x)

    def leave(self, n, y):
        return self.through(n.name, y)

    def weight(self, n):
        w = self[n.name + ".weight"]
        scale = w.detach().abs().amax(tuple(range(1, w.dim()))).clamp(min=1e-12) / 127
        return torch.fake_quantize_per_channel_affine(w, scale, self[n.name + ".zeros"], 0, -127, 127)


class PairsNetwork(WeighedNetwork):
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

    def leave(self, n, y):
        return self.pair(n, y)

    def quantize(self, n, x):
        return x


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

    def quantize(self, n, x):
        return torch.quantize_per_tensor(x, *self.scales.of[n.name], torch.quint8)

    def conv2d(self, n, x, *residual):
        op, packed, out = torch.ops.quantized, self.packed[n.name], self.scales.of[n.name]
        if not residual:
            y = (op.conv2d_relu if n.relu else op.conv2d)(x, packed, *out)
            return y.clamp(*n.clip) if n.clip else y
        if self.is_added:
            return (op.conv2d_add_relu if n.relu else op.conv2d_add)(x, *residual, packed, *out)
        y = op.conv2d(x, packed, *self.inner[n.name])
        return (op.add_relu if n.relu else op.add)(y, *residual, *out)

    def add(self, n, x, other):
        return torch.ops.quantized.add(x, other, *self.scales.of[n.name])

    def concat(self, n, *inputs):
        return torch.ops.quantized.cat(list(inputs), 1, *self.scales.of[n.name])

    def avgpool(self, n, x):
        return super().avgpool(n, x.dequantize())

    def linear(self, n, x):
        x = x.dequantize() if x.is_quantized else x
        return activation(n, F.linear(x, self[n.name + ".weight"], self[n.name + ".bias"]))
