"""What the tests ran of some folders' code: a row a file, and a folder's sums, by gcov's counts.

    python3 tests/coverage.py OBJECTS FOLDER..        OBJECTS: where the build put its objects, beside which .gcda lie

Lines and branches (each way out of each condition) that were taken at least once. Exit status 1 where a folder has less
than 90 % of its lines or 80 % of its branches.
"""
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

LINES, BRANCHES = 90, 80


def counts_of(objects, source):
    """(lines run, lines, branches taken, branches) of one file."""
    data = pathlib.Path(objects, source).with_suffix(".gcda").absolute()
    if not data.exists():
        return 0, 1, 0, 1
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["gcov", "--json-format", "--branch-probabilities", str(data)], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        found = [json.loads(gzip.open(p).read()) for p in pathlib.Path(scratch).glob("*.gcov.json.gz")]
    lines = {}
    for report in found:
        for file in report["files"]:
            if file["file"] == str(source):
                for line in file["lines"]:
                    count, ways = lines.get(line["line_number"], (0, []))
                    lines[line["line_number"]] = count + line["count"], ways + [b["count"] for b in line["branches"]]
    ways = [way for _, taken in lines.values() for way in taken]
    return sum(c > 0 for c, _ in lines.values()), len(lines), sum(w > 0 for w in ways), len(ways)


def row(name, counts):
    run, lines, taken, branches = counts
    share = lambda part, whole: 100 * part / whole if whole else 100.0
    print(f"{name:32} {share(run, lines):6.1f} % of {lines:5} lines {share(taken, branches):6.1f} % of {branches:5} branches")
    return share(run, lines) >= LINES and share(taken, branches) >= BRANCHES


def main():
    objects, *folders = sys.argv[1:]
    enough = True
    for folder in folders:
        each = {p: counts_of(objects, p) for p in sorted(pathlib.Path(folder).rglob("*.c"))}
        for path, counts in each.items():
            row(str(path), counts)
        enough &= row(folder, [sum(column) for column in zip(*each.values())])
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
