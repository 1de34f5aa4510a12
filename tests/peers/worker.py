"""One program of the comparison in one process, with its models loaded, that times calls when it is asked to.

    worker.py PROGRAM FLOAT-MODEL INT8-MODEL IMAGES THREADS WORK-FOLDER

Requests come as lines on standard input, answers go as lines to standard output:

    about                                             about VERSION DETAIL
    forms PRECISION                                   forms FORM..        ways in which this program can do it
    time PRECISION BATCH FORM WARM SECONDS LEAST      times T..           seconds a call: after a warm-up of WARM
                                                                          seconds (a call at least), calls for SECONDS,
                                                                          LEAST at least
    logits PRECISION BATCH FORM FILE [IMAGES]         ok                  f32 [N,K] of all images, or of those of another
                                                                          file

or `error TEXT`. PRECISION: float, int8, or bf16 (the float model in bfloat16). The clock runs from a
normalised image in the program's favourite layout to the logits.
"""
import importlib.metadata
import os
import sys
import time

import numpy as np

import record


class Case:
    """run() computes the logits of the batch that `put` was given last; it is all that the clock sees."""

    def __init__(self, put, run):
        self.put, self.run = put, run


class OnnxRuntime:
    def __init__(self, threads, work):
        import onnxruntime

        self.ort, self.threads, self.work = onnxruntime, threads, work

    def about(self):
        return self.ort.__version__, "-"

    def forms(self, precision):
        # QDQ pairs as our arithmetic has them, or with one more before each residual, which more of its operators take.
        return {"float": ["float"], "int8": ["int8", "int8_added"]}.get(precision, [])

    def open(self, precision, batch, form, x):
        o = self.ort.SessionOptions()
        o.intra_op_num_threads, o.inter_op_num_threads = self.threads, 1
        o.add_free_dimension_override_by_name("N", batch)
        # Threads spin within a call, which is fastest, and stop at its end.
        o.add_session_config_entry("session.force_spinning_stop", "1")
        session = self.ort.InferenceSession(f"{self.work}/{form}.onnx", o, providers=["CPUExecutionProvider"])
        value = self.ort.OrtValue.ortvalue_from_numpy(x)
        binding = session.io_binding()
        binding.bind_ortvalue_input("image", value)
        binding.bind_output("logits")

        def put(images):
            nonlocal value
            value = self.ort.OrtValue.ortvalue_from_numpy(images)
            binding.bind_ortvalue_input("image", value)

        def run():
            session.run_with_iobinding(binding)
            return binding.get_outputs()[0]

        return Case(put, run), lambda y: y.numpy().copy()


class OpenVino:
    def __init__(self, threads, work):
        import openvino

        self.ov, self.threads, self.work = openvino, threads, work
        self.core = openvino.Core()

    def about(self):
        return self.ov.__version__.split("-")[0], self.default_precision()

    def compile(self, form, batch, hints):
        model = self.core.read_model(f"{self.work}/{form}.onnx")
        model.reshape([batch, *[d.get_length() for d in list(model.input().partial_shape)[1:]]])
        how = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": 1}
        return self.core.compile_model(model, "CPU", how | hints)

    def default_precision(self):
        """What it takes for float models by itself: f32, or bf16 where the machine is faster with it."""
        got = self.compile("float", 1, {}).get_property("INFERENCE_PRECISION_HINT")
        return {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}.get(got.to_string(), got.to_string())

    def forms(self, precision):
        if precision == "float":
            return ["f32"]
        if precision == "bf16":
            return ["bf16"]
        # What is not int8 may be float or the machine's default.
        return ["int8+f32", "int8", "int8_added"]

    def open(self, precision, batch, form, x):
        hints = {"INFERENCE_PRECISION_HINT": form[-3:] if form.endswith("f32") else "bf16"} if form.endswith(("f32", "bf16")) else {}
        file = "float" if precision != "int8" else form.split("+")[0]
        request = self.compile(file, batch, hints).create_infer_request()

        def put(images):
            request.set_input_tensor(self.ov.Tensor(images, shared_memory=True))
            put.kept = images  # the request reads it where it lies

        def run():
            request.infer()
            return request

        put(x)
        return Case(put, run), lambda r: np.array(r.get_output_tensor().data)


class Xnnpack:
    """XNNPACK as LiteRT ships it: an interpreter that leaves the whole network to it."""

    def __init__(self, threads, work):
        import ai_edge_litert.interpreter
        import tflite

        self.interpreter, self.tflite, self.threads, self.work = ai_edge_litert.interpreter, tflite, threads, work

    def about(self):
        return "litert-" + importlib.metadata.version("ai-edge-litert"), "-"

    def forms(self, precision):
        return {"float": ["float"], "int8": ["int8_added"]}.get(precision, [])

    def open(self, precision, batch, form, x):
        file = self.tflite.Writer(self.models[precision], batch, record.inner_scales(self.work)).write()
        net = self.interpreter.Interpreter(model_content=file, num_threads=self.threads)
        net.allocate_tensors()
        if not any(node["op_name"] == "DELEGATE" for node in net._get_ops_details()):
            raise RuntimeError("XNNPACK takes no part of the network")
        (image,), (logits,) = ([d["index"] for d in details] for details in (net.get_input_details(), net.get_output_details()))

        def put(images):
            net.set_tensor(image, np.ascontiguousarray(images.transpose(0, 2, 3, 1)))

        def run():
            net.invoke()
            return net

        put(x)
        return Case(put, run), lambda n: n.get_tensor(logits)


class Torch:
    def __init__(self, threads, work):
        import network
        import torch

        self.torch, self.network, self.work = torch, network, work
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)

    def about(self):
        return self.torch.__version__.split("+")[0], "-"

    def forms(self, precision):
        engines = [e for e in ("onednn", "x86") if e in self.torch.backends.quantized.supported_engines]
        return {"float": ["compiled", "eager"], "bf16": ["compiled", "eager"], "int8": ["compiled", *engines]}.get(precision, [])

    def open(self, precision, batch, form, x):
        torch, engine = self.torch, None
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        if precision != "int8":
            net = self.network.FloatNetwork(self.models["float"]).to(kind)
        elif form == "compiled":
            # Registers the patterns by which Inductor knows int8 convolutions between pairs; PyTorch itself no longer has them.
            import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer  # noqa: F401

            net = self.network.PairsNetwork(self.models["int8"])
        else:
            engine = torch.backends.quantized.engine = form
            net = self.network.IntegerNetwork(self.models["int8"], record.inner_scales(self.work), form == "onednn")
        net = net.eval().to(memory_format=torch.channels_last)
        tensor = torch.from_numpy(x).to(kind).contiguous(memory_format=torch.channels_last)
        if form == "compiled":
            torch._inductor.config.freezing = True
            torch._inductor.config.cpp_wrapper = True
            net = torch.compile(net, dynamic=False)

        def put(images):
            if engine:
                torch.backends.quantized.engine = engine
            tensor.copy_(torch.from_numpy(images))

        def run():
            with torch.inference_mode():
                return net(tensor)

        return Case(put, run), lambda y: y.float().numpy().copy()


class TorchTraining:
    """A call is a step on the same images: forward, backward, SGD with Nesterov momentum. fp32 is strict; bf16 is autocast;
    qat-fp32 and qat-bf16 are quantization-aware training of a fused network."""

    def __init__(self, threads, work):
        import network
        import resnet
        import torch

        self.torch, self.network, self.resnet = torch, network, resnet
        torch.set_num_threads(threads)

    def about(self):
        return self.torch.__version__.split("+")[0], "-"

    def forms(self, precision):
        return ["compiled", "eager"] if precision.removeprefix("qat-") in ("fp32", "bf16") else []

    def open(self, precision, batch, form, x):
        torch = self.torch
        torch.manual_seed(1)
        model = self.models["float"]
        is_named = model.stage == "float"  # as it stands before `fuse`: with batch norms to train
        if precision.startswith("qat-"):
            net = self.network.FakeQuantizedNetwork(model, self.models["int8"])
        else:
            net = self.network.TrainedNetwork(model) if is_named else self.resnet.ResNet18(model.width, 10)
        net = net.to(memory_format=torch.channels_last)
        images = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
        labels = torch.arange(batch) % 10
        optimizer = torch.optim.SGD(
            net.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005, nesterov=True, foreach=form == "eager", fused=form != "eager"
        )

        def loss():
            with torch.autocast("cpu", torch.bfloat16, enabled=precision.endswith("bf16")):
                return torch.nn.functional.cross_entropy(net(images).float(), labels)

        if form == "compiled":
            loss = torch.compile(loss, dynamic=False)

        def run():
            optimizer.zero_grad(set_to_none=True)
            value = loss()
            value.backward()
            optimizer.step()
            return value

        return Case(lambda images: None, run), None


PROGRAMS = {"onnxruntime": OnnxRuntime, "openvino": OpenVino, "torch": Torch, "xnnpack": Xnnpack, "torch-training": TorchTraining}


class Worker:
    def __init__(self, program, float_path, int8_path, images, threads, work):
        self.program = PROGRAMS[program](int(threads), work)
        self.models = self.program.models = {"float": record.Model(float_path), "int8": record.Model(int8_path)}
        self.images = record.image_set(images)[0]
        self.x = self.models["float"].normalize(self.images)
        self.cases = {}

    def case(self, precision, batch, form):
        key = precision, int(batch), form
        if key not in self.cases:
            self.cases[key] = self.program.open(*key, self.x[: key[1]].copy())
        return self.cases[key]

    def time(self, precision, batch, form, warm, seconds, least):
        case, clock = self.case(precision, batch, form)[0], time.perf_counter
        case.put(self.x[: int(batch)].copy())
        run = case.run
        end = clock() + float(warm)
        while True:
            run()
            if clock() >= end:
                break
        times, end = [], clock() + float(seconds)
        while len(times) < int(least) or clock() < end:
            start = clock()
            run()
            times.append(clock() - start)
        return "times " + " ".join("%.9f" % t for t in times)

    def logits(self, precision, batch, form, path, images=None):
        case, fetch = self.case(precision, batch, form)
        u8 = record.image_set(images)[0] if images else self.images
        batch, n = int(batch), len(u8)
        parts = []
        for begin in range(0, n, batch):
            begin = min(begin, n - batch)
            case.put(self.models["float"].normalize(u8[begin : begin + batch]))
            parts.append((begin, fetch(case.run())))
        logits = np.zeros((n, parts[0][1].shape[1]), np.float32)
        for begin, part in parts:
            logits[begin : begin + batch] = part
        logits.tofile(path)
        return "ok"

    def forms(self, precision):
        return "forms " + " ".join(self.program.forms(precision))

    def about(self):
        return "about " + " ".join(self.program.about())


def main():
    # Answers alone go to standard output; whatever the libraries say goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(*sys.argv[1:])
    for line in sys.stdin:
        request, *arguments = line.split()
        try:
            answer = getattr(worker, request)(*arguments)
        except Exception as e:  # told to the driver, who decides
            answer = "error %s: %s" % (type(e).__name__, " ".join(str(e).split())[:300])
        answers.write(answer + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
