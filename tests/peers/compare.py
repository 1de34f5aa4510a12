"""Times resq and other programs on the same network and images, all in one run, in turns, and says who is right.

    compare.py --worker WORKER --float MODEL --int8 MODEL --images BATCHES [--test BATCHES] --work FOLDER -o TABLE

Each program runs in a process of its own for each number of threads, and stays there; one works at a time. In every round each
case (precision, batch, threads) is done by all programs that have it, in an order that changes from round to round: a warm-up, then timed
calls. Before anything is timed, logits of all images are compared. Float ones must be ours to 1e-3. Bf16 and int8 ones may differ from ours
by their different roundings, twice as much (root mean square) as ours differ from the float network's: a program whose logits
differ by more computes another network than it was given. It is timed all the same, and its rows say so (`correct`: no). Of a
trained network the test images' accuracies stand beside each other.

Where a program has several ways to do a case, the one that is fastest in a few trial rounds is what it is represented by, a right one
before a wrong one.
"""
import os
import sys

import numpy as np

import record
import turns

PEERS = ["openvino", "onnxruntime", "torch", "xnnpack"]
OPTIONAL = ["xnnpack"]  # where it does not run, or not a network, the comparison goes on without it
FLOAT_TOLERANCE = 1e-3
HOPELESS = 1.5  # times the fastest form's time, in the first case of a precision
EMULATION_SECONDS = 10  # most that a form is tried that this processor can only emulate
COLUMNS = (
    "what program version form precision batch threads calls ms_median ms_min ms_p95 samples_per_s ratio_min ratio_min_low "
    "ratio_min_high ratio_median ratio_median_low ratio_median_high logits_difference agreement correct accuracy"
).split()


def rms(x):
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


class Contender:
    """A program in a case, in one form; rounds: seconds of each call, a list a round."""

    def __init__(self, program, worker, precision, batch, form):
        self.program, self.worker, self.precision, self.batch, self.form = program, worker, precision, batch, form
        self.rounds, self.is_correct, self.accuracy = [], True, None

    def name(self):
        return self.program, self.worker.version, self.precision, self.form

    def time(self, o, warm, seconds):
        least = 1 if self.batch > 1 else 3
        answer = self.worker.ask("time", self.precision, self.batch, self.form, warm, seconds, least)
        self.worker.rest()
        return np.array(answer, float)

    def logits(self, path, *images):
        self.worker.ask("logits", self.precision, self.batch, self.form, path, *images)
        self.worker.rest()
        return np.fromfile(path, np.float32)


def worker_of(o, program, threads):
    files = [o.float, o.int8, o.images]
    if program == "resq":
        return turns.Worker(program, [o.worker, *files, str(threads)], threads, o.work)
    peer, _, other = program.partition("@")
    command = [sys.executable, str(turns.HERE / "worker.py"), peer, *files, str(threads), o.work]
    return turns.Worker(program, command, threads, o.work, o.packages.get(other or peer))


def leave_out(program, failure):
    """Says that a program that may be missing is; another's failure is the comparison's."""
    if program not in OPTIONAL:
        raise failure
    turns.say(f"peers: {program} is left out: {failure}")


def running(o):
    """The peers that run here."""
    found = [peer for peer in o.peers if peer not in OPTIONAL]
    for peer in sorted(set(o.peers) - set(found)):
        worker = worker_of(o, peer, 1)
        try:
            worker.ask("about")
            found.append(peer)
        except turns.Failure as failure:
            leave_out(peer, failure)
        worker.close()
    return found


def start(o, threads):
    """A process for each program: resq, the peers, and peers in another version ("openvino@openvino-older")."""
    programs = ["resq", *o.peers, *(f"{peer}@{other}" for other in o.packages for peer in o.peers if other.startswith(peer + "-"))]
    workers = {p: worker_of(o, p, threads) for p in programs}
    for worker in workers.values():
        worker.version, worker.detail = (worker.ask("about") + ["-", "-"])[:2]
    return workers


def contenders_of(workers, precision, batch):
    """All forms of all programs; a program in two versions is one program with more forms."""
    found = []
    for name, worker in workers.items():
        for form in worker.ask("forms", precision):
            found.append(Contender(name.partition("@")[0], worker, precision, batch, form))
    return found


def check(o, contenders, float_logits, case, is_first):
    """Compares logits with resq's and notes by how much they differ; returns resq's. A precision's first case takes all images, its
    others a few: whether another batch or number of threads computes something else. Who may be missing and fails is taken out."""
    path = os.path.join(o.work, "logits.bin")
    classes = None
    for c in list(contenders):
        try:
            logits = c.logits(path) if is_first else c.logits(path, o.few)
        except turns.Failure as failure:
            leave_out(c.program, failure)
            contenders.remove(c)
            continue
        if c.program == "resq":
            ours = logits
            classes = len(logits) // (o.image_count if is_first else o.few_count)
        c.difference = float(np.abs(logits - ours).max())
        c.agreement = 100 * float((logits.reshape(-1, classes).argmax(1) == ours.reshape(-1, classes).argmax(1)).mean())
        if c.precision == "float":
            if not c.difference <= FLOAT_TOLERANCE:
                raise turns.Failure(f"{c.program}, {c.form}, {case}: logits differ from ours by {c.difference:.3g}")
            continue
        found, allowed = rms(logits - ours), 2 * rms(ours - float_logits[: len(ours)])
        c.is_correct = found <= allowed
        if is_first and not c.is_correct:
            turns.say(
                f"peers: {c.program} {c.worker.version}, {c.form}, {case}: WRONG: its logits differ from ours by {found:.3g} (root mean "
                f"square; other roundings explain {allowed:.3g}), {c.agreement:.2f} % of classes agree"
            )
    return ours


def choose(o, contenders, hopeless):
    """The fastest form of each program that is right; of a program without one, the fastest. hopeless: gets the names of forms that
    are far from it, which are no contenders in other cases of the precision."""
    for _ in range(o.trials):
        for c in contenders:
            c.rounds.append(c.time(o, 0, o.turn))
    best = {}
    for c in contenders:
        c.order = (not c.is_correct, np.concatenate(c.rounds).min())
        c.rounds = []
        if c.program not in best or c.order < best[c.program].order:
            best[c.program] = c
    for c in contenders:
        wrong, seconds = best[c.program].order
        if c.order[0] > wrong or c.order[1] > HOPELESS * seconds:
            hopeless.add(c.name())
    return list(best.values())


def measure_accuracy(o, contenders, measured, workers):
    """Test accuracy of each, taken in its quickest case: largest batch, workers with most threads. measured: what is known already, by
    program, version, precision and form."""
    labels = o.test_labels
    for c in contenders:
        key = c.name()
        if key not in measured:
            quick = next(w for name, w in workers.items() if (name.partition("@")[0], w.version) == key[:2])
            c = Contender(c.program, quick, c.precision, max(o.batches), c.form)
            logits = c.logits(os.path.join(o.work, "logits.bin"), o.test)
            measured[key] = 100 * float((logits.reshape(len(labels), -1).argmax(1) == labels).mean())
    for c in contenders:
        c.accuracy = measured[c.name()]


def is_worth_emulating(o):
    """Whether bfloat16 is compared. Where the processor lacks its instructions, each program is tried once, and told of."""
    if turns.has_bf16():
        return True
    found = []
    for program in ["resq", *o.peers]:
        worker = worker_of(o, program, max(o.threads))
        forms = worker.ask("forms", "bf16")
        if forms:
            times = worker.ask("time", "bf16", 1, forms[-1], 0, 0, 1, limit=EMULATION_SECONDS)
            found.append(f"{program} " + (f"{float(times[0]) * 1e3:.3g} ms an image" if times else f"over {EMULATION_SECONDS} s"))
        worker.close()
    turns.say(f"peers: bf16 is left out: this processor only emulates it ({', '.join(found)})")
    return False


def prepare_case(o, workers, batch, precision, case, known):
    """The case's contenders, one form a program. known: what the cases before have found out, by precision and name."""
    is_first = precision not in known["logits"]
    contenders = [c for c in contenders_of(workers, precision, batch) if c.name() not in known["hopeless"]]
    if all(c.program == "resq" for c in contenders):
        return []
    asked = {c.name() for c in contenders}
    ours = check(o, contenders, known["logits"].get("float"), case, is_first)
    known["hopeless"] |= asked - {c.name() for c in contenders}  # what is left out here is so in the other cases
    if is_first:
        known["logits"][precision] = ours
        known["found"] |= {c.name(): (c.difference, c.agreement, c.is_correct) for c in contenders}
    for c in contenders:  # what all images said; one that is wrong here is wrong
        c.difference, c.agreement, is_correct = known["found"][c.name()]
        c.is_correct = c.is_correct and is_correct
    hopeless = set()
    chosen = choose(o, contenders, hopeless)
    if is_first:
        known["hopeless"] |= hopeless
    return chosen


def prepare(o):
    """[case, contenders]: opened, checked, one form a program. The quickest cases come first, where all images are compared."""
    cases, accuracies, quickest, known = [], {}, None, {"logits": {}, "found": {}, "hopeless": set()}
    precisions = ["float", *(["bf16"] if is_worth_emulating(o) else []), "int8"]
    for threads in sorted(o.threads, reverse=True):
        workers = start(o, threads)
        quickest = quickest or workers
        for batch in sorted(o.batches, reverse=True):
            for precision in precisions:
                case = f"{precision}, batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
                turns.say(f"peers: {case}: opens, compares logits, tries forms; {o.clock.left()}")
                contenders = prepare_case(o, workers, batch, precision, case, known)
                if contenders:
                    cases.append((case, contenders))
    cases.sort(key=lambda c: (c[1][0].worker.threads, c[1][0].batch))
    if o.test:
        turns.say(f"peers: accuracy on {len(o.test_labels)} test images; {o.clock.left()}")
        for _, contenders in cases:
            measure_accuracy(o, contenders, accuracies, quickest)
    return cases


def run_rounds(o, cases):
    def one_round(r):
        for _, contenders in cases:
            for k in range(len(contenders)):
                c = contenders[(k + r) % len(contenders)]
                c.rounds.append(c.time(o, o.warm, o.turn))

    return o.clock.rounds(o.rounds, one_round)


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
                "correct": "yes" if c.is_correct else "no",
                "accuracy": None if c.accuracy is None else "%.2f" % c.accuracy,
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
    p.add_argument("--test", help="test images, for the accuracy of a trained network; ignored where they are of another data set")
    p.add_argument("--few", required=True, metavar="BATCHES", help="the first few of the images: what later cases are compared on")
    p.add_argument("--network", required=True, help="what to call it in titles, as `inspect network` does")
    p.add_argument("--trials", type=int, default=3, help="rounds to choose a program's form by")
    p.add_argument("--warm", type=float, default=0.01, help="seconds of warm-up in a turn, at least")
    p.add_argument("--batches", type=turns.numbers, default=[1, 64])
    p.add_argument("--peers", type=lambda s: s.split(","), default=PEERS)
    where = "where a peer (xnnpack) or its other version (openvino-older) is"
    p.add_argument("--packages", action="append", default=[], metavar="NAME=FOLDER", help=where)
    o = p.parse_args()
    o.packages = dict(text.split("=", 1) for text in o.packages)
    return o


def main():
    o = options()
    o.clock = turns.Clock("inference", o.minutes)
    o.image_count, o.few_count = (len(record.image_set(path)[0]) for path in (o.images, o.few))
    trained = record.Model(o.float).metadata.get("trained-on", "").split(" ")[0]
    if o.test and trained and trained == record.dataset_digest(o.test):
        o.test_labels = record.image_set(o.test)[1]
    else:
        o.test = None
    o.peers = running(o)
    cases = prepare(o)
    rounds = run_rounds(o, cases)
    notes = turns.common_notes("tests/peers/compare.py")
    notes |= {
        "network": f"{o.network}, {'trained' if trained else 'as initialised'}",
        "images": f"logits compared on {o.image_count}" + (f", accuracy on {len(o.test_labels)}" if o.test else ""),
        "rounds": f"{rounds}, order rotated; in a turn a warm-up of {o.warm:g} s and timed calls for {o.turn:g} s, at least one each",
        "ratio": "resq's time / the program's; interval 95 %, bootstrap over rounds",
        "correct": "no: its logits differ from ours by more than twice what ours differ from the float network's (root mean square)",
    }
    turns.write_table(o.output, notes, COLUMNS, rows_of(cases))


if __name__ == "__main__":
    try:
        main()
    except turns.Failure as failure:
        sys.exit(f"peers: {failure}")
