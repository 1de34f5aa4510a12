"""Times resq and other programs on the same network and images, all in one run, in turns.

    compare.py --worker WORKER --float MODEL --int8 MODEL --images BATCHES --work FOLDER -o TABLE

Each program runs in a process of its own for each number of threads, and stays there; one works at a time. In every round each
case (precision, batch, threads) is done by all programs that have it, in an order that changes from round to round: a warm-up, then timed
calls. Before anything is timed, logits of all images are compared: float ones must be ours to 1e-3; bf16 and int8 ones may differ from
ours by their different roundings, twice as much (root mean square) as ours differ from the float network's, no more. Where a program
has several ways to do a case, the one that is fastest in a few trial rounds is what it is represented by.
"""
import os
import sys

import numpy as np

import turns

PEERS = ["openvino", "onnxruntime", "torch"]
FLOAT_TOLERANCE = 1e-3
COLUMNS = (
    "what program version form precision batch threads calls ms_median ms_min ms_p95 samples_per_s ratio_min ratio_min_low "
    "ratio_min_high ratio_median ratio_median_low ratio_median_high logits_difference agreement"
).split()


class Contender:
    """A program in a case, in one form; rounds: seconds of each call, a list a round."""

    def __init__(self, program, worker, precision, batch, form):
        self.program, self.worker, self.precision, self.batch, self.form = program, worker, precision, batch, form
        self.rounds = []

    def time(self, o, warm, seconds):
        least = 1 if self.batch > 1 else 3
        answer = self.worker.ask("time", self.precision, self.batch, self.form, warm, seconds, least)
        self.worker.rest()
        return np.array(answer, float)

    def logits(self, path):
        self.worker.ask("logits", self.precision, self.batch, self.form, path)
        self.worker.rest()
        return np.fromfile(path, np.float32)


def start(o, threads):
    files = [o.float, o.int8, o.images]
    python = [sys.executable, str(turns.HERE / "worker.py")]
    workers = {"resq": turns.Worker("resq", [o.worker, *files, str(threads)], threads, o.work)}
    for peer in o.peers:
        workers[peer] = turns.Worker(peer, [*python, peer, *files, str(threads), o.work], threads, o.work)
    return workers


def contenders_of(workers, precision, batch):
    """All forms of all programs."""
    found = []
    for program, worker in workers.items():
        for form in worker.ask("forms", precision):
            found.append(Contender(program, worker, precision, batch, form))
    return found


def check(o, contenders, float_logits, case):
    """Compares logits with resq's and notes by how much they differ; returns resq's."""
    path = os.path.join(o.work, "logits.bin")
    classes = None
    for c in contenders:
        logits = c.logits(path)
        if c.program == "resq":
            ours = logits
            classes = len(logits) // o.image_count
        c.difference = float(np.abs(logits - ours).max())
        c.agreement = 100 * float((logits.reshape(-1, classes).argmax(1) == ours.reshape(-1, classes).argmax(1)).mean())
        rms = lambda x: float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
        if c.precision == "float" and not c.difference <= FLOAT_TOLERANCE:
            raise turns.Failure(f"{c.program}, {c.form}, {case}: logits differ from ours by {c.difference:.3g}")
        if c.precision != "float" and not rms(logits - ours) <= 2 * rms(ours - float_logits):
            raise turns.Failure(f"{c.program}, {c.form}, {case}: logits are not of our {c.precision} network")
    return ours


def choose(o, contenders):
    """The fastest form of each program."""
    for _ in range(o.trials):
        for c in contenders:
            c.rounds.append(c.time(o, 0, o.turn))
    best = {}
    for c in contenders:
        c.trial = np.concatenate(c.rounds).min()
        c.rounds = []
        if c.program not in best or c.trial < best[c.program].trial:
            best[c.program] = c
    return list(best.values())


def prepare(o):
    """[case, contenders]: opened, checked, one form a program."""
    cases = []
    for threads in o.threads:
        workers = start(o, threads)
        for worker in workers.values():
            worker.version, worker.detail = (worker.ask("about") + ["-", "-"])[:2]
        for batch in o.batches:
            float_logits = None
            for precision in "float", "bf16", "int8":
                case = f"{precision}, batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
                turns.say(f"peers: {case}: opens, compares logits, tries forms")
                contenders = contenders_of(workers, precision, batch)
                if all(c.program == "resq" for c in contenders):
                    continue
                ours = check(o, contenders, float_logits, case)
                float_logits = ours if precision == "float" else float_logits
                cases.append((case, choose(o, contenders)))
    return cases


def run_rounds(o, cases):
    for r in range(o.rounds):
        turns.say(f"peers: round {r + 1} of {o.rounds}")
        for _, contenders in cases:
            for k in range(len(contenders)):
                c = contenders[(k + r) % len(contenders)]
                c.rounds.append(c.time(o, o.warm, o.turn))


def rows_of(cases):
    for _, contenders in cases:
        ours = next(c for c in contenders if c.program == "resq")
        for c in contenders:
            times = np.concatenate(c.rounds)
            scale = 1e3 / c.batch
            row = dict.fromkeys(COLUMNS)
            row |= {
                "what": "infer",
                "program": c.program,
                "version": c.worker.version,
                "form": c.form if c.program != "resq" else c.worker.detail,
                "precision": ours.precision,
                "batch": c.batch,
                "threads": c.worker.threads,
                "calls": len(times),
                "ms_median": "%.6f" % (np.median(times) * scale),
                "ms_min": "%.6f" % (times.min() * scale),
                "ms_p95": "%.6f" % (turns.percentile(times, 0.95) * scale),
                "samples_per_s": "%.1f" % (c.batch / np.median(times)),
                "logits_difference": "%.3g" % c.difference,
                "agreement": "%.2f" % c.agreement,
            }
            if c is not ours:
                for name, statistic in ("min", np.min), ("median", np.median):
                    values = turns.ratio(ours.rounds, c.rounds, statistic)
                    for suffix, value in zip(("", "_low", "_high"), values):
                        row[f"ratio_{name}{suffix}"] = "%.4f" % value
            yield row


def options():
    p = turns.options("time resq and other programs in turns", rounds=30, turn=0.03)
    p.add_argument("--worker", required=True)
    p.add_argument("--network", required=True, help="what to call it in titles, as `inspect network` does")
    p.add_argument("--trials", type=int, default=3, help="rounds to choose a program's form by")
    p.add_argument("--warm", type=float, default=0.01, help="seconds of warm-up in a turn, at least")
    p.add_argument("--batches", type=turns.numbers, default=[1, 64])
    p.add_argument("--peers", type=lambda s: s.split(","), default=PEERS)
    return p.parse_args()


def main():
    o = options()
    import record

    o.image_count = len(record.image_set(o.images)[0])
    cases = prepare(o)
    run_rounds(o, cases)
    notes = turns.common_notes("tests/peers/compare.py")
    notes |= {
        "network": o.network,
        "images": f"logits compared on {o.image_count}",
        "rounds": f"{o.rounds}, order rotated; in a turn a warm-up of {o.warm:g} s and timed calls for {o.turn:g} s, at least one each",
        "ratio": "resq's time / the program's; interval 95 %, bootstrap over rounds",
    }
    turns.write_table(o.output, notes, COLUMNS, rows_of(cases))


if __name__ == "__main__":
    try:
        main()
    except turns.Failure as failure:
        sys.exit(f"peers: {failure}")
