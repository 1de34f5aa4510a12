"""Records (lib/FORMATS.md) for the scripts beside this one: batches, models, and the network of a model."""
import json
import re
import struct

import numpy as np

TYPES = {"BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "I32": np.int32, "I64": np.int64, "F32": np.float32}


def read(f):
    """The next record of an open file as (metadata, tensors), or None at its end."""
    length = f.read(8)
    if not length:
        return None
    (size,) = struct.unpack("<Q", length)
    header = json.loads(f.read(size))
    metadata = header.pop("__metadata__", {})
    data = f.read(max((t["data_offsets"][1] for t in header.values()), default=0))
    tensors = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], TYPES[t["dtype"]]).reshape(t["shape"])
    return metadata, tensors


def read_file(path):
    with open(path, "rb") as f:
        return read(f)


def batches(f):
    """The batch records of a stream; fails where it lacks its end record."""
    while True:
        record = read(f)
        if record is None:
            raise SystemExit("truncated stream of batches")
        if record[0]["kind"] == "end":
            return
        yield record


def image_set(path):
    """All images (u8 [N,H,W,3]) and labels of a file of batches."""
    with open(path, "rb") as f:
        parts = [tensors for _, tensors in batches(f)]
    return np.concatenate([p["images"] for p in parts]), np.concatenate([p["labels"] for p in parts])


def dataset_digest(path):
    """What the images of a file of batches are of."""
    return read_file(path)[0].get("dataset-digest")


class Node:
    """One line of a graph. shape: [H,W,C] or [C]."""

    def __init__(self, line):
        name, rest = line.split("=", 1)
        words = rest.split()
        self.name, self.op, self.inputs, self.options = name.strip(), words[0], [], {}
        self.type, dims = re.fullmatch(r"(\w+)\[([\d,]+)\]", words[-1]).groups()
        self.shape = [int(d) for d in dims.split(",")]
        for word in words[1:-1]:
            key, equals, value = word.partition("=")
            if equals:
                self.options[key] = value
            elif key in ("bias", "relu", "requantize"):
                self.options[key] = True
            else:
                self.inputs.append(word)

    def integer(self, key, default=0):
        return int(self.options.get(key, default))

    def numbers(self, key):
        return np.array(self.options[key].split(","), np.float32)

    @property
    def relu(self):
        return "relu" in self.options

    @property
    def clip(self):
        """(low, high) of a convolution's or linear layer's last step, or of a `clip`; else None."""
        if self.op == "clip":
            return float(self.options["low"]), float(self.options["high"])
        return tuple(map(float, self.options["clip"].split(","))) if "clip" in self.options else None

    @property
    def window(self):
        """(kernel, stride, pad) of a pool; None: over all pixels."""
        kernel = self.integer("kernel")
        return (kernel, self.integer("stride", kernel), self.integer("pad")) if kernel else None

    @property
    def residual(self):
        return self.options.get("add")


class Model:
    """A model record: nodes in order, tensors by name."""

    def __init__(self, path):
        metadata, self.tensors = read_file(path)
        self.metadata = metadata
        lines = (line.split("#")[0].strip() for line in metadata["graph"].splitlines())
        self.nodes = [Node(line) for line in lines if line]
        self.by_name = {n.name: n for n in self.nodes}
        self.stage = metadata["stage"]
        self.width = next(n for n in self.nodes if n.op == "conv2d").shape[-1]

    def __getitem__(self, name):
        return self.tensors[name]

    def scale(self, name):
        return float(self.tensors[name + ".scale"])

    def zero_point(self, name):
        return int(self.tensors[name + ".zero_point"])

    def normalize(self, images):
        """f32 [N,3,H,W] as the network's `normalize` makes it, from u8 [N,H,W,3]."""
        node = next(n for n in self.nodes if n.op == "normalize")
        x = (images.astype(np.float32) / np.float32(255) - node.numbers("mean")) / node.numbers("std")
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def inner_scales(work):
    """What export.py found for `int8_added`: scale and zero point by name of convolution."""
    with open(f"{work}/inner.json") as f:
        return json.load(f)
