"""Fault injection: each run of tests/faults/runs again and again, with its n-th allocation, write, read.. made to fail.

    python3 tests/faults/campaign.py --bin BIN --library resq-faults.so [--seconds S | --points P] [-j JOBS] [RUN..]

Every failure must end in exit status 1 and one line on standard error, with the files as they were before, and no
temporary; or, where it could be done without (a thread, a clean-up), in the very bytes of an undisturbed run. No hang,
no death by a signal. Which n of N calls: 1 to 16, then N, N/2, N/4, 3N/4 and so on, ever finer, until all were tried or
S seconds are over for this run and kind (0: no limit); with --points P of them, 1, N, N/2 and so on. Each n fails once
alone, and with all calls behind it.
Prints a row for each run; the last line is the sum. Exit status 1 where a promise was broken.
"""
import argparse
import hashlib
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).parent
KINDS = ("memory", "write", "read", "fsync", "rename", "open", "close", "thread", "map")
FIRST = 16
STAYS = {"log", "checkpoint"}
SECOND = {"last", "predictions"}
# What libarchive 3.6 does where memory runs out, for which it has no hook: it ends the program, or dies. fontconfig 2.14 dies while it
# reads its settings; settings that it cannot open it passes over, and a chart is drawn in another font.
ARCHIVE_DIES = b"Fatal Internal Error in libarchive: "
HANGS = 60  # seconds: a thousand times what a run takes
LINE = re.compile(rb"[a-z0-9-]+: [^\n]*\n")


def order(count, first):
    """1..count, each once: the first ones, then coarse to fine."""
    seen = set()
    for n in range(1, min(count, first) + 1):
        seen.add(n)
        yield n
    step = count
    while step >= 1 and len(seen) < count:
        for n in range(step, count + 1, step):
            if n not in seen:
                seen.add(n)
                yield n
        step = step // 2


def files_of(folder):
    """Path -> bytes of everything below, None for a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        found[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else None
    return found


class Outcome:
    def __init__(self, status, output, errors, files, calls, failed, of_archive=0, of_fonts=0):
        self.status, self.output, self.errors, self.files = status, output, errors, files
        self.calls, self.failed, self.of_archive, self.of_fonts = calls, failed, of_archive, of_fonts


class Run:
    """One line of the table in a folder of its own."""

    def __init__(self, line, campaign):
        self.name, stdin, tool, *arguments = line.split()
        self.campaign, self.tool = campaign, tool
        swap = lambda word: word.replace("IN/", f"{campaign.inputs}/")
        self.stdin = swap(stdin) if stdin != "-" else os.devnull
        self.command = [f"{campaign.bin}/{tool}", *map(swap, arguments)]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}.", dir=campaign.scratch))
        self.clean = None

    def once(self, kind, at, lasts, before):
        work = self.folder / f"{kind}.work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        for name in before:
            (work / name).write_bytes(b"old\n")
        report = self.folder / f"{kind}.report"
        report.write_bytes(bytes(32))
        scratch, cache = self.folder / f"{kind}.tmp", self.folder / f"{kind}.cache"
        shutil.rmtree(cache, ignore_errors=True)
        scratch.mkdir(exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "LD_PRELOAD": self.campaign.library, "FAULT_CALL": kind,
                       "FAULT_AT": str(at), "FAULT_REPORT": str(report), "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(cache),
                       "RESQ_PLOTS": str(HERE.parent.parent / "plots"), **({"FAULT_LASTS": "1"} if lasts else {})}
        with open(self.stdin, "rb") as stdin:
            try:
                done = subprocess.run(self.command, stdin=stdin, capture_output=True, cwd=work, env=environment, timeout=HANGS)
            except subprocess.TimeoutExpired:
                return Outcome("hang", b"", b"", {}, at, 1)
        calls, failed, of_archive, of_fonts = struct.unpack("<4Q", report.read_bytes())
        left = files_of(scratch)
        shutil.rmtree(scratch)
        files = {**files_of(work), **{f"TMPDIR/{k}": v for k, v in left.items()}}
        return Outcome(done.returncode, done.stdout, done.stderr, files, calls, failed, of_archive, of_fonts)

    def same(self, files):
        """Of a table of times only what stands in the first column counts; a log's times do not either."""
        def text(name, content):
            if name == "times":
                return [row.split(b"\t")[0] for row in content.splitlines() if not row.startswith(b"#")]
            if name == "log":
                return [row.split(b"\t")[:6] for row in content.splitlines()]
            return content
        return {k: text(k, v) for k, v in files.items() if k != "checkpoint"}

    def whole(self, content):
        """A checkpoint that stays must be one: it is asked of inspect, once for the same bytes."""
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self.campaign.checked:
            done = subprocess.run([f"{self.campaign.bin}/inspect", "check"], input=content, capture_output=True)
            self.campaign.checked[digest] = done.returncode == 0
        return self.campaign.checked[digest]

    def second(self, name, content):
        """The output comes last of several files: those before it may be there, whole."""
        return name in SECOND and content == self.clean.files.get(name)

    def fault(self, got, before):
        """What is wrong with an outcome; None where nothing is."""
        if got.status == "hang":
            return "hangs"
        if got.of_archive and (got.status == -11 or got.errors.startswith(ARCHIVE_DIES)) or got.of_fonts and got.status == -11:
            self.campaign.died_in_library += 1
            return None
        if got.of_fonts and got.status == 0 and got.errors == self.clean.errors and got.files.keys() == self.clean.files.keys():
            return None
        if got.status < 0:
            return f"dies by signal {-got.status}: {got.errors[-300:]!r}"
        # fontconfig says itself that it cannot read its settings; the chart is then drawn in what fonts it finds.
        got.errors, all_said = b"".join(line for line in got.errors.splitlines(True) if not line.startswith(b"Fontconfig ")), got.errors
        if got.status == 0 and not got.errors and all_said:
            return None
        left = got.files.pop("checkpoint", None)
        if left is not None and left != b"old\n" and not self.whole(left):
            return "leaves a broken checkpoint"
        if got.status == self.clean.status and got.errors == self.clean.errors:
            if self.same(got.files) != self.same(self.clean.files) or got.output != self.clean.output:
                return f"ends well with other bytes: {sorted(got.files)}"
            return None
        if got.status == 0:
            return f"succeeds, and says {got.errors!r}"
        if got.status != 1:
            return f"exit status {got.status}"
        said = [line for line in got.errors.splitlines(True) if line not in self.clean.errors.splitlines(True)]
        if len(said) != 1 or not LINE.fullmatch(said[0]) or not said[0].startswith(self.tool.encode() + b": "):
            return f"says {got.errors!r}"
        for name in sorted((set(got.files) | set(before)) - STAYS):
            left = got.files.get(name, "nothing")
            if left != (b"old\n" if name in before else "nothing") and not self.second(name, left):
                return f"leaves {sorted(got.files)}, had {before}: {name}"
        return None

    def loop(self, kind):
        """Every n of one kind. Returns how many were tried, how many there are, how many were survived, and the breaches."""
        names = [k for k, v in self.clean.files.items() if v is not None and "/" not in k]
        count = self.once(kind, 0, False, []).calls
        end = time.monotonic() + self.campaign.seconds if self.campaign.seconds else float("inf")
        tried = survived = 0
        breaches = []
        for n in order(count, 1 if self.campaign.points else FIRST):
            if time.monotonic() > end or (self.campaign.points and tried >= self.campaign.points):
                break
            tried += 1
            for lasts in (False, True):
                before = names if n % 2 == 0 and None not in self.clean.files.values() else []
                got = self.once(kind, n, lasts, before)
                if got.failed == 0 and got.status == self.clean.status:
                    continue  # threads: this time there were fewer calls
                survived += got.status == self.clean.status and not got.errors
                said = self.fault(got, before)
                self.campaign.hear(kind, got.errors)
                if said:
                    breaches.append(f"{self.name}: {kind} {n}{' and on' if lasts else ''} of {count}: {said}")
        return kind, tried, count, survived, breaches

    def undisturbed(self):
        first, second = self.once("memory", 0, False, []), self.once("write", 0, False, [])
        self.clean = first
        if first.status not in (0, 1) or (first.status and first.errors):
            return f"{self.name}: fails undisturbed: {first.errors!r}"
        if self.same(first.files) != self.same(second.files) or first.output != second.output:
            return f"{self.name}: not the same bytes twice"
        return None


class Campaign:
    def __init__(self, options, scratch):
        self.bin, self.library = os.path.abspath(options.bin), os.path.abspath(options.library)
        self.seconds, self.points, self.scratch = options.seconds, options.points, scratch
        self.inputs = pathlib.Path(options.inputs or f"{scratch}/in").absolute()
        self.checked, self.heard, self.lock, self.died_in_library = {}, {}, threading.Lock(), 0

    def hear(self, kind, errors):
        with self.lock:
            self.heard[kind, errors] = self.heard.get((kind, errors), 0) + 1

    def prepare(self):
        if self.inputs.exists():
            return
        subprocess.run([str(HERE / "inputs"), str(self.inputs)], env={**os.environ, "BIN": self.bin}, check=True)

    def one(self, line):
        run = Run(line, self)
        broken = run.undisturbed()
        rows = [] if broken else [run.loop(kind) for kind in KINDS]
        shutil.rmtree(run.folder)
        return run.name, rows, [broken] if broken else [b for row in rows for b in row[4]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--points", type=int, default=0)
    parser.add_argument("--inputs", help="a folder that tests/faults/inputs made; without: made anew")
    parser.add_argument("--messages", help="write every distinct message here, with its kind and number")
    parser.add_argument("-j", type=int, default=os.cpu_count())
    parser.add_argument("runs", nargs="*")
    options = parser.parse_args()
    table = [line for line in (HERE / "runs").read_text().splitlines() if line and not line.startswith("#")]
    lines = [line for line in table if not options.runs or line.split()[0] in options.runs]
    if options.runs and len(lines) != len(options.runs):
        sys.exit("campaign: no such run")
    sums, breaches = {kind: [0, 0, 0] for kind in KINDS}, []
    with tempfile.TemporaryDirectory() as scratch:
        campaign = Campaign(options, scratch)
        campaign.prepare()
        with ThreadPoolExecutor(options.j) as pool:
            for name, rows, broken in pool.map(campaign.one, lines):
                print(f"{name:16}" + "".join(f" {kind} {tried}/{count}" for kind, tried, count, *_ in rows if count), flush=True)
                for kind, tried, count, survived, _ in rows:
                    sums[kind] = [a + b for a, b in zip(sums[kind], (tried, count, survived))]
                for line in broken:
                    print("    " + line, flush=True)
                breaches += broken
    if options.messages:
        with open(options.messages, "w") as out:
            for (kind, errors), times in sorted(campaign.heard.items()):
                out.write(f"{times}\t{kind}\t{errors!r}\n")
    for kind, (tried, count, survived) in sums.items():
        print(f"{kind:8} {tried} of {count} calls failed, alone and with all behind them; done without: {survived} of {2 * tried}")
    print(f"ended by libarchive or fontconfig, where its own allocation failed: {campaign.died_in_library}")
    print(f"faults: {sum(s[0] for s in sums.values())} calls, {len(breaches)} promises broken")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
