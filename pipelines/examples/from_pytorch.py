"""The Python parts of from-pytorch.sh.

    from_pytorch.py make FOLDER            a ResNet-18 in PyTorch: FOLDER/net.onnx (or of TORCH_WEIGHTS, a state_dict .pth)
    from_pytorch.py images BATCHES RAW     the pictures of a file of batches as raw bytes
    from_pytorch.py agree FOLDER BATCHES   who gives the same classes
"""
import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "tests" / "peers"))
import record

MEAN, STD = np.float32([0.4914, 0.4822, 0.4465]), np.float32([0.2470, 0.2435, 0.2616])


def network():
    import torch
    from resnet import ResNet18

    torch.manual_seed(1)
    weights = os.environ.get("TORCH_WEIGHTS")
    state = torch.load(weights, map_location="cpu") if weights else None
    net = ResNet18(state["conv1.weight"].shape[0], state["fc.weight"].shape[0]) if state else ResNet18(16, 10)
    if state:
        net.load_state_dict(state)
    return net.eval()


def normalized(pixels):
    return np.ascontiguousarray(((pixels.astype(np.float32) / np.float32(255) - MEAN) / STD).transpose(0, 3, 1, 2))


def make(folder):
    import torch

    torch.onnx.export(network(), torch.zeros(1, 3, 32, 32), f"{folder}/net.onnx", dynamo=False, input_names=["image"],
                      output_names=["logits"], dynamic_axes={"image": {0: "n"}})


def images(batches, raw):
    pathlib.Path(raw).write_bytes(record.image_set(batches)[0].tobytes())


def agree(folder, batches):
    import onnxruntime
    import torch

    pixels = record.image_set(batches)[0]
    folder = pathlib.Path(folder)
    ours = {k: record.read_file(folder / f"{k}.predictions")[1]["logits"] for k in ("float", "int8")}
    with torch.no_grad():
        theirs = network()(torch.from_numpy(normalized(pixels))).numpy()
    session = onnxruntime.InferenceSession(folder / "int8.onnx", providers=["CPUExecutionProvider"])
    rows = [("PyTorch, float", theirs, "float"), ("ONNX Runtime, int8", session.run(None, {"image": pixels})[0], "int8")]
    if (folder / "net.logits").exists():
        rows.append(("one C file, int8", np.fromfile(folder / "net.logits", np.float32).reshape(len(pixels), -1), "int8"))
    for name, logits, kind in rows:
        equal = int((logits.argmax(1) == ours[kind].argmax(1)).sum())
        print(f"{name}: {equal} of {len(pixels)} classes are those of resq's {kind}, logits within {np.abs(logits - ours[kind]).max():.2g}")
    for kind in ours:
        those = [ours[kind]] + [logits for _, logits, k in rows if k == kind]
        same = int(np.all([logits.argmax(1) == those[0].argmax(1) for logits in those], axis=0).sum())
        print(f"{kind}: all {len(those)} programs give one class to {same} of {len(pixels)} images")
    both = int((ours["float"].argmax(1) == ours["int8"].argmax(1)).sum())
    print(f"int8 beside float: one class in {both} of {len(pixels)}")


if __name__ == "__main__":
    {"make": make, "images": images, "agree": agree}[sys.argv[1]](*sys.argv[2:])
