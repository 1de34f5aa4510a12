"""The two models as ONNX graphs: float; and int8 as QuantizeLinear/DequantizeLinear pairs, with our codes, scales and zero points.

Input is the normalised image, f32 [N,3,H,W]; output the logits. The int8 graph comes in two forms. `int8` quantizes exactly where
our arithmetic does: a residual is added to the convolution's accumulator. `int8_added` quantizes a convolution's result before the
residual is added as well, as ONNX Runtime's integer operators need it; those extra scales come from the float network's extremes.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    def __init__(self, model):
        self.model, self.nodes, self.constants = model, [], []

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def quantize_pair(self, x, name, scale, zero):
        """x -> codes -> what they stand for."""
        s, z = self.constant(name + ".scale", np.float32(scale)), self.constant(name + ".zero", np.uint8(zero))
        self.add("QuantizeLinear", [x, s, z], name + ".codes")
        return self.add("DequantizeLinear", [name + ".codes", s, z], name + ".values")

    def weights(self, node, x_scale):
        """Names of weight and bias in real numbers; int8 ones are stored as codes. x_scale None: float."""
        weight, bias = self.model[node.name + ".weight"], self.model[node.name + ".bias"]
        if x_scale is None:
            return [self.constant(node.name + ".weight", weight), self.constant(node.name + ".bias", bias)]
        scale = self.model[node.name + ".weight_scale"]
        names = []
        for part, codes, s in ("weight", weight, scale), ("bias", bias, np.float32(x_scale) * scale):
            name = f"{node.name}.{part}"
            inputs = [self.constant(name + ".codes", codes), self.constant(name + ".scale", s)]
            inputs.append(self.constant(name + ".zero", np.zeros(len(scale), codes.dtype)))
            names.append(self.add("DequantizeLinear", inputs, name, axis=0))
        return names

    def save(self, path, y):
        h, w, c = self.model.nodes[0].shape
        classes = self.model.nodes[-1].shape[0]
        graph = helper.make_graph(
            self.nodes,
            "resq",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", c, h, w])],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["N", classes])],
            self.constants,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        proto.ir_version = 8
        onnx.checker.check_model(proto)
        onnx.save(proto, path)


def convolution(b, node, x, residual, x_scale, inner):
    pad, stride, kernel = node.integer("pad"), node.integer("stride", 1), node.integer("kernel")
    y = b.add(
        "Conv",
        [x, *b.weights(node, x_scale)],
        node.name + ".conv",
        kernel_shape=[kernel] * 2,
        strides=[stride] * 2,
        pads=[pad] * 4,
        group=node.integer("groups", 1),
    )
    if residual:
        if inner:
            y = b.quantize_pair(y, node.name + ".inner", *inner[node.name])
        y = b.add("Add", [y, residual], node.name + ".add")
    # A code's lower bound is the ReLU where the zero point is 0; the runtimes find more to fuse without it.
    if inner and node.relu and b.model.zero_point(node.name) == 0:
        return y
    return activation(b, node, y)


def activation(b, node, y):
    if node.clip:
        low, high = (b.constant(f"{node.name}.{end}", np.float32(value)) for end, value in zip(("low", "high"), node.clip))
        return b.add("Clip", [y, low, high], node.name + ".clip")
    return b.add("Relu", [y], node.name + ".relu") if node.relu or node.op == "relu" else y


def window(node):
    kernel, stride, pad = node.window
    return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}


def export(model, path, inner=None):
    """inner: {node: (scale, zero point)} of convolutions before their residual, for `int8_added`."""
    b, values = Builder(model), {}
    for node in model.nodes:
        x = values.get(node.inputs[0]) if node.inputs else None
        is_integer = bool(node.inputs) and model.by_name[node.inputs[0]].type == "u8" and node.op != "normalize"
        x_scale = model.scale(node.inputs[0]) if is_integer else None
        if node.op in ("input", "normalize"):
            y = "image"
        elif node.op == "quantize":
            y = x
        elif node.op == "conv2d":
            y = convolution(b, node, x, values.get(node.residual), x_scale, inner)
        elif node.op in ("relu", "clip"):
            y = activation(b, node, x)
        elif node.op == "add":
            y = b.add("Add", [x, values[node.inputs[1]]], node.name + ".sum")
        elif node.op == "concat":
            y = b.add("Concat", [values[i] for i in node.inputs], node.name + ".all", axis=1)
        elif node.op == "maxpool":
            y = b.add("MaxPool", [x], node.name + ".pool", **window(node))
        elif node.op == "avgpool" and node.window:
            y = b.add("AveragePool", [x], node.name + ".pool", count_include_pad=1, **window(node))
        elif node.op == "avgpool":
            y = b.add("GlobalAveragePool", [x], node.name + ".pool")
        elif node.op == "flatten":
            y = b.add("Flatten", [x], node.name + ".flat")
        elif node.op == "linear":
            last = node is model.nodes[-1]
            y = b.add("Gemm", [x, *b.weights(node, x_scale)], "logits" if last else node.name + ".product", transB=1)
            y = activation(b, node, y)
        else:
            raise SystemExit(f"{node.name}: no ONNX form of {node.op}")
        if node.type == "u8" and node.op != "input":
            y = b.quantize_pair(y, node.name, model.scale(node.name), model.zero_point(node.name))
        if node.op == "avgpool" and not node.window:
            y = b.add("Flatten", [y], node.name)
        values[node.name] = y
    b.save(path, y)


def inner_scales(model, images):
    """Scale and zero point of every convolution before its residual, from extremes over normalised images (quant/QUANT.md)."""
    import network
    import torch

    found = {}

    class Observed(network.FloatNetwork):
        def product(self, n, x):
            y = super().product(n, x)
            if n.residual:
                low, high = min(0.0, y.min().item()), max(0.0, y.max().item())
                scale = max((high - low) / 255, 2.0**-23)
                found[n.name] = (scale, int(np.clip(-np.rint(low / scale), 0, 255)))
            return y

    with torch.no_grad():
        Observed(model)(torch.from_numpy(images))
    return found


def main():
    import json
    import sys

    import record

    float_path, int8_path, images, work = sys.argv[1:]
    fused, int8 = record.Model(float_path), record.Model(int8_path)
    without = next((n.name for n in fused.nodes if n.op in ("conv2d", "linear") and "bias" not in n.options), None)
    if without:
        raise SystemExit(f"export.py: {float_path}: {without} has no bias, which this comparison's forms need")
    inner = inner_scales(fused, fused.normalize(record.image_set(images)[0]))
    with open(f"{work}/inner.json", "w") as f:
        json.dump(inner, f)
    export(fused, f"{work}/float.onnx")
    export(int8, f"{work}/int8.onnx")
    export(int8, f"{work}/int8_added.onnx", inner)


if __name__ == "__main__":
    main()
