"""Trains the recipe of `train-fp32` in PyTorch on the same batches, for the comparison of accuracies.

    cifar-load --part train --shuffle --epochs 5 | augment --crop 4 --flip 0.5 |
        train.py --width 16 --epochs 5 --learning-rate 0.2 --ema 0.99 --validate held-out.batches --log log.tsv

Options are those of `train-fp32` (lib/train: schedule.h, optimizer.h, average.h, loss.h), and so is the log: an epoch a row. Only
the first weights are PyTorch's own draws. Images come augmented, in the order in which resq would see them.
"""
import argparse
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import record
import resnet

LOG_COLUMNS = "epoch step learning_rate loss accuracy_train accuracy_held_out images_per_s seconds".split()


def rate_at(step, steps, highest, peak):
    """One cycle, taken at the step's middle."""
    u = (step + 0.5) / steps
    return highest * (u / peak if u < peak else (1 - u) / (1 - peak))


class Average:
    """Exponential moving average of parameters and batch norm's statistics."""

    def __init__(self, net, decay):
        self.decay, self.steps = decay, 0
        self.values = {k: v.clone() for k, v in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net):
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)


@torch.no_grad()
def accuracy(net, values, images, labels):
    """In percent, by running statistics, in fp32."""
    kept = {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(values)
    net.eval()
    right = 0
    for begin in range(0, len(images), 500):
        logits = net(resnet.normalize(torch.from_numpy(images[begin : begin + 500])))
        right += int((logits.argmax(1) == torch.from_numpy(labels[begin : begin + 500])).sum())
    net.load_state_dict(kept)
    net.train()
    return 100 * right / len(images)


class Training:
    def __init__(self, o):
        torch.manual_seed(o.seed)
        self.o = o
        self.net = resnet.ResNet18(o.width, 10).to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=o.learning_rate, momentum=o.momentum, weight_decay=o.weight_decay, nesterov=True
        )
        self.average = Average(self.net, o.ema) if o.ema > 0 else None
        self.validation = record.image_set(o.validate)
        self.step_count = 0

    def step(self, tensors, total):
        """One mini-batch; (summed loss, how many right)."""
        images, labels = resnet.normalize(torch.from_numpy(tensors["images"].copy())), torch.from_numpy(tensors["labels"].astype(np.int64))
        steps = self.o.epochs * -(-total // self.o.batch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate = rate_at(self.step_count, steps, self.o.learning_rate, self.o.peak)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.o.precision == "bf16"):
            logits = self.net(images)
        logits = logits.float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.o.label_smoothing)
        if not torch.isfinite(loss):
            raise SystemExit(f"train.py: loss is {loss.item()} at step {self.step_count}")
        loss.backward()
        self.optimizer.step()
        self.step_count += 1
        if self.average:
            self.average.update(self.net)
        return loss.item() * len(labels), int((logits.argmax(1) == labels).sum())

    def held_out(self):
        values = self.average.values if self.average else {k: v.clone() for k, v in self.net.state_dict().items()}
        return accuracy(self.net, values, *self.validation)


def main():
    p = argparse.ArgumentParser(description="train-fp32's recipe in PyTorch")
    p.add_argument("--width", type=int, default=64)
    p.add_argument("--epochs", type=int, default=1)
    p.add_argument("-b", "--batch", type=int, default=128, help="must be the batch of the stream")
    p.add_argument("-s", "--seed", type=int, default=1)
    p.add_argument("-j", "--threads", type=int, default=2)
    p.add_argument("--learning-rate", type=float, default=0.1)
    p.add_argument("--peak", type=float, default=0.25)
    p.add_argument("--momentum", type=float, default=0.9)
    p.add_argument("--weight-decay", type=float, default=0.0005)
    p.add_argument("--label-smoothing", type=float, default=0)
    p.add_argument("--ema", type=float, default=0)
    p.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    p.add_argument("--validate", required=True)
    p.add_argument("--log", required=True)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    training, rows, began = Training(o), [], time.monotonic()
    sums = [0.0, 0, 0]
    epoch_began, notes = began, {}
    for metadata, tensors in record.batches(sys.stdin.buffer):
        total, position, count = int(metadata["total"]), int(metadata["position"]), len(tensors["labels"])
        if count != min(o.batch, total - position):
            raise SystemExit(f"train.py: a batch of {count} images, want {o.batch}")
        loss, right = training.step(tensors, total)
        sums = [sums[0] + loss, sums[1] + right, sums[2] + count]
        if position + count == total:
            seconds = time.monotonic() - epoch_began
            values = [len(rows) + 1, training.step_count, "%.6g" % training.rate, "%.6f" % (sums[0] / sums[2])]
            values += ["%.3f" % (100 * sums[1] / sums[2]), "%.3f" % training.held_out(), "%.1f" % (sums[2] / seconds)]
            rows.append([*values, "%.2f" % (time.monotonic() - began)])
            print("\t".join(map(str, rows[-1])), file=sys.stderr, flush=True)
            notes = {"dataset": metadata["dataset"], "dataset-digest": metadata["dataset-digest"], "images": sums[2]}
            sums, epoch_began = [0.0, 0, 0], time.monotonic()
    if len(rows) != o.epochs:
        raise SystemExit(f"train.py: the stream held {len(rows)} epochs, want {o.epochs}")
    import turns

    notes = {"tool": f"tests/peers/train.py, PyTorch {torch.__version__.split('+')[0]}, {o.precision}"} | notes
    notes["held-out"] = len(training.validation[1])
    turns.write_table(o.log, notes, LOG_COLUMNS, [dict(zip(LOG_COLUMNS, row)) for row in rows])


if __name__ == "__main__":
    main()
