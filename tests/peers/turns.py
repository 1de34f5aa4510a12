"""What the comparisons share: worker processes that take turns, statistics of turns, and tables."""
import argparse
import datetime
import os
import pathlib
import select
import subprocess
import sys
import time

import numpy as np

HERE = pathlib.Path(__file__).parent


class Failure(Exception):
    pass


def numbers(text):
    return [int(n) for n in text.split(",")]


def options(description, rounds, turn):
    """A parser of what all comparisons take."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--float", required=True)
    p.add_argument("--int8", required=True)
    p.add_argument("--images", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("-o", "--output", required=True)
    p.add_argument("--rounds", type=int, default=rounds)
    p.add_argument("--turn", type=float, default=turn, help="seconds of timed work in a turn, at least")
    p.add_argument("--threads", type=numbers, default=[1, 2])
    p.add_argument("--minutes", type=float, default=9, help="all in all, about: fewer rounds are made where these would take longer")
    return p


class Clock:
    """What is left of the minutes, told after each round."""

    def __init__(self, what, minutes):
        self.what, self.began, self.end = what, time.monotonic(), time.monotonic() + 60 * minutes

    def left(self):
        return f"{max(self.end - time.monotonic(), 0) / 60:.1f} minutes left"

    def rounds(self, wanted, one_round):
        """Calls one_round(r) for as many of the rounds wanted as fit, three at least; returns how many."""
        began = time.monotonic()
        for r in range(wanted):
            now = time.monotonic()
            each = (now - began) / r if r else 0
            if r >= 3 and now + each > self.end:
                say(f"peers: {self.what}: {r} rounds of {wanted}: the minutes are over")
                return r
            need = min((wanted - r) * each, max(self.end - now, 0)) / 60
            say(f"peers: {self.what}: round {r + 1} of {wanted}; " + (f"{need:.1f} minutes left" if r else self.left()))
            one_round(r)
        return wanted


class Worker:
    """A process that stays alive and answers one line for one line."""

    def __init__(self, name, command, threads, log, packages=None):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONDONTWRITEBYTECODE="1", TORCHINDUCTOR_CACHE_DIR=f"{log}/inductor")
        if packages:  # a folder of packages that go before the installed ones
            environment["PYTHONPATH"] = packages
        # Set for the sake of old libraries, they would slow new ones down.
        for name_of_old in "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE":
            environment.pop(name_of_old, None)
        self.name, self.threads, self.log = name, threads, f"{log}/{name}-{threads}.log"
        with open(self.log, "w") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )

    def ask(self, *request, limit=None):
        """The words of the answer; None where it takes more than `limit` seconds, after which the process is gone."""
        try:
            self.process.stdin.write(" ".join(map(str, request)) + "\n")
            self.process.stdin.flush()
            if limit and not select.select([self.process.stdout], [], [], limit)[0]:
                self.process.kill()
                self.process.wait()
                return None
            answer = self.process.stdout.readline().split()
        except OSError:
            answer = []
        if not answer or answer[0] == "error":
            said = " ".join(answer[1:]) or f"ended: {self.last_words()}; see {self.log}"
            raise Failure(f"{self.name}: {' '.join(map(str, request))}: {said}")
        return answer[1:]

    def last_words(self):
        with open(self.log, errors="replace") as f:
            lines = f.read().split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "without a word")

    def is_running(self):
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                if (task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "R":
                    return True
            except OSError:  # a thread that has just ended
                pass
        return False

    def rest(self, limit=1.0):
        """Waits until none of its threads runs: nothing may spin while others take their turn."""
        end, quiet = time.monotonic() + limit, 0
        while quiet < 3:
            quiet = 0 if self.is_running() else quiet + 1
            if time.monotonic() > end:
                raise Failure(f"{self.name}: still busy {limit:g} s after its turn")
            time.sleep(0.001)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()


def percentile(values, share):
    """The smallest value that at least that share does not exceed, as `bench` has it."""
    ordered = np.sort(values)
    return float(ordered[max(int(np.ceil(share * len(ordered))), 1) - 1])


def ratio(ours, theirs, statistic, seed=1, draws=2000):
    """statistic(ours) / statistic(theirs) with a 95 % interval: rounds drawn anew, the same rounds for both. ours, theirs: a list
    of values a round."""
    value = statistic(np.concatenate(ours)) / statistic(np.concatenate(theirs))
    random, found = np.random.default_rng(seed), []
    for _ in range(draws):
        rounds = random.integers(0, len(ours), len(ours))
        found.append(statistic(np.concatenate([ours[r] for r in rounds])) / statistic(np.concatenate([theirs[r] for r in rounds])))
    return value, percentile(found, 0.025), percentile(found, 0.975)


def machine():
    with open("/proc/cpuinfo") as f:
        names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} processors, {os.uname().machine}, Linux {os.uname().release}"


def processor_flags():
    """The instruction sets that decide what the programs can do here."""
    with open("/proc/cpuinfo") as f:
        flags = next((line for line in f if line.startswith("flags")), "").split()
    known = ["avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8"]
    return " ".join(k for k in known if k in flags) or "-"


def has_bf16():
    """Whether the processor multiplies bfloat16 itself; where not, it is only emulated."""
    with open("/proc/cpuinfo") as f:
        flags = next((line for line in f if line.startswith(("flags", "Features"))), "").split()
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))


def write_table(path, notes, columns, rows):
    with open(path + ".part", "w") as f:
        for key, value in notes.items():
            f.write(f"# {key}: {value}\n")
        f.write("\t".join(columns) + "\n")
        for row in rows:
            f.write("\t".join("-" if row[c] is None else str(row[c]) for c in columns) + "\n")
    os.rename(path + ".part", path)


def commit():
    try:
        done = subprocess.run([HERE / "../../pipelines/commit"], capture_output=True, text=True)
    except OSError:
        return "none"
    return done.stdout.strip() or "none"


def common_notes(tool):
    notes = {"tool": tool, "commit": commit(), "cpu": machine(), "instruction-sets": processor_flags()}
    return notes | {"date": datetime.date.today().isoformat()}


def say(text):
    print(text, file=sys.stderr, flush=True)
