"""Makes mix.safetensors: what the public code of CutMix (clovaai/CutMix-PyTorch, train.py), mixup (facebookresearch/mixup-cifar10,
train.py) and RICAP (4uiiurz1/pytorch-ricap, train.py) makes of a few images with given draws.

    pip install torch==2.15.0 numpy==2.4.6 scipy==1.17.1 safetensors==0.8.0
    python3 tests/reference/mix.py

Their tensors are [N,C,W,H] in their own words: x runs along the first of the two. images u8 [4,24,40,3] are rows, columns, channels,
so they go in transposed, and x is a column. For each: NAME.parameters f64 [P,k], NAME.images u8 [P,24,40,3], made of images p % 4 and
those after it, NAME.share f64 [P,n] of the labels after the first.
beta.A f64 [9]: deciles of Beta(A, A).
"""
import pathlib

import numpy as np
import scipy.stats
import torch
from safetensors.numpy import save_file

ROWS, COLUMNS = 24, 40
random = np.random.default_rng(20240302)
INPUT = random.integers(0, 256, (4, ROWS, COLUMNS, 3)).astype(np.uint8)
tensors = {"images": INPUT}


def stream(p, count):
    """The p-th images in the public code's layout."""
    return [torch.tensor(INPUT[(p + k) % 4].transpose(2, 1, 0)[None].astype(np.float64)) for k in range(count)]


def add(name, parameters, operation, count):
    images, shares = [], []
    for p, values in enumerate(parameters):
        image, share = operation(stream(p, count), *values)
        images.append(np.rint(image[0].numpy().transpose(2, 1, 0)).astype(np.uint8))
        shares.append(share)
    tensors[name + ".parameters"] = np.array(parameters, np.float64)
    tensors[name + ".images"] = np.ascontiguousarray(np.stack(images))
    tensors[name + ".share"] = np.array(shares, np.float64)


def rand_bbox(size, lam, cx, cy):
    W = size[2]
    H = size[3]
    cut_rat = np.sqrt(1. - lam)
    cut_w = int(W * cut_rat)
    cut_h = int(H * cut_rat)
    bbx1 = np.clip(cx - cut_w // 2, 0, W)
    bby1 = np.clip(cy - cut_h // 2, 0, H)
    bbx2 = np.clip(cx + cut_w // 2, 0, W)
    bby2 = np.clip(cy + cut_h // 2, 0, H)
    return bbx1, bby1, bbx2, bby2


def cutmix(sources, lam, cx, cy):
    input, other = sources[0].clone(), sources[1]
    bbx1, bby1, bbx2, bby2 = rand_bbox(input.size(), lam, int(cx), int(cy))
    input[:, :, bbx1:bbx2, bby1:bby2] = other[:, :, bbx1:bbx2, bby1:bby2]
    lam = 1 - ((bbx2 - bbx1) * (bby2 - bby1) / (input.size()[-1] * input.size()[-2]))
    return input, [1 - lam]


def mixup(sources, lam):
    return lam * sources[0] + (1 - lam) * sources[1], [1 - lam]


def ricap(sources, beta_x, beta_y, *places):
    I_x, I_y = sources[0].size()[2:]
    w = int(np.round(I_x * beta_x))
    h = int(np.round(I_y * beta_y))
    w_ = [w, I_x - w, w, I_x - w]
    h_ = [h, h, I_y - h, I_y - h]
    cropped_images, W_ = {}, {}
    for k in range(4):
        x_k = int(places[2 * k] * (I_x - w_[k] + 1))
        y_k = int(places[2 * k + 1] * (I_y - h_[k] + 1))
        cropped_images[k] = sources[k][:, :, x_k:x_k + w_[k], y_k:y_k + h_[k]]
        W_[k] = w_[k] * h_[k] / (I_x * I_y)
    patched_images = torch.cat((torch.cat((cropped_images[0], cropped_images[1]), 2),
                                torch.cat((cropped_images[2], cropped_images[3]), 2)), 3)
    return patched_images, [W_[1], W_[2], W_[3]]


def boxes():
    fixed = [(1, 3, 5), (0, 20, 12), (0, 0, 0), (0.5, 39, 23), (0.999, 7, 7), (0.75, 0, 12)]
    return fixed + [(random.uniform(), random.integers(0, COLUMNS), random.integers(0, ROWS)) for _ in range(10)]


def points():
    fixed = [(0, 0), (1, 1), (0, 1), (0.5, 0.5), (0.0125, 0.0625)]  # the last two: halves, which round to even
    drawn = [tuple(random.uniform(size=2)) for _ in range(8)]
    return [(*point, *random.uniform(size=8)) for point in fixed + drawn]


add("cutmix", boxes(), cutmix, 2)
add("mixup", [(v,) for v in (0, 1, 0.5, *random.uniform(size=6))], mixup, 2)
add("ricap", points(), ricap, 4)
for a in (0.3, 1, 4):
    tensors[f"beta.{a:g}"] = scipy.stats.beta.ppf(np.arange(1, 10) / 10, a, a)
save_file(tensors, pathlib.Path(__file__).with_name("mix.safetensors"))
