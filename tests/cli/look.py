"""What an eye would see in a chart, for tests; the standard library alone.

    look.py inside FILE.svg   fails where a text leaves the picture or lies on another (by a letter's usual width)
    look.py tics FILE.svg     the numbers of each vertical axis, from below, a line an axis
    look.py bars FILE.svg     width and height of each filled polygon, in pixels
    look.py ink FILE.png      side of the largest connected patch of ink (near black), in pixels
"""
import itertools
import math
import re
import struct
import sys
import xml.etree.ElementTree as tree
import zlib

SVG = "{http://www.w3.org/2000/svg}"


def texts(path):
    """-> (text, x, y, degrees, size, anchor, bold)"""
    for group in tree.parse(path).iter(SVG + "g"):
        text = group.find(SVG + "text")
        if text is None:
            continue
        numbers = [float(v) for v in re.findall(r"-?[\d.]+", group.get("transform"))] + [0.0]
        yield ("".join(text.itertext()), *numbers[:3], float(group.get("font-size")), group.get("text-anchor"),
               group.get("font-weight") == "bold")


def box(item):
    """In the text's own frame, which is turned about the picture's origin: left, top, right, bottom."""
    text, x, y, degrees, size, anchor, bold = item
    text = text.strip()
    wide = sum(0.98 if c in "mMW@%" else 0.85 if c == "w" else 0.36 if c in "iljtfI.,:;|'!()[] " else 0.62 for c in text)
    width = size * wide * (1.08 if bold else 0.96)
    a = math.radians(degrees)
    u, v = x * math.cos(a) + y * math.sin(a), y * math.cos(a) - x * math.sin(a)
    left = u - width * {"start": 0, "middle": 0.5, "end": 1}[anchor]
    return left, v - 0.72 * size, left + width, v


def inside(path):
    root = tree.parse(path).getroot()
    width, height = float(root.get("width")), float(root.get("height"))
    items = [t for t in texts(path) if t[0].strip()]
    for t in items:
        left, top, right, bottom = box(t)
        a = math.radians(t[3])
        for u, v in itertools.product((left, right), (top, bottom)):
            x, y = u * math.cos(a) - v * math.sin(a), u * math.sin(a) + v * math.cos(a)
            assert -2 < x < width + 2 and -2 < y < height + 2, f"{t[0]!r} leaves the picture at {x:.0f} {y:.0f}"
    for s, t in itertools.combinations(items, 2):
        if s[3] != t[3]:
            continue
        a, b = box(s), box(t)
        across, along = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        assert across < 2 or along < 1, f"{s[0]!r} lies on {t[0]!r}"


def tics(path):
    columns = {}
    for text, x, y, degrees, _, anchor, _ in texts(path):
        if anchor == "end" and degrees == 0 and re.fullmatch(r"[-+\d.e]+", text.strip()):
            columns.setdefault(x, []).append((-y, text.strip()))
    for x in sorted(columns):
        axis = []
        for _, text in sorted(columns[x]):
            if axis and float(text) < float(axis[-1]):  # numbers rise along an axis: the next one begins
                print(*axis)
                axis = []
            axis.append(text)
        print(*axis)


def bars(path):
    for shape in tree.parse(path).iter(SVG + "polygon"):
        points = [tuple(map(float, p.split(","))) for p in shape.get("points").split()]
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        print(f"{max(xs) - min(xs):.1f} {max(ys) - min(ys):.1f}")


def rows_of(path):
    """A PNG's rows of pixels, each as (r, g, b) at least."""
    raw, at, data = open(path, "rb").read(), 8, b""
    while at < len(raw):
        n, kind = struct.unpack(">I4s", raw[at : at + 8])
        if kind == b"IHDR":
            w, h, depth, colour = struct.unpack(">IIBB", raw[at + 8 : at + 18])
            assert depth == 8 and colour in (2, 6)
        if kind == b"IDAT":
            data += raw[at + 8 : at + 8 + n]
        at += 12 + n
    step = 3 if colour == 2 else 4
    data, stride, last = zlib.decompress(data), step * w, bytes(step * w)
    for y in range(h):
        f, line = data[y * (stride + 1)], bytearray(data[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for i in range(stride if f else 0):
            a, b, c = line[i - step] if i >= step else 0, last[i], last[i - step] if i >= step else 0
            p = a + b - c
            best = a if abs(p - a) <= abs(p - b) and abs(p - a) <= abs(p - c) else b if abs(p - b) <= abs(p - c) else c
            line[i] = (line[i] + (0, a, b, (a + b) // 2, best)[f]) & 255
        yield [line[i : i + 3] for i in range(0, stride, step)]
        last = line


def ink(path):
    dark = {(x, y) for y, row in enumerate(rows_of(path)) for x, p in enumerate(row) if max(p) < 80}
    largest = 0
    while dark:
        patch = [dark.pop()]
        for x, y in patch:
            near = {(x + i, y + k) for i in (-1, 0, 1) for k in (-1, 0, 1)} & dark
            dark -= near
            patch += near
        xs, ys = [p[0] for p in patch], [p[1] for p in patch]
        largest = max(largest, max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)
    print(largest)


if __name__ == "__main__":
    {"inside": inside, "tics": tics, "bars": bars, "ink": ink}[sys.argv[1]](sys.argv[2])
