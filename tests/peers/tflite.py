"""The network of a model record as a .tflite file, for LiteRT, whose XNNPACK computes it: float, or int8 with our codes.

Input is the normalised image, f32 [N,H,W,3]; output the logits. Int8 is signed there: a code and its zero point are ours less 128, weights
are ours as they are. XNNPACK adds two quantized tensors, so that a convolution's result is quantized before its residual is added, by
scales of the float network's extremes (export.py's `int8_added`). A last layer, whose logits are float, is a float one over
dequantized values. Padding that TensorFlow's SAME (more at the end, if uneven) does not give is a node of its own.
"""
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

# Versions of the operators, int8 ones too where they differ.
VERSIONS = {"ADD": 2, "AVERAGE_POOL_2D": 2, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "DEQUANTIZE": 2, "FULLY_CONNECTED": 1}
VERSIONS |= {"MAX_POOL_2D": 2, "MEAN": 2, "PAD": 2, "QUANTIZE": 2, "RELU": 2, "RELU6": 2, "RESHAPE": 1}
TYPES = {"f": schema.TensorType.FLOAT32, "b": schema.TensorType.INT8, "i": schema.TensorType.INT32}
PER_CHANNEL_LINEAR = 12  # FULLY_CONNECTED's version with a scale a channel


class Builder:
    """Tensors are indices; `how` of an int8 one is (scale, zero point), of a float one None."""

    def __init__(self, model, batch):
        self.model, self.batch = model, batch
        self.tensors, self.operators, self.codes = [], [], []
        self.buffers = [schema.BufferT()]  # the first is empty: of tensors that are computed

    def tensor(self, name, shape, kind, quantization=None, buffer=0):
        t = schema.TensorT()
        t.name, t.shape, t.type, t.buffer, t.quantization = name, [int(d) for d in shape], TYPES[kind], buffer, quantization
        self.tensors.append(t)
        return len(self.tensors) - 1

    def constant(self, name, value, scale=None, axis=0):
        """scale: one for each index of `axis`."""
        value = np.ascontiguousarray(value)
        buffer, q = schema.BufferT(), None
        buffer.data = value.reshape(-1).view(np.uint8)
        self.buffers.append(buffer)
        if scale is not None:
            q = schema.QuantizationParametersT()
            q.scale, q.zeroPoint, q.quantizedDimension = np.asarray(scale, np.float32), np.zeros(len(scale), np.int64), axis
        return self.tensor(name, value.shape, value.dtype.kind if value.dtype != np.int8 else "b", q, len(self.buffers) - 1)

    def value(self, name, shape, how):
        """What an operator computes."""
        if how is None:
            return self.tensor(name, [self.batch, *shape], "f")
        q = schema.QuantizationParametersT()
        q.scale, q.zeroPoint = np.array(how[:1], np.float32), np.array([how[1] - 128], np.int64)
        return self.tensor(name, [self.batch, *shape], "b", q)

    def put(self, op, inputs, output, options=None, version=None, **fields):
        """options: the table's name in the schema; fields: its fields."""
        key = op, version or VERSIONS[op]
        if key not in self.codes:
            self.codes.append(key)
        o = schema.OperatorT()
        o.opcodeIndex, o.inputs, o.outputs = self.codes.index(key), inputs, [output]
        if options:
            o.builtinOptionsType, o.builtinOptions = getattr(schema.BuiltinOptions, options), getattr(schema, options + "T")()
            vars(o.builtinOptions).update(fields)
        self.operators.append(o)
        return output

    def operator_codes(self):
        for op, version in self.codes:
            c = schema.OperatorCodeT()
            c.builtinCode = c.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, op)
            c.version = version
            yield c

    def bytes(self, x, y):
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs, graph.name = self.tensors, self.operators, [x], [y], "resq"
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], self.buffers, list(self.operator_codes())
        b = flatbuffers.Builder(1 << 20)
        b.Finish(model.Pack(b), b"TFL3")
        return bytes(b.Output())


def activation(n):
    """The name that TensorFlow Lite has for a node's last step."""
    if not n.clip:
        return "RELU" if n.relu or n.op == "relu" else "NONE"
    if n.clip == (0, 6):
        return "RELU6"
    raise ValueError(f"{n.name}: no TensorFlow Lite form of clip={n.clip}")


def fused(name):
    return getattr(schema.ActivationFunctionType, name)


class Writer(Builder):
    """Walks the nodes; values and (scale, zero point) by name. Each op is a method: its node, its inputs -> its value."""

    def __init__(self, model, batch, inner):
        super().__init__(model, batch)
        self.inner, self.values, self.shapes = inner, {}, {n.name: n.shape for n in model.nodes}
        self.how = {n.name: (model.scale(n.name), model.zero_point(n.name)) for n in model.nodes if n.name + ".scale" in model.tensors}

    def write(self):
        first = None
        for n in self.model.nodes:
            if n.op == "input":
                continue
            if n.op == "normalize":
                first = self.values[n.name] = self.value("image", n.shape, None)
                continue
            inputs = [self.values[name] for name in (*n.inputs, *([n.residual] if n.residual else []))]
            if not hasattr(self, n.op):
                raise ValueError(f"{n.name}: no TensorFlow Lite form of {n.op}")
            self.values[n.name] = getattr(self, n.op)(n, *inputs)
        return self.bytes(first, self.values[self.model.nodes[-1].name])

    def result(self, n):
        return self.value(n.name, n.shape, self.how.get(n.name))

    def requantized(self, n, source, name, x):
        """x, named `name` and on the scale of the node `source`, on that of n's result."""
        if self.how.get(n.name) == self.how.get(source):
            return x
        shape = self.tensors[x].shape[1:]
        return self.put("QUANTIZE", [x], self.value(f"{n.name}.of.{name}", shape, self.how[n.name]), "QuantizeOptions")

    def quantize(self, n, x):
        return self.put("QUANTIZE", [x], self.result(n), "QuantizeOptions")

    def dequantize(self, n, x):
        return self.put("DEQUANTIZE", [x], self.result(n), "DequantizeOptions")

    def parameters(self, n, weight, axis=0):
        """Weight (codes, or reals) and bias."""
        bias, how = self.model[n.name + ".bias"], self.how.get(n.inputs[0])
        if how is None:
            return [self.constant(n.name + ".weight", weight), self.constant(n.name + ".bias", bias)]
        scale = self.model[n.name + ".weight_scale"]
        return [self.constant(n.name + ".weight", weight, scale, axis), self.constant(n.name + ".bias", bias, np.float32(how[0]) * scale)]

    def padded(self, n, x, window):
        """Input and padding (SAME or VALID) of a window (kernel, stride, pad)."""
        kernel, stride, pad = window
        source = n.inputs[0]
        h, w, c = self.shapes[source]
        if not pad:
            return x, schema.Padding.VALID
        if all(2 * pad == max((-(-d // stride) - 1) * stride + kernel - d, 0) for d in (h, w)):
            return x, schema.Padding.SAME
        pads = self.constant(n.name + ".pads", np.array([[0, 0], [pad, pad], [pad, pad], [0, 0]], np.int32))
        y = self.value(n.name + ".padded", [h + 2 * pad, w + 2 * pad, c], self.how.get(source))
        return self.put("PAD", [x, pads], y, "PadOptions"), schema.Padding.VALID

    def conv2d(self, n, x, residual=None):
        groups, channels, stride = n.integer("groups", 1), self.shapes[n.inputs[0]][-1], n.integer("stride", 1)
        is_depthwise = groups > 1 and groups == channels
        if groups > 1 and not is_depthwise:
            raise ValueError(f"{n.name}: no TensorFlow Lite form of groups={groups}")
        weight = self.model[n.name + ".weight"].transpose((1, 2, 3, 0) if is_depthwise else (0, 2, 3, 1))
        x, padding = self.padded(n, x, (n.integer("kernel"), stride, n.integer("pad")))
        last = activation(n)
        how = {"padding": padding, "strideW": stride, "strideH": stride, "fusedActivationFunction": fused("NONE" if n.residual else last)}
        is_integer = n.name in self.how
        y = self.value(n.name + ".product", n.shape, self.inner[n.name] if is_integer else None) if n.residual else self.result(n)
        if is_depthwise:
            how["depthMultiplier"] = n.shape[-1] // channels
            self.put("DEPTHWISE_CONV_2D", [x, *self.parameters(n, weight, 3)], y, "DepthwiseConv2DOptions", **how)
        else:
            self.put("CONV_2D", [x, *self.parameters(n, weight)], y, "Conv2DOptions", **how)
        if not n.residual:
            return y
        return self.put("ADD", [y, residual], self.result(n), "AddOptions", fusedActivationFunction=fused(last))

    def linear(self, n, x):
        weight, source = self.model[n.name + ".weight"], self.model.by_name[n.inputs[0]]
        if source.op == "flatten":  # ours puts all pixels of a channel together
            h, w, c = self.shapes[source.inputs[0]]
            weight = weight.reshape(-1, c, h, w).transpose(0, 2, 3, 1).reshape(len(weight), -1)
        how, is_integer = {"fusedActivationFunction": fused(activation(n))}, source.name in self.how
        if is_integer and n.name in self.how:
            inputs = [x, *self.parameters(n, weight)]
            return self.put("FULLY_CONNECTED", inputs, self.result(n), "FullyConnectedOptions", PER_CHANNEL_LINEAR, **how)
        bias = self.model[n.name + ".bias"]
        if is_integer:
            x = self.put("DEQUANTIZE", [x], self.value(n.name + ".values", source.shape, None), "DequantizeOptions")
            scale = self.model[n.name + ".weight_scale"]
            weight, bias = weight * scale[:, None], (bias * (np.float32(self.how[source.name][0]) * scale)).astype(np.float32)
        inputs = [x, self.constant(n.name + ".weight", weight), self.constant(n.name + ".bias", bias)]
        return self.put("FULLY_CONNECTED", inputs, self.result(n), "FullyConnectedOptions", **how)

    def relu(self, n, x):
        return self.put(activation(n), [self.requantized(n, n.inputs[0], n.inputs[0], x)], self.result(n))

    clip = relu

    def flatten(self, n, x):
        shape = self.constant(n.name + ".shape", np.array([self.batch, *n.shape], np.int32))
        return self.put("RESHAPE", [x, shape], self.result(n))

    def concat(self, n, *inputs):
        inputs = [self.requantized(n, name, name, x) for name, x in zip(n.inputs, inputs)]
        return self.put("CONCATENATION", inputs, self.result(n), "ConcatenationOptions", axis=3)

    def add(self, n, x, other):
        return self.put("ADD", [x, other], self.result(n), "AddOptions", fusedActivationFunction=fused(activation(n)))

    def pool(self, op, n, x):
        """Its codes are on its input's scale."""
        (kernel, stride, _), source = n.window, n.inputs[0]
        x, padding = self.padded(n, x, n.window)
        how = {"padding": padding, "strideW": stride, "strideH": stride, "filterWidth": kernel, "filterHeight": kernel}
        y = self.put(op, [x], self.value(n.name + ".pool", n.shape, self.how.get(source)), "Pool2DOptions", **how)
        return self.requantized(n, source, n.name + ".pool", y)

    def is_positive(self, name):
        """Whether no value of a node is below 0, so that zeros around it are never a maximum."""
        n = self.model.by_name[name]
        return activation(n) != "NONE" or n.op in ("concat", "maxpool") and all(map(self.is_positive, n.inputs))

    def maxpool(self, n, x):
        if n.window[2] and not self.is_positive(n.inputs[0]):
            raise ValueError(f"{n.name}: no TensorFlow Lite form of pad={n.window[2]} around values below 0")
        return self.pool("MAX_POOL_2D", n, x)

    def avgpool(self, n, x):
        if n.window:
            return self.pool("AVERAGE_POOL_2D", n, x)
        axes = self.constant(n.name + ".axes", np.array([1, 2], np.int32))
        return self.put("MEAN", [x, axes], self.result(n), "ReducerOptions", keepDims=False)
