"""Makes the malformed records beside this script, each named after the rule that it breaks.

    python3 tests/bad/make.py        (standard library only; the files are committed)
"""
import json
import pathlib
import struct
import zlib

HERE = pathlib.Path(__file__).parent


def write(name, *parts):
    (HERE / f"{name}.safetensors").write_bytes(b"".join(parts))


def frame(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def u8(begin, end, shape=None):
    return {"dtype": "U8", "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


def sealed(metadata, tensors=None, data=b""):
    """A record as we write it, CRC and all."""
    keys = dict(sorted({"crc32": "0" * 8, "format": "resq 1", **metadata}.items()))
    text = json.dumps({"__metadata__": keys, **(tensors or {})}, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    whole = frame(text, data)
    return whole.replace(b"0" * 8, b"%08x" % zlib.crc32(whole), 1)


def batch(images, position=0, **metadata):
    size = 3 * 32 * 32
    tensors = {
        "indices": {"dtype": "I64", "shape": [images], "data_offsets": [0, 8 * images]},
        "images": {"dtype": "U8", "shape": [images, 32, 32, 3], "data_offsets": [8 * images, (8 + size) * images]},
        "labels": {"dtype": "U8", "shape": [images], "data_offsets": [(8 + size) * images, (9 + size) * images]},
    }
    keys = {
        "kind": "batch", "dataset": "test", "dataset-digest": "sha256:" + "0" * 64, "classes": '["a","b"]',
        "split": "train", "part": "all", "epoch": "0", "position": str(position), "total": "3", **metadata,
    }
    indices = struct.pack(f"<{images}q", *range(position, position + images))
    return sealed(keys, tensors, indices + bytes(size * images) + bytes(images))


def end(images):
    return sealed({"kind": "end", "images": str(images)})


good = frame({"a": u8(0, 4)}, bytes(4))

# the frame
write("empty-input")
write("length-cut", good[:5])
write("length-0", frame(b"", length=0))
write("length-1-past-limit", frame(b"{}", length=(16 << 20) + 1))
write("length-2-to-the-63", frame(b"{}", length=1 << 63))
write("length-2-to-the-64-less-1", frame(b"{}", length=(1 << 64) - 1))
write("length-at-limit-but-cut", frame(b"{}", length=16 << 20))
write("header-cut", good[:20])
write("data-cut", good[:-1])
write("data-surplus", good, b"\0")
write("data-followed-by-archive", good, b"PK\x03\x04")
write("data-promised-2-to-the-62", frame({"a": u8(0, 1 << 62)}, bytes(4)))
write("magic-of-an-archive", b"PK\x03\x04\x14\0\0\0\x08\0")

# the JSON
write("json-broken", frame(b'{"a":'))
write("json-a-list", frame([]))
write("json-text-after-it", frame(b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}} x', bytes(4)))
write("json-nested-5000-deep", frame(b"[" * 5000))
write("json-not-utf-8", frame(b'{"a\xff":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)))
write("key-twice", frame(b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},'
                         b'"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}', bytes(8)))
write("key-twice-in-metadata", frame(b'{"__metadata__":{"k":"1","k":"2"}}'))
write("metadata-not-an-object", frame({"__metadata__": "x"}))
write("metadata-not-a-string", frame({"__metadata__": {"k": 1}}))
write("name-with-nul", frame(b'{"a\\u0000b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)))
write("name-empty", frame({"": u8(0, 4)}, bytes(4)))
write("name-with-escape-codes", frame({"\x1b[2J\x1b]0;title\x07\n": {**u8(0, 4), "dtype": "U4"}}, bytes(4)))
write("name-of-64-KiB-with-bad-type", frame({"n" * (1 << 16): {**u8(0, 4), "dtype": "U4"}}, bytes(4)))

# the tensors
write("tensor-not-an-object", frame({"a": [1]}))
write("tensor-with-unknown-field", frame({"a": {**u8(0, 4), "scale": 1}}, bytes(4)))
write("dtype-missing", frame({"a": {"shape": [4], "data_offsets": [0, 4]}}, bytes(4)))
write("dtype-unknown", frame({"a": {**u8(0, 4), "dtype": "F8_E4M3"}}, bytes(4)))
write("dtype-in-small-letters", frame({"a": {**u8(0, 4), "dtype": "u8"}}, bytes(4)))
write("rank-9", frame({"a": u8(0, 1, [1] * 9)}, bytes(1)))
write("dimension-negative", frame({"a": u8(0, 4, [-2, -2])}, bytes(4)))
write("dimension-fraction", frame({"a": u8(0, 4, [4.0])}, bytes(4)))
write("dimension-past-64-bits", frame({"a": u8(0, 4, [1 << 70])}, bytes(4)))
write("shape-overflows-64-bits", frame({"a": u8(0, 0, [1 << 32, 1 << 32])}))
write("shape-overflows-in-bytes", frame({"a": {"dtype": "F64", "shape": [1 << 61], "data_offsets": [0, 0]}}))
write("shape-overflows-before-a-0", frame({"a": u8(0, 0, [1 << 40, 1 << 40, 0])}))
write("offsets-missing", frame({"a": {"dtype": "U8", "shape": [4]}}, bytes(4)))
write("offsets-three", frame({"a": {**u8(0, 4), "data_offsets": [0, 4, 8]}}, bytes(4)))
write("offsets-negative", frame({"a": {**u8(0, 4), "data_offsets": [-4, 0]}}, bytes(4)))
write("offsets-reversed", frame({"a": {**u8(0, 4), "data_offsets": [4, 0]}}, bytes(4)))
write("offsets-too-few-bytes", frame({"a": u8(0, 3, [4])}, bytes(3)))
write("offsets-too-many-bytes", frame({"a": u8(0, 5, [4])}, bytes(5)))
write("offsets-overlap", frame({"b": u8(3, 7), "a": u8(0, 4)}, bytes(7)))
write("offsets-the-same-twice", frame({"b": u8(0, 4), "a": u8(0, 4)}, bytes(4)))
write("offsets-hole", frame({"b": u8(6, 10), "a": u8(0, 4)}, bytes(10)))
write("offsets-hole-at-the-start", frame({"a": u8(2, 6)}, bytes(6)))
write("offsets-past-the-data", frame({"a": u8(0, 8)}, bytes(4)))

# what is ours
write("format-of-the-future", frame({"__metadata__": {"format": "resq 2"}}))
write("crc32-wrong", frame({"__metadata__": {"crc32": "deadbeef"}, "a": u8(0, 4)}, bytes(4)))
write("crc32-not-hex", frame({"__metadata__": {"crc32": "DEADBEEF"}, "a": u8(0, 4)}, bytes(4)))
write("crc32-key-damaged", sealed({"k": "v"}).replace(b"crc32", b"crc72"))
write("crc32-flip-in-data", sealed({}, {"a": u8(0, 4)}, bytes(4))[:-1], b"\x01")
write("crc32-flip-in-header", sealed({"note": "seed=1"}).replace(b"seed=1", b"seed=3"))

# streams
write("stream-without-end", batch(2), batch(1, 2))
write("stream-cut-in-a-batch", (batch(2) + batch(1, 2))[:-100])
write("stream-of-nothing-but-end", end(0))
write("stream-with-wrong-count", batch(2), batch(1, 2), end(4))
write("stream-with-bytes-after-end", batch(3), end(3), b"\0")
write("stream-with-batch-after-end", batch(2), end(2), batch(1, 2))
write("stream-with-two-ends", batch(3), end(3), end(3))
write("stream-with-a-model-inside", batch(3), sealed({"kind": "model"}), end(3))
write("stream-end-without-count", batch(3), sealed({"kind": "end"}))
write("stream-batch-without-labels", sealed({"kind": "batch"}, {"a": u8(0, 4)}, bytes(4)), end(0))

# models
GRAPH = "x = input u8[32,32,3]\nn = normalize x mean=0,0,0 std=1,1,1 f32[32,32,3]\np = avgpool n f32[3]\n" \
        "fc = linear p out=2 f32[2]\n"
write("model-without-its-weights", sealed({"kind": "model", "graph": GRAPH, "stage": "fused"}))
write("model-with-broken-graph", sealed({"kind": "model", "graph": "x = input u8[32,32", "stage": "fused"}))
