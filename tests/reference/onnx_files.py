"""Makes onnx/*.onnx, small networks as exporters write them, and onnx_files.safetensors: the logits that ONNX Runtime computes of each
for onnx_files.batches (6 test images, by cifar-load --split test -n 6), float and int8 alike.

    pip install torch==2.15.0 onnx==1.23.2 onnxruntime==1.32.0 onnxscript==0.7.2 safetensors==0.8.0 numpy==2.4.6
    python3 tests/reference/onnx_files.py

`torchscript_*` and `dynamo_*` are PyTorch's two exporters; `tf2onnx` has what tf2onnx makes of a Keras network: channels last at
the input, a rescaling in front, a mean by ReduceMean, MatMul and Add, a Softmax (which is left out of the logits here).
`mobile`, `squeeze`, `vgg` and `dense` are small networks of torchvision's makes (onnx_networks.py), by the one exporter and the other.
`qdq` is what ONNX Runtime's own quantizer makes of `torchscript_folded` in the form whose arithmetic is resq's: symmetric weights,
one scale a channel, quantized activations.
"""
import json
import pathlib
import struct
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx_networks import DenseNet, MobileNetV2, SqueezeNet, VGG
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "onnx"
MEAN, STD = np.float32([0.4914, 0.4822, 0.4465]), np.float32([0.2470, 0.2435, 0.2616])


def images():
    raw = (HERE / "onnx_files.batches").read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    begin, end = json.loads(raw[8:8 + size])["images"]["data_offsets"]
    return np.frombuffer(raw[8 + size + begin:8 + size + end], np.uint8).reshape(-1, 32, 32, 3)


class Block(torch.nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(out)
        self.conv2 = torch.nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(out)
        self.downsample = None
        if stride > 1:
            self.downsample = torch.nn.Sequential(torch.nn.Conv2d(channels, out, 1, stride, bias=False), torch.nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class Network(torch.nn.Module):
    def __init__(self, view=False, normalizes=False):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 4, 3, 2, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(4)
        self.layer1 = torch.nn.Sequential(Block(4, 4, 1), Block(4, 6, 2))
        self.avgpool = torch.nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = torch.nn.Dropout(0.1)
        self.fc = torch.nn.Linear(6, 10)
        self.view, self.normalizes = view, normalizes
        self.register_buffer("mean", torch.from_numpy(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.from_numpy(STD).view(1, 3, 1, 1))

    def forward(self, x):
        x = (x - self.mean) / self.std if self.normalizes else x
        x = self.avgpool(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(self.dropout(x.view(x.size(0), -1) if self.view else torch.flatten(x, 1)))


def network(kind=Network, **options):
    torch.manual_seed(3)
    n = kind(**options)
    for module in n.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for p, low, high in (module.weight, 0.5, 1.5), (module.bias, -0.3, 0.3), (module.running_mean, -0.3, 0.3), (module.running_var, 0.5, 1.5):
                torch.nn.init.uniform_(p, low, high)
    return n.eval()


def export_torch():
    x = torch.zeros(1, 3, 32, 32)
    names = {"input_names": ["images"], "output_names": ["scores"]}
    script = {"dynamo": False, "dynamic_axes": {"images": {0: "n"}}, **names}
    plain = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.EVAL}
    torch.onnx.export(network(), x, FOLDER / "torchscript_folded.onnx", opset_version=17, **script)
    torch.onnx.export(network(view=True), x, FOLDER / "torchscript_opset9.onnx", opset_version=9, keep_initializers_as_inputs=True, **script, **plain)
    torch.onnx.export(network(normalizes=True), x, FOLDER / "torchscript_normalizes.onnx", opset_version=13, **script, **plain)
    torch.onnx.export(network(view=True), (x,), FOLDER / "dynamo.onnx", dynamo=True, **names)
    torch.onnx.export(network(view=True), (x.repeat(2, 1, 1, 1),), FOLDER / "dynamo_plain.onnx", dynamo=True, optimize=False, external_data=False,
                      dynamic_shapes={"x": {0: torch.export.Dim("n")}}, **names)
    later = {"dynamo": True, "external_data": False, "dynamic_shapes": {"x": {0: torch.export.Dim("n")}}, **names}
    torch.onnx.export(network(MobileNetV2), (x.repeat(2, 1, 1, 1),), FOLDER / "mobile.onnx", **later)
    torch.onnx.export(network(SqueezeNet), x, FOLDER / "squeeze.onnx", opset_version=17, **script)
    torch.onnx.export(network(VGG), (x.repeat(2, 1, 1, 1),), FOLDER / "vgg.onnx", **later)
    torch.onnx.export(network(DenseNet), x, FOLDER / "dense.onnx", opset_version=17, **script, **plain)
    for path in [*FOLDER.glob("dynamo*.onnx"), FOLDER / "mobile.onnx", FOLDER / "vgg.onnx"]:  # a stack trace a node, with paths of this machine
        m = onnx.load(path, load_external_data=False)
        for node in m.graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
        for v in [*m.graph.input, *m.graph.output, *m.graph.value_info, *m.graph.initializer]:
            del v.metadata_props[:]
        del m.graph.metadata_props[:]
        onnx.save(m, path)


def export_tf2onnx():
    draw = np.random.default_rng(4)
    constants, nodes = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name="model/" + output, **attributes))
        return output

    normal = lambda *shape: draw.normal(0, 0.3, shape).astype(np.float32)
    x = add("Cast", ["input_1"], "cast", to=TensorProto.FLOAT)
    x = add("Mul", [x, constant("rescale", np.float32(1 / 255))], "rescaled")
    x = add("Sub", [x, constant("means", MEAN.reshape(1, 1, 1, 3))], "centred")
    x = add("Transpose", [x], "planes", perm=[0, 3, 1, 2])
    x = add("Conv", [x, constant("kernel1", normal(4, 3, 3, 3)), constant("bias1", normal(4))], "conv2d/BiasAdd", auto_pad="SAME_UPPER", kernel_shape=[3, 3])
    x = add("BatchNormalization", [x, constant("gamma", abs(normal(4)) + 1), constant("beta", normal(4)), constant("moving_mean", normal(4)),
                                   constant("moving_variance", abs(normal(4)) + 1)], "batch_normalization/FusedBatchNormV3", epsilon=0.001)
    y = add("Relu", [x], "activation/Relu")
    x = add("Conv", [y, constant("kernel2", normal(4, 4, 3, 3))], "conv2d_1/Conv2D", auto_pad="SAME_UPPER", kernel_shape=[3, 3], strides=[1, 1])
    x = add("Add", [x, constant("bias2", normal(1, 4, 1, 1))], "conv2d_1/BiasAdd")
    x = add("Add", [x, y], "add")
    x = add("Clip", [x, constant("zero", np.float32(0)), ""], "relu_1")
    x = add("Transpose", [x], "last", perm=[0, 2, 3, 1])
    x = add("ReduceMean", [x], "global_average_pooling2d/Mean", axes=[1, 2], keepdims=0)
    x = add("MatMul", [x, constant("kernel3", normal(4, 10))], "dense/MatMul")
    x = add("Add", [x, constant("bias3", normal(10))], "dense/BiasAdd")
    add("Softmax", [x], "probabilities", axis=1)
    graph = helper.make_graph(nodes, "tf2onnx", [helper.make_tensor_value_info("input_1", TensorProto.UINT8, ["unk", 32, 32, 3])],
                              [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["unk", 10])], constants)
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="tf2onnx", ir_version=7)
    onnx.checker.check_model(m, full_check=True)
    onnx.save(m, FOLDER / "tf2onnx.onnx")


class Reader(CalibrationDataReader):
    def __init__(self, batch):
        self.batches = iter([{"images": batch}])

    def get_next(self):
        return next(self.batches, None)


def export_qdq(batch):
    for name, to in ("torchscript_folded", "qdq"), ("mobile", "mobile_qdq"), ("squeeze", "squeeze_qdq"):
        quantize_static(FOLDER / f"{name}.onnx", FOLDER / f"{to}.onnx", Reader(batch), quant_format=QuantFormat.QDQ, per_channel=True,
                        reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)


def normalized(pixels):
    return np.ascontiguousarray(((pixels.astype(np.float32) / np.float32(255) - MEAN) / STD).transpose(0, 3, 1, 2))


def run(name, x, output=None):
    m = onnx.load(FOLDER / f"{name}.onnx")
    if output:
        del m.graph.output[:]
        m.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = session.get_inputs()[0].shape[0]
    step = rows if isinstance(rows, int) else len(x)
    return np.concatenate([session.run(None, {session.get_inputs()[0].name: x[i:i + step]})[0] for i in range(0, len(x), step)])


def main():
    warnings.simplefilter("ignore")
    FOLDER.mkdir(exist_ok=True)
    pixels = images()
    x, shares = normalized(pixels), np.ascontiguousarray((pixels / np.float32(255)).astype(np.float32).transpose(0, 3, 1, 2))
    export_torch()
    export_tf2onnx()
    export_qdq(x)
    same = "torchscript_folded", "torchscript_opset9", "dynamo", "dynamo_plain", "qdq", "mobile", "squeeze", "vgg", "dense", "mobile_qdq", "squeeze_qdq"
    logits = {name: run(name, x) for name in same}
    logits["torchscript_normalizes"] = run("torchscript_normalizes", shares)
    logits["tf2onnx"] = run("tf2onnx", pixels, "dense/BiasAdd")
    save_file(logits, HERE / "onnx_files.safetensors")


if __name__ == "__main__":
    main()
