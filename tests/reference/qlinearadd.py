"""Makes qlinearadd.safetensors: sums of codes as ONNX Runtime's QLinearAdd computes them on x86 with AVX2. Of all pairs of codes those
stand there where one rounding more or less, anywhere, gives another code, and some others.

    pip install onnx==1.23.2 onnxruntime==1.32.0 safetensors==0.8.0 numpy==2.4.6
    python3 tests/reference/qlinearadd.py
"""
import pathlib

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

CASES = {  # scales and zero points of a, b and y
    "any": (0.0417, 0.0229, 0.0531, 77, 131, 93),
    "relu": (0.0312, 0.0274, 0.0298, 0, 119, 0),
    "even": (0.5 * 0.034375, 1.25 * 0.034375, 0.034375, 200, 3, 128),
    "sixteenths": (9 / 16 * 0.044939588755369186, 28 / 32 * 0.044939588755369186, 0.044939588755369186, 198, 92, 156),
    "sums": (57 / 16 * 0.048991598188877106, 19 / 32 * 0.048991598188877106, 0.048991598188877106, 138, 236, 70),
    "thirtieths": (59 / 32 * 0.03487418219447136, 30 / 32 * 0.03487418219447136, 0.03487418219447136, 203, 32, 95),
}
SOME = 1000


def runtime(a, b, sa, sb, sy, za, zb, zy):
    names = "a sa za b sb zb sy zy".split()
    constants = dict(sa=np.float32(sa), sb=np.float32(sb), sy=np.float32(sy), za=np.uint8(za), zb=np.uint8(zb), zy=np.uint8(zy))
    value = lambda n: helper.make_tensor_value_info(n, TensorProto.UINT8, [a.size])
    graph = helper.make_graph([helper.make_node("QLinearAdd", names, ["y"], domain="com.microsoft")], "g", [value("a"), value("b")], [value("y")],
                              [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)], ir_version=7)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"a": a, "b": b})[0]


def others(a, b, sa, sb, sy, za, zb, zy):
    """The same in other orders of rounding."""
    f = np.float32
    sa, sb, sy, za, zb, zy = map(f, (sa, sb, sy, za, zb, zy))
    a, b, ra, rb = a.astype(f), b.astype(f), sa / sy, sb / sy
    offset = zy - (ra * za + rb * zb)
    yield (a - za) * ra + (b - zb) * rb + zy
    yield (offset + a * ra) + b * rb
    yield (offset + b * rb) + a * ra
    yield ((a - za) * sa + (b - zb) * sb) / sy + zy


def main():
    draw = np.random.default_rng(5)
    a, b = (x.ravel().astype(np.uint8) for x in np.mgrid[0:256, 0:256])
    out = {}
    for name, case in CASES.items():
        y = runtime(a, b, *case)
        differs = np.zeros(a.size, bool)
        for v in others(a, b, *case):
            differs |= np.clip(np.rint(v), 0, 255) != y
        take = np.unique(np.concatenate([draw.permutation(np.flatnonzero(differs))[:SOME], draw.choice(a.size, 200, replace=False)]))
        print(name, differs.sum(), "pairs differ,", take.size, "taken")
        out |= {f"{name}.a": a[take], f"{name}.b": b[take], f"{name}.y": y[take]}
        out |= {f"{name}.scales": np.float32(case[:3]), f"{name}.zero_points": np.uint8(case[3:])}
    save_file(out, pathlib.Path(__file__).parent / "qlinearadd.safetensors")


if __name__ == "__main__":
    main()
