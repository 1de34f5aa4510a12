"""Makes the malformed ONNX files in onnx/, each named after the rule that it breaks.

    python3 tests/bad/make_onnx.py        (standard library only; the files are committed)
"""
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "onnx"
FLOAT, UINT8, INT8, INT32, INT64 = 1, 2, 3, 6, 7


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def bytes_of(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(name, dims, values=None, kind=FLOAT, raw=None, extra=b""):
    formats = {5: "h", FLOAT: "f", INT64: "q", INT8: "b", UINT8: "B", INT32: "i"}
    count = 1
    for d in dims:
        count *= d
    if raw is None:
        values = values if values is not None else [(i % 7 - 3) / 8 if kind == FLOAT else i % 5 - 2 for i in range(count)]
        raw = struct.pack(f"<{len(values)}{formats.get(kind, 'b')}", *values)
    return b"".join(number(1, d) for d in dims) + number(2, kind) + bytes_of(8, name) + bytes_of(9, raw) + extra


def ints(name, *values):
    return bytes_of(5, bytes_of(1, name) + b"".join(number(8, v) for v in values) + number(20, 7))


def integer(name, value):
    return bytes_of(5, bytes_of(1, name) + number(3, value) + number(20, 2))


def node(op, inputs, outputs, *attributes, name=None, domain=""):
    return (b"".join(bytes_of(1, i) for i in inputs) + b"".join(bytes_of(2, o) for o in outputs)
            + bytes_of(3, name or outputs[0]) + bytes_of(4, op) + b"".join(attributes) + (bytes_of(7, domain) if domain else b""))


def value(name, *dims, kind=FLOAT):
    shape = b"".join(bytes_of(1, number(1, d) if isinstance(d, int) else bytes_of(2, d)) for d in dims)
    return bytes_of(1, name) + bytes_of(2, bytes_of(1, number(1, kind) + bytes_of(2, shape)))


def graph(nodes, tensors, inputs=None, outputs=None):
    inputs = [value("image", "N", 3, 8, 8)] if inputs is None else inputs
    outputs = [value("logits", "N", 2)] if outputs is None else outputs
    return (b"".join(bytes_of(1, n) for n in nodes) + bytes_of(2, "g") + b"".join(bytes_of(5, t) for t in tensors)
            + b"".join(bytes_of(11, i) for i in inputs) + b"".join(bytes_of(12, o) for o in outputs))


def model(body, opset=13):
    return number(1, 7) + bytes_of(2, "test") + bytes_of(7, body) + bytes_of(8, bytes_of(1, "") + number(2, opset))


CONV = ints("kernel_shape", 3, 3), ints("pads", 1, 1, 1, 1)


def conv(*attributes, inputs=("image", "conv.weight"), output="a", op="Conv", name=None, domain=""):
    return node(op, inputs, [output], *(attributes or CONV), name=name, domain=domain)


POOL = node("GlobalAveragePool", ["a"], ["p"])
FLAT = node("Flatten", ["p"], ["f"])
FC = node("Gemm", ["f", "fc.weight"], ["logits"], integer("transB", 1))
WEIGHT, HEAD = tensor("conv.weight", [4, 3, 3, 3]), tensor("fc.weight", [2, 4])
TENSORS = [WEIGHT, HEAD]


def chain(first, tensors=None, **other):
    return model(graph([*first, POOL, FLAT, FC], TENSORS if tensors is None else tensors, **other))


def external(*pairs):
    entries = b"".join(bytes_of(13, bytes_of(1, k) + bytes_of(2, v)) for k, v in pairs)
    body = b"".join(number(1, d) for d in (4, 3, 3, 3)) + number(2, FLOAT) + bytes_of(8, "conv.weight") + entries
    return chain([conv()], [body + number(14, 1), HEAD])


def quantized(scale=0.05, zero=3, zero_kind=UINT8, weight_zero=0, bias_scale=None, after=(), end="a.codes"):
    """One integer convolution; each argument breaks one of its rules."""
    def pair(x, name, s, z):
        return [node("QuantizeLinear", [x, s, z], [name + ".codes"]), node("DequantizeLinear", [name + ".codes", s, z], [name])]
    weights = [tensor("w.codes", [4, 3, 3, 3], kind=INT8), tensor("w.scale", [4], [0.01, 0.02, 0.03, 0.04]),
               tensor("w.zero", [4], [weight_zero] * 4, INT8), tensor("b.codes", [4], [1, 2, 3, 4], INT32),
               tensor("b.scale", [4], bias_scale or [struct.unpack("f", struct.pack("f", s))[0] for s in (0.0005, 0.001, 0.0015, 0.002)]),
               tensor("x.scale", [], [scale]), tensor("x.zero", [], [zero], zero_kind), tensor("a.scale", [], [0.1]),
               tensor("a.zero", [], [0], UINT8), HEAD]
    nodes = [*pair("image", "q", "x.scale", "x.zero"), node("DequantizeLinear", ["w.codes", "w.scale", "w.zero"], ["w"], integer("axis", 0)),
             node("DequantizeLinear", ["b.codes", "b.scale"], ["b"], integer("axis", 0)),
             conv(inputs=("q", "w", "b"), output="sum"), *after, *pair("sum" if not after else "last", "a", "a.scale", "a.zero")]
    return model(graph([*nodes, POOL, FLAT, FC], weights))


good = chain([conv()])
BAD = {
    # the bytes
    "empty": b"",
    "not-a-protocol-buffer": b"\xff" * 64,
    "cut": good[:-9],
    "cut-in-a-length": good[:14] + b"\xff\xff",
    "length-2-to-the-62": number(1, 7) + b"\x3a" + varint(1 << 62) + good[8:],
    "varint-of-11-bytes": b"\x08" + b"\xff" * 11 + good,
    "no-graph": number(1, 7) + bytes_of(2, "test"),
    "17000-empty-nodes": number(1, 7) + bytes_of(7, b"\x0a\x00" * 17000) + bytes_of(8, number(2, 13)),
    "nested-10000-deep": number(1, 7) + bytes_of(7, bytes_of(1, b"\x2a" * 10000)) + bytes_of(8, number(2, 13)),
    # the frame
    "opset-8": model(graph([conv(), POOL, FLAT, FC], TENSORS), opset=8),
    "opset-missing": number(1, 7) + bytes_of(7, graph([conv(), POOL, FLAT, FC], TENSORS)),
    "no-input": chain([conv()], inputs=[]),
    "two-inputs": chain([conv()], inputs=[value("image", 1, 3, 8, 8), value("mask", 1, 8, 8, 8)]),
    "input-of-3-dimensions": chain([conv()], inputs=[value("image", 3, 8, 8)]),
    "input-of-5-channels": chain([conv()], inputs=[value("image", 1, 5, 8, 8)]),
    "input-of-text": chain([conv()], inputs=[value("image", 1, 3, 8, 8, kind=8)]),
    "input-side-of-2-to-the-40": chain([conv()], inputs=[value("image", 1, 3, 1 << 40, 8)]),
    "two-outputs": chain([conv()], outputs=[value("logits", 1, 2), value("f", 1, 4)]),
    "output-of-nobody": chain([conv()], outputs=[value("nothing", 1, 2)]),
    "output-is-a-map": chain([conv()], outputs=[value("a", 1, 4, 8, 8)]),
    "output-is-the-input": chain([conv()], outputs=[value("image", 1, 3, 8, 8)]),
    "output-is-a-constant": chain([conv()], outputs=[value("fc.weight", 2, 4)]),
    # the graph
    "cycle": chain([conv(inputs=("b", "conv.weight")), node("Relu", ["a"], ["b"])]),
    "nodes-out-of-order": model(graph([FC, FLAT, POOL, conv()], TENSORS)),
    "initializer-missing": chain([conv()], [HEAD]),
    "value-defined-twice": chain([conv(), conv()]),
    "initializer-defined-twice": chain([conv()], [WEIGHT, WEIGHT, HEAD]),
    "operator-unknown": chain([conv(output="z"), node("HardSwish", ["z"], ["a"], name="act")]),
    "operator-of-another-domain": chain([conv(domain="com.example")]),
    "operator-without-inputs": chain([node("Relu", [], ["a"])]),
    "operator-with-a-name-of-escapes": chain([conv(op="Co\x1b[2Jnv\n")]),
    "second-output-is-read": chain([node("Dropout", ["image"], ["d", "mask"]), conv(inputs=("mask", "conv.weight"))]),
    # tensors
    "tensor-dims-negative": chain([conv()], [tensor("conv.weight", [4, 3, 3], raw=b"", extra=number(1, -3)), HEAD]),
    "tensor-dims-overflow": chain([conv()], [tensor("conv.weight", [1 << 31, 1 << 31, 1 << 31], raw=b""), HEAD]),
    "tensor-of-9-dimensions": chain([conv()], [tensor("conv.weight", [1] * 9), HEAD]),
    "tensor-data-short": chain([conv()], [tensor("conv.weight", [4, 3, 3, 3], raw=bytes(100)), HEAD]),
    "tensor-data-missing": chain([conv()], [b"".join(number(1, d) for d in (4, 3, 3, 3)) + number(2, 1) + bytes_of(8, "conv.weight"), HEAD]),
    "tensor-type-unknown": chain([conv()], [tensor("conv.weight", [4, 3, 3, 3], kind=99, raw=bytes(108)), HEAD]),
    "tensor-of-integers": chain([conv()], [tensor("conv.weight", [4, 3, 3, 3], kind=INT64), HEAD]),
    "weights-not-finite": chain([conv()], [tensor("conv.weight", [4, 3, 3, 3], [float("nan")] * 108), HEAD]),
    "weights-of-other-channels": chain([conv()], [tensor("conv.weight", [4, 2, 3, 3]), HEAD]),
    "external-up-a-folder": external(("location", "../secret.bin")),
    "external-absolute": external(("location", "/etc/passwd")),
    "external-without-location": external(("offset", "0")),
    "external-missing": external(("location", "no-such.bin")),
    "external-offset-negative": external(("location", "empty.onnx"), ("offset", "-8")),
    "external-too-short": external(("location", "no-graph.onnx")),
    # layers
    "conv-asymmetric-pads": chain([conv(ints("kernel_shape", 3, 3), ints("pads", 0, 0, 1, 1))]),
    "conv-pads-negative": chain([conv(ints("pads", -1, -1, -1, -1))]),
    "conv-same-upper-odd": chain([conv(ints("strides", 2, 2), bytes_of(5, bytes_of(1, "auto_pad") + bytes_of(4, "SAME_UPPER") + number(20, 3)))]),
    "conv-dilated": chain([conv(*CONV, ints("dilations", 2, 2))]),
    "conv-stride-0": chain([conv(*CONV, ints("strides", 0, 0))]),
    "conv-kernel-of-others": chain([conv(ints("kernel_shape", 5, 5))]),
    "conv-group-0": chain([conv(*CONV, integer("group", 0))]),
    "conv-group-2-to-the-40": chain([conv(*CONV, integer("group", 1 << 40))]),
    "conv-attribute-of-wrong-type": chain([conv(*CONV, integer("strides", 2))]),
    "conv-weights-computed": chain([node("Relu", ["image"], ["w"]), conv(inputs=("image", "w"))]),
    "linear-of-a-map": model(graph([conv(), node("Gemm", ["a", "fc.weight"], ["logits"], integer("transB", 1))], TENSORS)),
    "linear-weights-of-others": chain([conv()], [WEIGHT, tensor("fc.weight", [2, 5])]),
    "gemm-transA": model(graph([conv(), POOL, FLAT, node("Gemm", ["f", "fc.weight"], ["logits"], integer("transA", 1))], TENSORS)),
    "flatten-of-a-map": model(graph([conv(), node("Flatten", ["a"], ["f"]), FC], TENSORS)),
    "reshape-to-0": model(graph([conv(), POOL, node("Reshape", ["p", "shape"], ["f"]), FC], [*TENSORS, tensor("shape", [2], [-1, -7], INT64)])),
    "mean-over-channels": model(graph([conv(), node("ReduceMean", ["a"], ["p"], ints("axes", 1, 2)), FLAT, FC], TENSORS)),
    "image-divided-by-0": chain([node("Div", ["image", "k"], ["s"]), conv(inputs=("s", "conv.weight"))], [*TENSORS, tensor("k", [], [0.0])]),
    "image-under-two-normalisations": chain([node("Div", ["image", "k"], ["s"]), conv(inputs=("s", "conv.weight"), output="l"),
                                             conv(output="r"), node("Add", ["l", "r"], ["a"])], [*TENSORS, tensor("k", [], [255.0])]),
    # codes
    "codes-scale-0": quantized(scale=0.0),
    "codes-scale-not-finite": quantized(scale=float("inf")),
    "codes-of-16-bits": quantized(zero=0, zero_kind=5),
    "codes-weights-with-zero-point": quantized(weight_zero=1),
    "codes-bias-on-another-scale": quantized(bias_scale=[0.5] * 4),
    "codes-sums-read-twice": quantized(after=[node("Relu", ["sum"], ["r"]), node("Add", ["r", "sum"], ["last"])]),
    "codes-sums-in-float": quantized(after=[node("GlobalAveragePool", ["sum"], ["last"])]),
}

if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name, content in BAD.items():
        (HERE / f"{name}.onnx").write_bytes(content)
