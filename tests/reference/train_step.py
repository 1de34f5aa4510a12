"""Makes train_step_model.safetensors and train_step.safetensors: a narrow ResNet-18 in PyTorch, its logits, and one training step.

    pip install torch==2.15.0 torchvision==0.29.2 safetensors==0.8.0 && python3 tests/reference/train_step.py

The model file is a plain state_dict in float32. Everything else is computed from it in float64 and rounded once: images (u8 NHWC),
logits with running statistics ("logits"), with the batch's ("logits_training"), the gradient of the mean cross-entropy by the
logits ("dlogits") and by every parameter ("gradient.NAME"), and the batch norms' statistics after the step ("after.NAME").
"""
import pathlib

import torch
from safetensors.torch import save_file
from torchvision.models.resnet import BasicBlock

WIDTH, CLASSES, IMAGES = 4, 10, 3


class ResNet18(torch.nn.Module):
    """torchvision's ResNet-18 for 32x32 images: a 3x3 stem, no max-pool."""

    def __init__(self, width, classes):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(width)
        inputs = width
        for i in range(4):
            outputs, stride = width << i, 1 if i == 0 else 2
            down = None
            if stride == 2:
                down = torch.nn.Sequential(
                    torch.nn.Conv2d(inputs, outputs, 1, stride, bias=False), torch.nn.BatchNorm2d(outputs)
                )
            layer = torch.nn.Sequential(BasicBlock(inputs, outputs, stride, down), BasicBlock(outputs, outputs))
            setattr(self, f"layer{i + 1}", layer)
            inputs = outputs
        self.fc = torch.nn.Linear(inputs, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def normalised(images):
    mean = torch.tensor([0.4914, 0.4822, 0.4465]).double()
    std = torch.tensor([0.2470, 0.2435, 0.2616]).double()
    return ((images.double() / 255 - mean) / std).permute(0, 3, 1, 2)


def main():
    torch.manual_seed(20)
    here = pathlib.Path(__file__).parent
    model = ResNet18(WIDTH, CLASSES)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(0.2 * torch.randn_like(p))
    images = torch.randint(0, 256, (16, 32, 32, 3), dtype=torch.uint8)
    model.train()
    for _ in range(4):  # running statistics that are worth testing
        model(normalised(images).float())
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, here / "train_step_model.safetensors")

    images = torch.randint(0, 256, (IMAGES, 32, 32, 3), dtype=torch.uint8)
    labels = torch.tensor([3, 0, 7])
    model.double().eval()
    out = {"images": images, "logits": model(normalised(images))}
    model.train()
    logits = model(normalised(images))
    logits.retain_grad()
    torch.nn.functional.cross_entropy(logits, labels).backward()
    out |= {"logits_training": logits, "dlogits": logits.grad}
    out |= {f"gradient.{name}": p.grad for name, p in model.named_parameters()}
    out |= {f"after.{name}": b for name, b in model.named_buffers()}
    out = {k: v.detach().float() if v.is_floating_point() else v for k, v in out.items()}
    save_file({k: v.contiguous() for k, v in out.items()}, here / "train_step.safetensors")


main()
