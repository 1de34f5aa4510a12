"""Makes sgd.safetensors: torch.optim.SGD and CrossEntropyLoss on small random inputs.

    pip install torch==2.15.0 numpy==2.4.6 safetensors==0.8.0
    python3 tests/reference/sgd.py

sgd.*: six steps of 50 parameters, the first 30 in one group (weights), the rest in another. `start`, `gradients` [6,50] and
`rates` [6] are the inputs; after.CASE [6,50] the parameters after each step, where CASE is nesterov (decay on all),
plain (momentum without look-ahead), some (decay on the first group alone), bias (the second group's rate doubled) and
clipped (as nesterov, gradients clipped by clip_grad_norm_ to a norm of 6.8; norms [6] are those before).
loss.*: logits [17,10], labels; value.E and gradient.E for label smoothing E of 0, 0.1, 0.3.
mixed.*: the same logits, each row with three labels and their shares; value.E and gradient.E for E of 0, 0.1.
"""
import pathlib

import torch
from safetensors.torch import save_file

torch.manual_seed(20240301)
tensors = {}

start = torch.randn(50)
gradients = torch.randn(6, 50)
rates = torch.tensor([0.1, 0.1, 0.05, 0.2, 0.01, 0.003], dtype=torch.float64)
tensors.update({"sgd.start": start, "sgd.gradients": gradients, "sgd.rates": rates})

CASES = {  # nesterov, decay of the first and of the second group, rate of the second as a multiple
    "nesterov": (True, 5e-2, 5e-2, 1),
    "plain": (False, 5e-2, 5e-2, 1),
    "some": (True, 5e-2, 0, 1),
    "bias": (True, 5e-2, 5e-2, 2),
}
for name, (nesterov, decay0, decay1, multiple) in CASES.items():
    groups = [torch.nn.Parameter(start[:30].clone()), torch.nn.Parameter(start[30:].clone())]
    optimizer = torch.optim.SGD(
        [{"params": groups[0], "weight_decay": decay0}, {"params": groups[1], "weight_decay": decay1}],
        lr=0.1, momentum=0.9, nesterov=nesterov)
    after = []
    for step in range(6):
        for k, group in enumerate(optimizer.param_groups):
            group["lr"] = rates[step].item() * (multiple if k else 1)
        groups[0].grad = gradients[step, :30].clone()
        groups[1].grad = gradients[step, 30:].clone()
        optimizer.step()
        after.append(torch.cat([g.detach().clone() for g in groups]))
    tensors["sgd.after." + name] = torch.stack(after)

# The same with gradients clipped to a norm that some of the six have.
CLIP = 6.8
groups = [torch.nn.Parameter(start[:30].clone()), torch.nn.Parameter(start[30:].clone())]
optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-2)
norms, after = [], []
for step in range(6):
    optimizer.param_groups[0]["lr"] = rates[step].item()
    groups[0].grad = gradients[step, :30].clone()
    groups[1].grad = gradients[step, 30:].clone()
    norms.append(torch.nn.utils.clip_grad_norm_(groups, CLIP))
    optimizer.step()
    after.append(torch.cat([g.detach().clone() for g in groups]))
tensors.update({"sgd.after.clipped": torch.stack(after), "sgd.norms": torch.stack(norms).double()})

logits = 3 * torch.randn(17, 10)
logits[3] += 500
logits[4] -= 500
labels = torch.randint(0, 10, (17,))
tensors.update({"loss.logits": logits, "loss.labels": labels.to(torch.uint8)})
for smoothing in (0.0, 0.1, 0.3):
    x = logits.double().requires_grad_()
    loss = torch.nn.functional.cross_entropy(x, labels, label_smoothing=smoothing)
    loss.backward()
    tensors[f"loss.value.{smoothing:g}"] = loss.detach().reshape(())
    tensors[f"loss.gradient.{smoothing:g}"] = x.grad

# What rows are to say as mixtures of three labels, some of them the same, some without a share: mixed.labels [17,3],
# mixed.share [17,2] of the second and third, the first has the rest; torch's cross entropy of class probabilities.
generator = torch.Generator().manual_seed(7)
mixed_labels = torch.randint(0, 10, (17, 3), generator=generator)
mixed_share = torch.rand(17, 2, generator=generator) / 2
mixed_share[0], mixed_share[1] = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0])
mixed_labels[2] = 4
tensors.update({"mixed.labels": mixed_labels.to(torch.uint8), "mixed.share": mixed_share})
shares = torch.cat([1 - mixed_share.double().sum(1, keepdim=True), mixed_share.double()], 1)
wanted = torch.zeros(17, 10, dtype=torch.float64).scatter_add_(1, mixed_labels, shares)
for smoothing in (0.0, 0.1):
    x = logits.double().requires_grad_()
    loss = torch.nn.functional.cross_entropy(x, wanted, label_smoothing=smoothing)
    loss.backward()
    tensors[f"mixed.value.{smoothing:g}"] = loss.detach().reshape(())
    tensors[f"mixed.gradient.{smoothing:g}"] = x.grad

save_file(tensors, pathlib.Path(__file__).with_suffix(".safetensors"))
