"""An int8 model's logits in PyTorch: its codes and scales as they stand in the file, sums exact (in double), rounding as lib/quant/QUANT.md
has it. For models of `fuse --for onnxruntime` or not; of the ops that a ResNet has.

    python int8_in_torch.py MODEL BATCHES    (torch, safetensors; MODEL by quantize or qat-finetune, BATCHES by cifar-load)
"""
import re
import sys

import torch
import torch.nn.functional as F
from safetensors import safe_open


def logits(path, pixels):  # u8 [N,H,W,C]
    with safe_open(path, "pt") as f:
        graph, t = f.metadata()["graph"], {k: f.get_tensor(k) for k in f.keys()}
    v, zero, scale = {}, lambda n: t[n + ".zero_point"].float(), lambda n: t[n + ".scale"]
    code = lambda n, x, low=0.0: torch.clamp(torch.round(x) + zero(n), max(low, float(t[n + ".range"][0])), float(t[n + ".range"][1]))
    fma = lambda a, b, c: (a.double() * b.double() + c.double()).float()
    for name, op, words in re.findall(r"(\S+) *= (\S+) *(.*?) +\S+$", graph, re.M):
        x, *more = re.sub(r"\S+=\S+|\b(bias|relu|separate|requantize)\b", "", words).split() or [None]
        kv = dict(re.findall(r"(\w+)=(\S+)", words))
        if op == "input":
            v[name] = pixels.permute(0, 3, 1, 2).float()
        elif op == "normalize":
            mean, std = (torch.tensor([float(s) for s in kv[k].split(",")]).view(1, -1, 1, 1) for k in ("mean", "std"))
            v[name] = (v[x] / 255 - mean) / std
        elif op == "quantize":
            v[name] = code(name, v[x] / scale(name))
        elif op in ("conv2d", "linear"):
            w, b, stride, pad = t[name + ".weight"].double(), t[name + ".bias"].double(), int(kv.get("stride", 1)), int(kv.get("pad", 0))
            q = (v[x] - zero(x)).double()
            acc = F.conv2d(q, w, b, stride, pad, groups=int(kv.get("groups", 1))) if op == "conv2d" else F.linear(q, w, b)
            m = (scale(x) * t[name + ".weight_scale"]).view([1, -1] + [1] * (acc.dim() - 2))
            if op == "linear":
                return acc.float() * m
            y = acc.float() * (m / scale(name))
            y = y + (v[kv["add"]] - zero(kv["add"])) * (scale(kv["add"]) / scale(name)) if "add" in kv else y
            v[name] = code(name, y, float(zero(name)) if "relu" in words.split() else 0.0)
        elif op == "add":  # separate
            ra, rb = scale(x) / scale(name), scale(more[0]) / scale(name)
            offset = zero(name) - fma(ra, zero(x), rb * zero(more[0]))
            v[name] = code(name, fma(v[x], ra, fma(v[more[0]], rb, offset)) - zero(name))
        elif op == "avgpool":
            v[name] = code(name, (v[x] - zero(x)).sum((2, 3)) * (scale(x) / (scale(name) * (v[x].shape[2] * v[x].shape[3]))))
        else:
            raise SystemExit(f"{name}: {op} is not known here")


if __name__ == "__main__":
    sys.path.insert(0, str(__import__("pathlib").Path(__file__).parent.parent.parent / "tests" / "peers"))
    import record
    images = torch.from_numpy(record.image_set(sys.argv[2])[0].copy())
    print(*[row.argmax().item() for part in images.split(200) for row in logits(sys.argv[1], part)], sep="\n")
