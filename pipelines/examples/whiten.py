#!/usr/bin/env python3
"""A start of one's own, in another language: a network whose first convolution whitens its input.

    train-fp32 --epochs 0 --width 16 -o start.st
    cifar-load --part train -n 1000 | whiten.py -m start.st -o white.st
    cifar-load --part train --shuffle --epochs 5 | train-fp32 --init white.st --epochs 5 -o float.st

The filters become the eigenvectors of the covariance of the images' patches, as the convolution sees them, each divided
by sqrt(eigenvalue + eps), so that all respond with one variance and without correlation (Page 2019, "How to train your
ResNet"; Jordan 2024, "94% on CIFAR-10 in 3.29 seconds", section 3.3). Largest eigenvalues first, each eigenvector with
both signs, because a relu follows that keeps one side; filters beyond twice the patch's values (54 of a 3x3 stem) stay
as they were. That one variance is the mean of what random filters have, 2 * trace(covariance) / (filters * kernel^2):
batch norm would hide any other from the forward pass, but not from the learning rate.
"""
import argparse
import array
import hashlib
import json
import math
import operator
import os
import random
import re
import struct
import sys


def read_record(f, name):
    """Header and data of the next record; None where the file ends before it."""
    size = f.read(8)
    if not size:
        return None
    try:
        header = json.loads(f.read(struct.unpack("<Q", size)[0]))
        wanted = max([0] + [t["data_offsets"][1] for k, t in header.items() if k != "__metadata__"])
        data = bytearray(f.read(wanted))
        if len(data) == wanted:
            return header, data
    except (ValueError, TypeError, LookupError, AttributeError, MemoryError, OverflowError, struct.error):
        pass
    sys.exit("whiten.py: %s: truncated, or no record" % name)


def write_record(path, header, data):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(path + ".part", "wb") as f:  # whole or not at all
        f.write(struct.pack("<Q", len(text)) + text + data)
    os.rename(path + ".part", path)


def read_batches(f):
    """Metadata of a stream's first batch, and its images, which lie channel by pixel."""
    images, first = [], {}
    while True:
        record = read_record(f, "stdin")
        if not record:
            sys.exit("whiten.py: stdin: %s" % ("the stream has no end record" if images else "empty input"))
        header, data = record
        metadata = header["__metadata__"]
        if metadata["kind"] == "end":
            if int(metadata["images"]) != len(images) or not images:
                sys.exit("whiten.py: stdin: has %d images, want %s" % (len(images), metadata["images"]))
            return first, images
        if metadata["kind"] != "batch":
            sys.exit("whiten.py: stdin: is a %s record, want a batch record" % metadata["kind"])
        first = first or metadata
        begin, end = header["images"]["data_offsets"]
        images += [bytes(data[i:i + 3072]) for i in range(begin, end, 3072)]


def covariance(images, each, kernel, deviation, seed):
    """Of patches [channel, row, column], as normalised; the sums are of integers, and exact."""
    draw, columns = random.Random(seed), [[] for _ in range(3 * kernel * kernel)]
    places = [((y * 32) + x) * 3 + c for c in range(3) for y in range(kernel) for x in range(kernel)]
    for image in images:
        for _ in range(each):
            corner = (int(draw.random() * (33 - kernel)) * 32 + int(draw.random() * (33 - kernel))) * 3
            for column, place in zip(columns, places):
                column.append(image[corner + place])
    count, sums = len(columns[0]), [sum(c) for c in columns]
    scale = [255 * deviation[i // (kernel * kernel)] * count for i in range(len(columns))]
    return [[(count * sum(map(operator.mul, a, b)) - sums[i] * sums[j]) / (scale[i] * scale[j])
             for j, b in enumerate(columns)] for i, a in enumerate(columns)]


def eigenvectors(a):
    """(eigenvalue, vector) of a symmetric matrix, largest first, by Jacobi's rotations; a is overwritten."""
    n = len(a)
    v = [[float(i == j) for j in range(n)] for i in range(n)]  # a row a vector
    trace = sum(a[i][i] for i in range(n))
    while max(abs(a[i][j]) for i in range(n) for j in range(i)) > 1e-13 * trace:
        for p in range(n):
            for q in range(p + 1, n):
                if abs(a[p][q]) <= 1e-16 * trace:
                    continue
                theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
                t = math.copysign(1, theta) / (abs(theta) + math.sqrt(theta * theta + 1))
                c = 1 / math.sqrt(t * t + 1)
                s = t * c
                for row in a:
                    row[p], row[q] = c * row[p] - s * row[q], s * row[p] + c * row[q]
                for m in (a, v):
                    m[p], m[q] = ([c * x - s * y for x, y in zip(m[p], m[q])],
                                  [s * x + c * y for x, y in zip(m[p], m[q])])
    return sorted(((a[i][i], v[i]) for i in range(n)), reverse=True)


def whitening(a, filters, kernel, eps):
    """The values of at most `filters` filters."""
    variance = sum(a[i][i] for i in range(len(a))) * 2 / (filters * kernel * kernel)
    values = array.array("f")
    for eigenvalue, vector in eigenvectors(a)[:(filters + 1) // 2]:
        scale = math.sqrt(variance / (max(eigenvalue, 0) + eps))
        sign = math.copysign(1, max(vector, key=abs))  # either is an eigenvector: one for every machine
        values.extend(sign * scale * x for x in vector)
        values.extend(-sign * scale * x for x in vector)
    return values[:filters * len(a)]


def stem(metadata, header, name):
    """Where the weights of the convolution behind `normalize` lie, their shape, and normalize's deviations."""
    graph = metadata.get("graph", "")
    norm = re.search(r"^(\S+) += normalize .*\bstd=(\S+)", graph, re.M)
    conv = norm and re.search(r"^(\S+) += conv2d %s " % re.escape(norm.group(1)), graph, re.M)
    tensor = conv and header[conv.group(1) + ".weight"]
    if not tensor or metadata.get("stage") != "float" or "trained-on" in metadata or tensor["shape"][1] != 3:
        sys.exit("whiten.py: %s: is no untrained float model that begins with a convolution" % name)
    return tensor["data_offsets"], tensor["shape"], [float(s) for s in norm.group(2).split(",")]


def main():
    parser = argparse.ArgumentParser(description="make a model's first convolution whiten the images on standard input")
    parser.add_argument("--eps", type=float, default=5e-4, help="added to each eigenvalue")
    parser.add_argument("--patches", type=int, default=10, help="taken from each image")
    parser.add_argument("-s", "--seed", type=int, default=1, help="of where they are taken")
    parser.add_argument("-m", "--model", required=True, help="as train-fp32 --epochs 0 makes it")
    parser.add_argument("-o", "--output", required=True)
    o = parser.parse_args()
    if not (o.eps > 0 and o.patches > 0):
        parser.error("--eps, --patches: want more than 0")

    try:
        with open(o.model, "rb") as f:
            header, data = read_record(f, o.model) or ({}, b"")
    except OSError as e:
        sys.exit("whiten.py: %s: %s" % (o.model, e.strerror))
    metadata = header.get("__metadata__", {})
    (begin, end), (filters, _, kernel, _), deviation = stem(metadata, header, o.model)
    first, images = read_batches(sys.stdin.buffer)
    if first["split"] != "train":
        sys.exit("whiten.py: stdin: split: is %s, want train" % first["split"])

    values = whitening(covariance(images, o.patches, kernel, deviation, o.seed), filters, kernel, o.eps)
    data[begin:begin + 4 * len(values)] = values.tobytes()
    metadata.pop("crc32", None)  # a record without one is taken as it is
    for key in "dataset", "dataset-digest", "classes":
        metadata[key] = first[key]
    metadata["trained-on"] = "%s %s/%s" % (first["dataset-digest"], first["split"], first["part"])
    metadata["made-by"] += "\nwhiten.py 1 batches=sha256:%s eps=%s patches=%d seed=%d\n  %s" % (
        hashlib.sha256(b"".join(images)).hexdigest(), o.eps, o.patches, o.seed, first["made-by"].replace("\n", "\n  "))
    write_record(o.output, header, data)
    return 0


sys.exit(main())
