"""Makes reconstruct.safetensors: learned rounding (AdaRound) by PyTorch, in double, gradients by autograd.

    pip install torch==2.15.0 numpy==2.4.6 safetensors==0.8.0
    python3 tests/reference/reconstruct.py

w [4,9], some of it beyond the codes; scale [4]; upstream [4,9], the gradient by what the network computes with. For BITS of 2, 3, 4 and 8:
base.BITS I8 [4,9], start.BITS [4,9] the variables at first, v.BITS [4,9] others, soft.BITS [4,9] what the network then computes with,
gradient.BITS [4,9] by v, of sum upstream * soft + 0.3 * sum (1 - |2 h - 1|^3.5), penalty.BITS
the second sum.
A linear layer of 3 bits, x [20,9] -> target [20,4], no bias, learned by 12 steps of Adam at the rate 0.05, all rows in each: the loss is
the mean over rows of the squared distance, the penalty 0.01 from step 4 on with a beta that falls from 20 to 2: steps.loss [12] before
each, steps.v [4,9] at the end.
"""
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

torch.manual_seed(20241201)
torch.set_default_dtype(torch.double)
tensors = {}


def floats(t):
    return t.detach().float().contiguous()


def h_of(v):
    return (1.2 * torch.sigmoid(v) - 0.1).clamp(0, 1)


def begin(w, s, bits):
    top = 2 ** (bits - 1) - 1
    u = w / s[:, None]
    base = u.floor().clamp(-top, top - 1)
    part = (u - base).clamp(0.001, 0.999)
    return base, torch.logit((part + 0.1) / 1.2)


def penalty(v, beta):
    return (1 - (2 * h_of(v) - 1).abs().pow(beta)).sum()


w = torch.randn(4, 9).float().double()
s = torch.tensor([0.21, 0.9, 0.4, 1.3]).float().double()
upstream = torch.randn(4, 9).float().double()
tensors.update({"w": floats(w), "scale": floats(s), "upstream": floats(upstream)})
for bits in (2, 3, 4, 8):
    base, start = begin(w, s, bits)
    v = (start + torch.randn(4, 9)).float().double().requires_grad_()
    soft = s[:, None] * (base + h_of(v))
    (upstream * soft).sum().backward()
    p = penalty(v, 3.5)
    (0.3 * p).backward()
    tensors.update({f"base.{bits}": base.to(torch.int8), f"start.{bits}": floats(start), f"v.{bits}": floats(v),
                    f"soft.{bits}": floats(soft), f"gradient.{bits}": floats(v.grad), f"penalty.{bits}": floats(p)})

x = torch.randn(20, 9).float().double()
target = (x @ w.T + 0.5 * torch.randn(20, 4)).float().double()
tensors.update({"x": floats(x), "target": floats(target)})
base, v = begin(w, s, 3)
v.requires_grad_()
adam = torch.optim.Adam([v], lr=0.05, betas=(0.9, 0.999), eps=1e-8)
losses = []
for step in range(12):
    adam.zero_grad()
    loss = ((x @ (s[:, None] * (base + h_of(v))).T - target) ** 2).sum(1).mean()
    losses.append(loss.item())
    total = loss if step < 3 else loss + 0.01 * penalty(v, 20 - 2 * (step - 3))
    total.backward()
    adam.step()
tensors.update({"steps.loss": torch.from_numpy(np.float32(losses)), "steps.v": floats(v)})
save_file(tensors, pathlib.Path(__file__).with_name("reconstruct.safetensors"))
