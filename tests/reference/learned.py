"""Makes learned.safetensors: gradients of weights whose scales are learned, and of a loss mixed with a teacher's, by PyTorch.

    pip install torch==2.15.0 numpy==2.4.6 safetensors==0.8.0
    python3 tests/reference/learned.py

weights.*: w [6,90], scale [6], upstream [6,90] (the gradient by what the codes stand for). For BITS of 2, 3, 4 and 8, straight through,
from PyTorch's own learnable fake quantization: lsq.BITS [6,90] the gradient by w, lsq_scale.BITS [6] by the scale, times
1 / sqrt(90 * qmax). ewgs.BITS, ewgs_scale.BITS: with element-wise gradient scaling of delta 0.3, by autograd through a rounding
whose backward is scaled.
distill.*: logits, teacher [13,10], labels; value.S_T and gradient.S_T for share S and temperature T, of cross-entropy and kl_div.
"""
import pathlib

import torch
from safetensors.torch import save_file

torch.manual_seed(20241119)
tensors = {}

w = torch.randn(6, 90)
upstream = torch.randn(6, 90)
scale = torch.tensor([0.3, 0.9, 1.4, 0.05, 0.011, 0.5])
tensors.update({"weights.w": w, "weights.scale": scale, "weights.upstream": upstream})


class Codes(torch.autograd.Function):
    """clamp(rint(v)), passed on where the rounded code is one, scaled by 1 + delta * sign(g) * (v - q)."""

    @staticmethod
    def forward(ctx, v, top, delta):
        r = torch.round(v)
        q = r.clamp(-top, top)
        ctx.save_for_backward(v, q, r == q)
        ctx.delta = delta
        return q

    @staticmethod
    def backward(ctx, g):
        v, q, inside = ctx.saved_tensors
        return torch.where(inside, g * (1 + ctx.delta * torch.sign(g) * (v - q)), torch.zeros_like(g)), None, None


for bits in (2, 3, 4, 8):
    top = 2 ** (bits - 1) - 1
    x, s = w.clone().requires_grad_(), scale.clone().requires_grad_()
    y = torch._fake_quantize_learnable_per_channel_affine(x, s, torch.zeros(6), 0, -top, top, 1 / (90 * top) ** 0.5)
    y.backward(upstream)
    tensors[f"lsq.{bits}"] = x.grad
    tensors[f"lsq_scale.{bits}"] = s.grad
    x, s = w.double().requires_grad_(), scale.double().requires_grad_()
    (s[:, None] * Codes.apply(x / s[:, None], top, 0.3)).backward(upstream.double())
    tensors[f"ewgs.{bits}"] = x.grad.float()
    tensors[f"ewgs_scale.{bits}"] = (s.grad / (90 * top) ** 0.5).float()

logits, teacher = 3 * torch.randn(13, 10), 4 * torch.randn(13, 10)
logits[2] += 300
teacher[5] -= 300
labels = torch.randint(0, 10, (13,))
tensors.update({"distill.logits": logits, "distill.teacher": teacher, "distill.labels": labels.to(torch.uint8)})
for share, t in ((0.5, 4), (0.3, 1), (1, 2.5), (0, 3)):
    x = logits.double().requires_grad_()
    soft = torch.nn.functional.kl_div(
        torch.log_softmax(x / t, 1), torch.softmax(teacher.double() / t, 1), reduction="batchmean")
    loss = (1 - share) * torch.nn.functional.cross_entropy(x, labels, label_smoothing=0.1) + share * t * t * soft
    loss.backward()
    tensors[f"distill.value.{share:g}_{t:g}"] = loss.detach().reshape(())
    tensors[f"distill.gradient.{share:g}_{t:g}"] = x.grad

save_file(tensors, pathlib.Path(__file__).with_suffix(".safetensors"))
