"""Times training steps of resq and of PyTorch in one run, in turns: the same network and batch, images in memory, forward,
backward, SGD with Nesterov momentum.

    compare_training.py --bench BENCH --float MODEL --int8 MODEL --images BATCHES --work FOLDER [--fused MODEL --ranges RANGES] -o TABLE

MODEL of --float: a network with its batch norms is trained as it is; of one that is fused, a ResNet-18 of its width.
With --ranges also quantization-aware training, of the --fused network: 8 bits, ranges of activations fixed, scales of weights by each
step's largest magnitudes; in PyTorch by its fake_quantize operators, with the activations' scales of --int8. On the most threads alone,
unless --qat-all-threads: a step of PyTorch's takes many seconds on one.
PyTorch: channels last, compiled by Inductor and eager; the faster form, by a trial, is what it is represented by. fp32 is strict,
bf16 is autocast; where the processor would only emulate bf16, PyTorch stands there with its fp32, measured once for both, and `form` says
so. resq is `bench --train`; where that is not to be had its rows are left out, and a note says so. speed_up is resq's images a second
over the program's, from minima and from medians of the turns.
"""
import copy
import os
import subprocess
import sys

import numpy as np

import record
import turns

COLUMNS = (
    "what program version form precision batch threads turns ms_median ms_min samples_per_s speed_up_min speed_up_min_low "
    "speed_up_min_high speed_up_median speed_up_median_low speed_up_median_high"
).split()


QAT = "qat-"


def is_qat(precision):
    return precision.startswith(QAT)


class Torch:
    """One form of PyTorch in a case."""

    program = "torch"
    is_measured = True  # not: it has another's rounds

    def __init__(self, worker, precision, batch, form):
        self.worker, self.precision, self.batch, self.form, self.threads = worker, precision, batch, form, worker.threads
        self.version, self.rounds = worker.ask("about")[0], []

    def stand_in(self, precision):
        """This one in a precision that it cannot have, with this one's times."""
        other = copy.copy(self)
        other.precision, other.form, other.is_measured = precision, f"{self.form}, {self.precision}", False
        return other

    def turn(self, seconds):
        """(median, minimum) seconds of a step."""
        times = np.array(self.worker.ask("time", self.precision, self.batch, self.form, 0, seconds, 2), float)
        self.worker.rest()
        return np.median(times), times.min()


class Resq:
    program, version, form, is_measured = "resq", "-", "-", True

    def __init__(self, o, precision, threads):
        self.precision, self.batch, self.threads, self.rounds = precision, o.batch, threads, []
        what = ["-m", o.float] if o.is_named else ["--width", str(o.width)]
        if is_qat(precision):
            what = ["-m", o.fused, "-r", o.ranges]
        self.command = [o.bench, "--train", *what, "--precision", precision.removeprefix(QAT)]
        self.command += ["-b", str(o.batch), "-j", str(threads)]

    def turn(self, seconds):
        done = subprocess.run([*self.command, "--seconds", str(seconds)], capture_output=True, text=True)
        if done.returncode:
            raise turns.Failure(f"{' '.join(self.command)}: {done.stderr.strip()}")
        lines = done.stdout.splitlines()
        self.version = next(line.split()[-1] for line in lines if line.startswith("# tool:"))
        table = [line.split("\t") for line in lines if not line.startswith("#")]
        row = next(dict(zip(table[0], r)) for r in table[1:] if not r[0].startswith("layer:"))
        self.form = row["isa"]
        median = self.batch / float(row["samples_per_s"])
        return median, median * float(row["ms_min"]) / float(row["ms_median"])


def can_train(bench):
    shown = subprocess.run([bench, "--help"], capture_output=True, text=True).stdout
    return "--train" in shown and "--precision" in shown


def fastest(worker, precision, batch, seconds, known):
    """PyTorch's faster form; one that cannot be had here is told of and left out. known: the faster one by precision, once tried."""
    found = {}
    for form in [known[precision]] if precision in known else worker.ask("forms", precision):
        c = Torch(worker, precision, batch, form)
        try:
            c.turn(0)
            found[c] = []
        except turns.Failure as failure:
            turns.say(f"peers: {precision}: without {form}: {failure}")
    if not found:
        raise turns.Failure(f"torch: no form of {precision} training runs here")
    if len(found) > 1:
        for c, times in found.items():
            times.append(c.turn(seconds)[1])
    best = min(found, key=lambda c: min(found[c], default=0))
    known[precision] = best.form
    return best


def open_worker(o, model, threads):
    python = [sys.executable, str(turns.HERE / "worker.py"), "torch-training", model, o.int8, o.images]
    return turns.Worker("torch-training", [*python, str(threads), o.work], threads, o.work)


def prepare(o, can):
    cases, known = [], {}
    for threads in sorted(o.threads, reverse=True):  # forms are tried where that is quickest
        of, workers = {}, {}
        for precision in o.precisions:
            if is_qat(precision) and threads < max(o.threads) and not o.qat_all_threads:
                continue
            model, plain = o.fused if is_qat(precision) else o.float, precision.replace("bf16", "fp32")
            turns.say(f"peers: training, {precision}, {threads} thread{'s' if threads > 1 else ''}: opens, tries forms; {o.clock.left()}")
            if model not in workers:
                workers[model] = open_worker(o, model, threads)
            if plain != precision and plain in of and not turns.has_bf16():
                of[precision] = of[plain].stand_in(precision)
            else:
                of[precision] = fastest(workers[model], precision, o.batch, o.turn, known)
            cases.append([Resq(o, precision, threads), of[precision]] if can else [of[precision]])
    return sorted(cases, key=lambda contenders: contenders[0].threads)


def rows_of(cases):
    for contenders in cases:
        for c in contenders:
            medians, minima = [[r[k : k + 1] for r in map(np.array, c.rounds)] for k in (0, 1)]
            median, least = np.median(np.concatenate(medians)), np.concatenate(minima).min()
            row = dict.fromkeys(COLUMNS)
            row |= {k: getattr(c, k) for k in ("program", "version", "form", "precision", "batch", "threads")}
            row |= {
                "what": "train",
                "turns": len(c.rounds),
                "ms_median": "%.6f" % (median * 1e3 / c.batch),
                "ms_min": "%.6f" % (least * 1e3 / c.batch),
                "samples_per_s": "%.1f" % (c.batch / median),
            }
            if c is not contenders[0]:
                ours = [[r[k : k + 1] for r in map(np.array, contenders[0].rounds)] for k in (0, 1)]
                for name, statistic, mine, other in ("min", np.min, ours[1], minima), ("median", np.median, ours[0], medians):
                    for suffix, value in zip(("", "_low", "_high"), turns.ratio(other, mine, statistic)):
                        row[f"speed_up_{name}{suffix}"] = "%.4f" % value
            yield row


def options():
    p = turns.options("time training steps of resq and PyTorch in turns", rounds=8, turn=3)
    p.add_argument("--bench", required=True)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--network", help="what to call it in titles, as `inspect network` does")
    p.add_argument("--fused", help="the network that is trained quantized")
    p.add_argument("--ranges", help="its ranges, from `calibrate`")
    p.add_argument("--qat-all-threads", action="store_true", help="train it so on fewer threads than the most, too")
    p.add_argument("--precisions", type=lambda s: s.split(","), default=["fp32", "bf16", QAT + "fp32", QAT + "bf16"])
    o = p.parse_args()
    if not (o.fused and o.ranges):
        o.precisions = [precision for precision in o.precisions if not is_qat(precision)]
    return o


def main():
    o = options()
    o.clock = turns.Clock("training", o.minutes)
    o.bench = os.path.abspath(o.bench)
    model = record.Model(o.float)
    o.width, o.is_named = model.width, model.stage == "float"
    can = can_train(o.bench)
    if not can:
        turns.say("peers: bench has no --train here: the training table is PyTorch's alone")
    cases = prepare(o, can)

    def one_round(r):
        for contenders in cases:
            for k in range(len(contenders)):
                c = contenders[(k + r) % len(contenders)]
                if c.is_measured:
                    c.rounds.append(c.turn(o.turn))

    rounds = o.clock.rounds(o.rounds, one_round)
    notes = turns.common_notes("tests/peers/compare_training.py")
    notes |= {
        "network": o.network or f"ResNet-18, width {o.width}",
        "rounds": f"{rounds}, order rotated; turns of {o.turn:g} s, at least two steps, after an untimed one",
        "speed-up": "resq's images a second / the program's; interval 95 %, bootstrap over rounds",
    }
    if not can:
        notes["resq"] = "left out: bench has no --train"
    turns.write_table(o.output, notes, COLUMNS, rows_of(cases))


if __name__ == "__main__":
    try:
        main()
    except turns.Failure as failure:
        sys.exit(f"peers: {failure}")
