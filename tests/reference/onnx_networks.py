"""torchvision's makes of networks, small: what onnx_files.py exports beside a ResNet."""
import torch
import torch.nn.functional as F
from torch import nn


def convolution(inputs, outputs, kernel=3, stride=1, groups=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride, ratio):
        super().__init__()
        hidden = inputs * ratio
        self.adds = stride == 1 and inputs == outputs
        expand = [] if ratio == 1 else [convolution(inputs, hidden, 1)]
        self.conv = nn.Sequential(*expand, convolution(hidden, hidden, 3, stride, hidden),
                                  nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(convolution(3, 8, 3, 2), Inverted(8, 4, 1, 1), Inverted(4, 6, 2, 3), Inverted(6, 6, 1, 3), convolution(6, 16, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, 10))

    def forward(self, x):
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(self.features(x), (1, 1)), 1))


class Fire(nn.Module):
    def __init__(self, inputs, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1, self.expand3x3 = nn.Conv2d(squeezed, expanded, 1), nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self):
        super().__init__()
        pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(inplace=True), pool(), Fire(8, 3, 6), Fire(12, 3, 6), pool(), Fire(12, 4, 8))
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(16, 10, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1)))

    def forward(self, x):
        return torch.flatten(self.classifier(self.features(x)), 1)


class VGG(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for inputs, outputs in (3, 4), (4, 6), (6, 6):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2)]
        self.features, self.avgpool = nn.Sequential(*layers), nn.AdaptiveAvgPool2d((4, 4))
        hidden = lambda inputs, outputs: [nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout()]
        self.classifier = nn.Sequential(*hidden(96, 24), *hidden(24, 12), nn.Linear(12, 10))

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 2 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(2 * growth), nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, xs):
        return self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(torch.cat(xs, 1)))))))


class DenseBlock(nn.Module):
    def __init__(self, inputs, layers, growth):
        super().__init__()
        self.layers = nn.ModuleList([DenseLayer(inputs + k * growth, growth) for k in range(layers)])

    def forward(self, x):
        xs = [x]
        for layer in self.layers:
            xs.append(layer(xs))
        return torch.cat(xs, 1)


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.block1, self.block2 = DenseBlock(6, 3, 4), DenseBlock(8, 2, 4)
        self.transition = nn.Sequential(nn.BatchNorm2d(18), nn.ReLU(), nn.Conv2d(18, 8, 1, bias=False), nn.AvgPool2d(2, 2))
        self.norm5, self.classifier = nn.BatchNorm2d(16), nn.Linear(16, 10)

    def forward(self, x):
        x = F.relu(self.norm5(self.block2(self.transition(self.block1(self.conv0(x))))))
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))
