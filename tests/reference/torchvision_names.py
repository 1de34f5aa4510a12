"""Makes torchvision_names.txt: names, types and shapes of torchvision's ResNet-18 in its CIFAR form (3x3 stem), in state_dict order.

    pip install torch==2.15.0 torchvision==0.29.2 && python3 tests/reference/torchvision_names.py
"""
import pathlib

import torch
import torchvision

net = torchvision.models.resnet18(num_classes=10)
net.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
names = {torch.float32: "F32", torch.int64: "I64"}
lines = [f"{k} {names[t.dtype]}[{','.join(map(str, t.shape))}]" for k, t in net.state_dict().items()]
pathlib.Path(__file__).with_name("torchvision_names.txt").write_text("\n".join(lines) + "\n")
print(len(lines), "tensors,", sum(p.numel() for p in net.parameters()), "parameters")
