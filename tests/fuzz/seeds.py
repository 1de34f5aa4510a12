"""Writes what a fuzz target begins with into FOLDER: small records of its kind, without a checksum, so that a changed byte
gets past it; lists of members for fuzz_pictures, small sets for fuzz_raw; nothing for the others.

    python3 tests/fuzz/seeds.py FOLDER TARGET        (standard library only)
"""
import json
import pathlib
import random
import struct
import sys

DRAW = random.Random(1)


def save(folder, target, name, content):
    if target == sys.argv[2]:
        pathlib.Path(folder, name).write_bytes(content)


def record(metadata, tensors):
    """tensors: name -> (dtype, shape, values); the largest elements first, as records have them."""
    letters = {"F32": "f", "I8": "b", "U8": "B", "I32": "i", "I64": "q", "U64": "Q", "F64": "d", "U16": "H"}
    header, data = {"__metadata__": {"format": "resq 1", **metadata}}, b""
    for name, (dtype, shape, values) in sorted(tensors.items(), key=lambda t: -struct.calcsize(letters[t[1][0]])):
        packed = struct.pack(f"<{len(values)}{letters[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return struct.pack("<Q", len(text)) + text + data


def normal(*shape):
    count = 1
    for n in shape:
        count *= n
    return "F32", list(shape), [DRAW.gauss(0, 0.3) for _ in range(count)]


def constant(value, *shape):
    count = 1
    for n in shape:
        count *= n
    return "F32", list(shape), [value] * count


CLASSES = {"classes": '["a","b","c"]', "dataset": "seed", "dataset-digest": "sha256:00", "split": "train", "part": "all"}

FLOAT = """x = input u8[6,6,3]
n = normalize x mean=0.5,0.4,0.3 std=0.2,0.25,0.3
c1 = conv2d n out=4 kernel=3 pad=1
b1 = batchnorm c1 eps=1e-05
r1 = relu b1
c2 = conv2d r1 out=4 kernel=3 pad=1 groups=2 bias
a = add c2 r1
r2 = relu a
c3 = conv2d r2 out=8 kernel=1 stride=2
p = avgpool c3
fc = linear p out=3 bias
"""
FUSED = """x = input u8[6,6,3]
n = normalize x mean=0.5,0.4,0.3 std=0.2,0.25,0.3
c1 = conv2d n out=4 kernel=3 pad=1 bias relu
c2 = conv2d c1 out=4 kernel=3 pad=1 bias add=c1 relu
p = avgpool c2
fc = linear p out=3 bias
"""
INT8 = """x = input u8[6,6,3]
n = normalize x mean=0.5,0.4,0.3 std=0.2,0.25,0.3
n.q = quantize n
c1 = conv2d n.q out=4 kernel=3 pad=1 bias relu
c2 = conv2d c1 out=4 kernel=3 pad=1 bias add=c1 relu
p = avgpool c2
fc = linear p out=3 bias
"""


def models(folder):
    tensors = {"c1.weight": normal(4, 3, 3, 3), "c2.weight": normal(4, 2, 3, 3), "c2.bias": normal(4),
               "c3.weight": normal(8, 4, 1, 1), "fc.weight": normal(3, 8), "fc.bias": normal(3),
               "b1.weight": constant(1.0, 4), "b1.bias": normal(4), "b1.running_mean": normal(4),
               "b1.running_var": constant(0.5, 4), "b1.num_batches_tracked": ("I64", [], [3])}
    save(folder, "fuzz_model", "float", record({"kind": "model", "stage": "float", "graph": FLOAT, **CLASSES}, tensors))
    tensors = {"c1.weight": normal(4, 3, 3, 3), "c1.bias": normal(4), "c2.weight": normal(4, 4, 3, 3), "c2.bias": normal(4),
               "fc.weight": normal(3, 4), "fc.bias": normal(3)}
    save(folder, "fuzz_model", "fused", record({"kind": "model", "stage": "fused", "graph": FUSED, **CLASSES}, tensors))
    codes = lambda *shape: ("I8", list(shape), [DRAW.randrange(-127, 128) for _ in normal(*shape)[2]])
    tensors = {}
    for name, shape in (("c1", (4, 3, 3, 3)), ("c2", (4, 4, 3, 3)), ("fc", (3, 4))):
        tensors |= {f"{name}.weight": codes(*shape), f"{name}.weight_scale": constant(0.01, shape[0]),
                    f"{name}.bias": ("I32", [shape[0]], [DRAW.randrange(-999, 999) for _ in range(shape[0])])}
    for name in ("n.q", "c1", "c2", "p"):
        tensors |= {f"{name}.scale": constant(0.02, ), f"{name}.zero_point": ("U8", [], [0 if name != "n.q" else 120]),
                    f"{name}.range": ("U8", [2], [0, 255])}
    save(folder, "fuzz_model", "int8", record({"kind": "model", "stage": "int8", "graph": INT8, **CLASSES}, tensors))


def others(folder):
    bins = [0] * 2048
    for i in range(1024, 1629, 50):
        bins[i] = i % 7 + 1
    bins[1628] = 2
    ranges = {"c.histogram": ("U64", [2048], bins), "c.exponent": ("I32", [], [-8]), "c.min": constant(0.0), "c.max": constant(2.36)}
    bins = [0] * 2048
    bins[3], bins[2000] = 5, 9
    wide = {"d.histogram": ("U64", [2048], bins), "d.exponent": ("I32", [], [0]), "d.min": constant(-1020.5),
            "d.max": constant(976.25)}
    keys = {"kind": "ranges", "images": "9", "graph-digest": "sha256:00", "model-digest": "sha256:00", **CLASSES}
    save(folder, "fuzz_ranges", "one", record(keys, ranges))
    save(folder, "fuzz_ranges", "two", record(keys, ranges | wide))
    save(folder, "fuzz_predictions", "three", record({"kind": "predictions", "stage": "int8", "precision": "int8", **CLASSES}, {
        "indices": ("I64", [4], [0, 1, 2, 5]), "logits": normal(4, 3), "labels": ("U8", [4], [0, 1, 2, 1])}))
    state = {"epoch": "1", "epoch-step": "2", "step": "9", "images-seen": "108", "epoch-images": "24", "epoch-correct": "7",
             "epoch-loss": "55.5", "epoch-seconds": "1.5", "seconds": "9", "best-epoch": "1", "best-accuracy": "51.5", "best-loss": "-",
             "log": "# tool: train-fp32\nepoch\tloss\n1\t2.5\n", "recipe": "a=1 train-fp32.major=0 width=4", "device": "cpu",
             "precision": "fp32"}
    save(folder, "fuzz_checkpoint", "run", record({"kind": "checkpoint", **state, **CLASSES}, {
        f"{prefix}{name}": normal(*shape) for prefix in ("", "momentum.") for name, shape in
        (("a.weight", (2, 3)), ("a.bias", (2,)), ("x.scale", ()))}))
    rows = {f"{name}.{bits}": normal(4, 3) for name in ("c1.weights", "c1.activations") for bits in (8, 2)}
    save(folder, "fuzz_analysis", "whole", record({"kind": "analysis", "images": "4", "total": "4", "isa": "ref", **CLASSES}, {
        "bytes": ("I64", [4], [108, 27, 0, 0]), "sqnr": ("F64", [4], [30.5, 5.25, float("inf"), float("nan")]),
        "sqnr_accumulated": ("F64", [4], [30.0, 5.0, 9.0, 1.0]), "first": ("I64", [], [0]), "float": normal(4, 3), **rows,
        "labels": ("U16", [4], [0, 1, 2, 1])}))


def members(folder):
    lists = {"tar": b"\0\0A/F/1H\n\1A/G/2I\n\0B/F/3H\n", "pax": b"\1\4A\n\4A/F\n\0A/F/1H\n\0A/T/2H\n\0A/U/1H\n", "zip": b"\3\0A/F/1H\n\0C/G/1H\n",
             "strays": b"\7\0A/F/1H\n\0A/F/Q\n\0P/1H\n\0A/R/1H\n\0X\n\0A/F/Y/1H\n", "links": b"\2\5A/F/1H\n\6A/F/2H\n\x10A/F/3H\n",
             "bin": b"\0\0N1K\n\0OK\n", "twice": b"\0\0A/F/1H\n\0A/F/1H\n", "cut": b"\0\x08A/F/1H\n", "up": b"\0\0L/A/F/1H\n\0/A/F/1H\n"}
    for name, content in lists.items():
        save(folder, "fuzz_pictures", name, content)


def raw_sets(folder):
    def file(name, how, content):
        return bytes([name, how]) + struct.pack(">H", len(content)) + content

    idx = lambda *dims: bytes([0, 0, 8, len(dims)]) + struct.pack(f">{len(dims)}I", *dims)
    images, labels = idx(2, 8, 9) + bytes(range(144)), idx(2) + b"\0\3"
    both = lambda how: file(0, how, images) + file(1, how, labels) + file(2, how, images) + file(3, how, labels)
    tiny = b'classes\t["a","b"]\nimage\tu8[8,8,3]\ndigest\tx\n'
    sets = {"idx": b"\0\0\0\0" + both(0), "idx-gz": b"\0\1\2\1" + both(4), "idx-cut": b"\0\2\1\2" + both(12),
            "c100": b"\1\0\0\0" + file(0, 1, b"\1\2xyz") + file(1, 1, b"\0\1") + file(2, 0, b"a\nb\nc\n") + file(3, 0, b"x\ny\n"),
            "c100-coarse": b"\1\5\x41\4" + file(0, 1, b"\1\2xyz") + file(3, 0, b"x\ny\n") + file(2, 0, b"a\n"),
            "stl": b"\2\7\0\7" + file(0, 2, b"\5") + file(1, 0, b"\1") + file(4, 0, b"a\nb\n") + file(2, 2, b"x") + file(3, 0, b"\2"),
            "own": b"\3\0\0\0" + file(0, 3, b"\1abc") + file(2, 3, b"\0") + file(4, 0, tiny.replace(b"digest\tx\n", b"")),
            "own-other": b"\3\2\1\5" + file(4, 0, tiny) + file(0, 3, b"\1abc")}
    for name, content in sets.items():
        save(folder, "fuzz_raw", name, content)


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    models(sys.argv[1])
    others(sys.argv[1])
    members(sys.argv[1])
    raw_sets(sys.argv[1])
