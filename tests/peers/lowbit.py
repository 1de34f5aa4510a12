"""What few bits cost in Brevitas: the same float network, the same images to calibrate on and to measure on as `make lowbit`.

    lowbit.py --model FUSED --calibrate BATCHES --test BATCHES [--threads N] -o TABLE CONFIGURATION..

A configuration is GRANULARITY_WEIGHT-BITS_ACTIVATION-BITS, as there. Image, first and last layer keep 8 bits, and what the last one
reads. Weights are symmetric, by searched scales of least squared error, a channel or a tensor; activations have one scale a tensor
by the same rule, unsigned behind a ReLU, else with a zero point. `mse` is that; `bias` with its bias correction; `gptq` with codes by GPTQ, in the
order of its Hessian. Accuracies are of its arithmetic in floats.
"""
import argparse
import sys
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")

import brevitas.nn as qnn
from brevitas import __version__
from brevitas.graph.calibrate import bias_correction_mode, calibration_mode
from brevitas.graph.gptq import gptq_mode
from brevitas.quant.scaled_int import Int8WeightPerChannelFloatMSE, Int8WeightPerTensorFloatMSE, Uint8ActPerTensorFloatMSE
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloatMSE

import network
import record
import turns

BATCH = 100
METHODS = "mse", "bias", "gptq"
PASSED_ON = "maxpool", "flatten"  # ops whose codes are their input's
COLUMNS = "granularity weight_bits activation_bits method accuracy".split()


def geometry(n):
    stride, pad, _, groups = network.geometry(n)
    return {"kernel_size": n.integer("kernel", 1), "stride": stride, "padding": pad, "groups": groups}


class BrevitasNetwork(network.Network):
    def __init__(self, model, granularity, weight_bits, activation_bits):
        super().__init__(model)
        self.weight_quant = Int8WeightPerTensorFloatMSE if granularity == "tensor" else Int8WeightPerChannelFloatMSE
        layers = [n for n in self.nodes if n.op in ("conv2d", "linear")]
        last = layers[-1]
        self.image = self.activation(False, 8)
        self.modules_of, self.codes_of = torch.nn.ModuleDict(), torch.nn.ModuleDict()
        whole = self.behind(model, last.inputs[0])
        for n in self.nodes:
            key = n.name.replace(".", "_")
            if n in layers:
                self.modules_of[key] = self.layer(model, n, 8 if n in (layers[0], last) else weight_bits)
            if n is not last and n.op not in PASSED_ON:
                self.codes_of[key] = self.activation(n.relu, 8 if n.name == whole else activation_bits)

    def behind(self, model, name):
        """Whose codes `name` passes on, or its own."""
        while model.by_name[name].op in PASSED_ON:
            name = model.by_name[name].inputs[0]
        return name

    def activation(self, is_unsigned, bits):
        quantizer = Uint8ActPerTensorFloatMSE if is_unsigned else ShiftedUint8ActPerTensorFloatMSE
        return qnn.QuantIdentity(act_quant=quantizer, bit_width=bits, return_quant_tensor=False)

    def layer(self, model, n, bits):
        weight = model[n.name + ".weight"]
        how = {"bias": True, "weight_quant": self.weight_quant, "weight_bit_width": bits}
        if n.op == "linear":
            layer = qnn.QuantLinear(weight.shape[1], weight.shape[0], **how)
        else:
            shape = geometry(n)
            layer = qnn.QuantConv2d(weight.shape[1] * shape["groups"], weight.shape[0], **shape, **how)
        layer.weight.data = network.tensor(weight)
        layer.bias.data = network.tensor(model[n.name + ".bias"])
        return layer

    def enter(self, x):
        return self.image(x)

    def leave(self, n, y):
        key = n.name.replace(".", "_")
        return self.codes_of[key](y) if key in self.codes_of else y

    def conv2d(self, n, x, *residual):
        return network.activation(n, sum(residual, self.modules_of[n.name.replace(".", "_")](x)))

    linear = conv2d


def groups(images):
    return [images[begin : begin + BATCH] for begin in range(0, len(images), BATCH)]


@torch.no_grad()
def quantized(model, configuration, method, images):
    granularity, weight_bits, activation_bits = configuration.split("_")
    net = BrevitasNetwork(model, granularity, int(weight_bits), int(activation_bits)).eval()
    with calibration_mode(net):
        for x in groups(images):
            net(x)
    net(images[:1])  # finds the weights' scales
    if method == "gptq":
        with gptq_mode(net, use_quant_activations=True, act_order=True) as gptq:
            for _ in range(gptq.num_layers):
                for x in groups(images):
                    gptq.model(x)
                gptq.update()
    if method == "bias":
        with bias_correction_mode(net):
            for x in groups(images):
                net(x)
    return net


@torch.no_grad()
def accuracy(net, images, labels):
    right = sum(int((net(x).argmax(1) == y).sum()) for x, y in zip(groups(images), groups(labels)))
    return 100 * right / len(labels)


def options():
    p = argparse.ArgumentParser()
    for name in "--model", "--calibrate", "--test":
        p.add_argument(name, required=True)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("-o", "--output", required=True)
    p.add_argument("configurations", nargs="+")
    return p.parse_args()


def rows(o, model, images):
    u8, labels = record.image_set(o.test)
    tested, labels = torch.from_numpy(model.normalize(u8)), torch.from_numpy(labels.astype(np.int64))
    for configuration in o.configurations:
        for method in METHODS:
            turns.say(f"peers: Brevitas, {configuration}, {method}")
            value = accuracy(quantized(model, configuration, method, images), tested, labels)
            yield dict(zip(COLUMNS, [*configuration.split("_"), method, "%.2f" % value]))


def main():
    o = options()
    torch.set_num_threads(o.threads)
    model = record.Model(o.model)
    images = torch.from_numpy(model.normalize(record.image_set(o.calibrate)[0]))
    notes = turns.common_notes("tests/peers/lowbit.py")
    notes |= {"brevitas": f"{__version__}, PyTorch {torch.__version__}", "calibrated on": f"{len(images)} images"}
    turns.write_table(o.output, notes, COLUMNS, rows(o, model, images))


if __name__ == "__main__":
    try:
        main()
    except turns.Failure as failure:
        sys.exit(f"peers: {failure}")
