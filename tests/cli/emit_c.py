"""What the tests of emit-c read and write of records: logits PREDICTIONS and images BATCHES as bare bytes on standard
output; pictures BATCHES FOLDER N, the first N images as PNG; classes PREDICTIONS N: of the
first N images the likeliest of CIFAR-10's classes, and its logit."""
import json
import struct
import sys
import zlib

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()


def records(path):
    raw, at = open(path, "rb").read(), 0
    while at < len(raw):
        size = struct.unpack("<Q", raw[at:at + 8])[0]
        header = json.loads(raw[at + 8:at + 8 + size])
        header.pop("__metadata__", None)
        at += 8 + size
        yield {k: raw[at + t["data_offsets"][0]:at + t["data_offsets"][1]] for k, t in header.items()}
        at += max([0] + [t["data_offsets"][1] for t in header.values()])


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels):
    rows = b"".join(b"\0" + pixels[i:i + 96] for i in range(0, 3072, 96))
    header = struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


what, path = sys.argv[1:3]
if what in ("logits", "images"):
    sys.stdout.buffer.write(b"".join(r.get(what, b"") for r in records(path)))
elif what == "pictures":
    images = b"".join(r.get("images", b"") for r in records(path))
    for i in range(int(sys.argv[4])):
        open(f"{sys.argv[3]}/{i:02}.png", "wb").write(png(images[3072 * i:3072 * (i + 1)]))
else:
    logits = next(records(path))["logits"]
    for i in range(int(sys.argv[3])):
        row = struct.unpack_from("<10f", logits, 40 * i)
        print(f"{CLASSES[row.index(max(row))]}, {max(row):g}")
