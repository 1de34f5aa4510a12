#!/usr/bin/env python3
"""A stage of one's own, in another language: fuse, and then set the smallest weights of each convolution to zero.

    prune.py --share 0.3 -m best_float_model.safetensors -o pruned.safetensors

Called as fuse is, so that the study takes it: make results RUN=pruned FUSE='pipelines/examples/prune.py --share 0.3'.
A record is a safetensors block (lib/FORMATS.md), so with the package `safetensors` this would be load_file and
save_file; the standard library is enough.
"""
import argparse
import array
import json
import os
import struct
import subprocess
import sys


def read_record(path):
    with open(path, "rb") as f:
        (size,) = struct.unpack("<Q", f.read(8))
        return json.loads(f.read(size)), bytearray(f.read())


def write_record(path, header, data):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(path + ".part", "wb") as f:  # whole or not at all
        f.write(struct.pack("<Q", len(text)) + text + data)
    os.rename(path + ".part", path)


def prune(values, share):
    limit = sorted(map(abs, values))[int(share * len(values))]
    return array.array("f", (0.0 if abs(v) < limit else v for v in values))


def main():
    parser = argparse.ArgumentParser(description="fuse, then prune by magnitude")
    parser.add_argument("--share", type=float, default=0.3, help="of each convolution's weights, 0 to 1")
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("-o", "--output", required=True)
    o = parser.parse_args()
    if not 0 <= o.share < 1:
        parser.error("--share: not in [0, 1)")

    fused = o.output + ".fused"
    try:
        if subprocess.call(["fuse", "-m", o.model, "-o", fused]):
            return 1
        header, data = read_record(fused)
    finally:
        if os.path.exists(fused):
            os.remove(fused)

    metadata = header["__metadata__"]
    del metadata["crc32"]  # a record without one is taken as it is
    metadata["made-by"] = "%s\nprune.py 1 share=%s" % (metadata["made-by"], o.share)
    for name, tensor in header.items():
        if name.endswith(".weight") and len(tensor["shape"]) == 4:
            begin, end = tensor["data_offsets"]
            values = array.array("f", bytes(data[begin:end]))
            data[begin:end] = prune(values, o.share).tobytes()
    write_record(o.output, header, data)
    return 0


sys.exit(main())
