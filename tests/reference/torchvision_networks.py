"""Makes torchvision_networks.txt: names, types and shapes of torchvision's state dicts, of the networks in pipelines/networks that it has
too: as they are, but for what a CIFAR form changes (a stem of 3x3, one linear layer behind VGG's convolutions).

    pip install torch==2.15.0 torchvision==0.29.2 && python3 tests/reference/torchvision_networks.py
"""
import pathlib

import torch
import torchvision

THEIRS = {"mobilenetv2": "mobilenet_v2", "resnet34": "resnet34", "resnet50": "resnet50", "squeezenet": "squeezenet1_1", "vgg16-bn": "vgg16_bn"}
TYPES = {torch.float32: "F32", torch.int64: "I64"}

lines = []
for ours, theirs in THEIRS.items():
    net = getattr(torchvision.models, theirs)(num_classes=10)
    if "resnet" in ours:
        net.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    if "vgg" in ours:
        net.classifier = torch.nn.Linear(512, 10)
    lines += [f"{ours} {k} {TYPES[t.dtype]}[{','.join(map(str, t.shape))}]" for k, t in net.state_dict().items()]
pathlib.Path(__file__).with_name("torchvision_networks.txt").write_text("\n".join(lines) + "\n")
