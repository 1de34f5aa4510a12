#!/usr/bin/env python3
"""Writes qlinearconv.h: quantized convolutions as ONNX Runtime computes them (QLinearConv), and the form with a residual, which
ONNX lacks, as numpy computes it. Made with onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.

    python3 qlinearconv.py > qlinearconv.h
"""
import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import onnxruntime as ort

# name, H, W, C, K, R, stride, pad, zero point of x, of y, per channel, extreme values
CASES = [
    ("zero_points_1_77", 7, 5, 3, 10, 3, 1, 1, 1, 77, True, False),
    ("zero_points_77_128", 8, 8, 8, 8, 3, 1, 1, 77, 128, True, False),
    ("zero_points_128_255", 8, 8, 5, 17, 3, 2, 1, 128, 255, True, False),
    ("zero_points_255_1", 9, 6, 16, 16, 3, 1, 2, 255, 1, True, False),
    ("zero_points_0_0", 8, 8, 16, 16, 3, 1, 1, 0, 0, True, False),
    ("stride_2_1x1", 9, 9, 17, 20, 1, 2, 0, 77, 3, True, False),
    ("per_tensor_5x5", 6, 7, 4, 6, 5, 1, 2, 19, 200, False, False),
    ("unpadded", 6, 6, 6, 5, 3, 1, 0, 128, 77, True, False),
    ("beyond_24_bits", 4, 4, 80, 4, 3, 1, 1, 0, 128, True, True),
]


def runtime(case, x, w, bias, sx, sw, sy):
    _, h, wd, c, k, r, stride, pad, zx, zy, per_channel, _ = case
    init = lambda name, a: numpy_helper.from_array(np.asarray(a), name)
    node = helper.make_node(
        "QLinearConv", ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"], ["y"],
        kernel_shape=[r, r], strides=[stride, stride], pads=[pad] * 4)
    zw = np.zeros(k if per_channel else (), np.int8)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, c, h, wd])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [init("sx", np.float32(sx)), init("zx", np.uint8(zx)), init("w", w), init("sw", sw if per_channel else sw[0]),
         init("zw", zw), init("sy", np.float32(sy)), init("zy", np.uint8(zy)), init("b", bias)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    options = ort.SessionOptions()
    # On processors without VNNI the default u8*s8 kernel adds in saturating 16 bits; this asks for the exact one.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x[None]})[0][0]


def accumulate(case, x, w, bias):
    _, h, wd, c, k, r, stride, pad, zx, *_ = case
    p = np.pad(x.astype(np.int64) - zx, ((0, 0), (pad, pad), (pad, pad)))
    oh, ow = (h + 2 * pad - r) // stride + 1, (wd + 2 * pad - r) // stride + 1
    acc = np.zeros((k, oh, ow), np.int64) + bias[:, None, None]
    for i in range(r):
        for j in range(r):
            window = p[:, i:i + stride * (oh - 1) + 1:stride, j:j + stride * (ow - 1) + 1:stride]
            acc += np.einsum("kc,chw->khw", w[:, :, i, j].astype(np.int64), window)
    return acc


def requantize(acc, m, zy, low=0, b=None):
    v = acc.astype(np.float32) * m[:, None, None]
    if b is not None:
        v = (v + b).astype(np.float32)
    return np.clip(np.rint(v).astype(np.int64) + zy, low, 255).astype(np.uint8), v


def c_array(kind, name, values, form=str):
    text = ", ".join(form(v) for v in np.asarray(values).ravel())
    lines, line = [], "    "
    for item in text.split(" "):
        if len(line) + len(item) > 115:
            lines.append(line.rstrip())
            line = "    "
        line += item + " "
    lines.append(line.rstrip())
    print(f"static const {kind} {name}[] = {{\n" + "\n".join(lines) + "};")


def main():
    rng = np.random.default_rng(20240601)
    print("/* Made by qlinearconv.py: do not edit. x, residual and y are NHWC, weights OIHW. y: QLinearConv of ONNX Runtime; y_residual:"
          "\n * the form with a residual and a fused ReLU, by numpy. */")
    hexfloat = lambda v: float(v).hex() + "f"
    rows = []
    for case in CASES:
        name, h, wd, c, k, r, stride, pad, zx, zy, per_channel, extreme = case
        x = rng.integers(0, 256, (c, h, wd), np.uint8)
        w = rng.integers(-127, 128, (k, c, r, r)).astype(np.int8)
        bias = rng.integers(-20000, 20000, k).astype(np.int32)
        if extreme:
            x[:] = rng.integers(200, 256, x.shape)
            w[:2] = np.abs(w[:2]) // 8 + 112
            w[2:] = -(np.abs(w[2:]) // 8) - 112
        sx = np.float32(rng.uniform(0.005, 0.02))
        sw = rng.uniform(0.001, 0.02, k).astype(np.float32)
        if not per_channel:
            sw[:] = sw[0]
        acc = accumulate(case, x, w, bias)
        spread = np.abs(acc * sw[:, None, None] * sx).max()
        sy = np.float32(spread / (110 if not extreme else 127))
        m = ((sx * sw).astype(np.float32) / sy).astype(np.float32)
        y = runtime(case, x, w, bias, sx, sw, sy)
        ours, _ = requantize(acc, m, zy)
        assert (y == ours).all(), f"{name}: {np.count_nonzero(y != ours)} of {y.size} differ from the exact sums"
        assert not extreme or np.abs(acc).max() > 1 << 24
        residual = rng.integers(0, 256, y.shape, np.uint8)
        zr, rm = int(rng.choice([1, 77, 128, 255])), np.float32(rng.uniform(0.1, 0.9))
        b = (residual.astype(np.float32) - np.float32(zr)).astype(np.float32) * rm
        y_residual, _ = requantize(acc, m, zy, low=zy, b=b)
        nhwc = lambda a: np.transpose(a, (1, 2, 0))
        c_array("uint8_t", f"{name}_x", nhwc(x))
        c_array("int8_t", f"{name}_w", w)
        c_array("int32_t", f"{name}_bias", bias)
        c_array("float", f"{name}_multiplier", m, hexfloat)
        c_array("uint8_t", f"{name}_y", nhwc(y))
        c_array("uint8_t", f"{name}_residual", nhwc(residual))
        c_array("uint8_t", f"{name}_y_residual", nhwc(y_residual))
        oh, ow = y.shape[1:]
        rows.append(f'    {{"{name}", {{{h}, {wd}, {c}, {k}, {r}, {stride}, {pad}, {oh}, {ow}, 1}}, {zx}, {zy}, {zr}, {hexfloat(rm)},\n'
                    f"     {name}_x, {name}_w, {name}_bias, {name}_multiplier, {name}_y, {name}_residual, {name}_y_residual}},")
    print("\nstatic const struct qlinearconv_case {\n    const char *name;\n    struct conv_shape shape;\n"
          "    uint8_t zero_point_x, zero_point_y, residual_zero_point;\n    float residual_multiplier;\n"
          "    const uint8_t *x;\n    const int8_t *w;\n    const int32_t *bias;\n    const float *multiplier;\n"
          "    const uint8_t *y, *residual, *y_residual;\n} qlinearconv_cases[] = {")
    print("\n".join(rows))
    print("};")


main()
