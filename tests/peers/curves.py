"""Do fp32, bf16 and PyTorch train alike? Tables and charts of trainings of one recipe from several seeds.

    curves.py FOLDER RECIPE      (with FOLDER/PROGRAM_PRECISION_SEED.log.tsv in it; RECIPE is only shown)

Leaves curves.tsv (an epoch of a seed a row), curves.md and the charts curves-loss and curves-accuracy. Two kinds of training are
alike where the difference of their mean final accuracies is within the 95 % interval of Student's t on the pooled deviation
of the seeds: such a difference is what other seeds alone would do.
"""
import itertools
import math
import pathlib
import statistics
import sys

import chart
import turns

COLUMNS = "program precision seed epoch loss accuracy_train accuracy_held_out".split()
ORDER = [("resq", "fp32"), ("resq", "bf16"), ("torch", "fp32"), ("torch", "bf16")]


def kinds_of(folder):
    """{(program, precision): {seed: rows}} and the notes of the first log."""
    found, notes = {}, {}
    for path in sorted(pathlib.Path(folder).glob("*_*_*.log.tsv")):
        program, precision, seed = path.name.removesuffix(".log.tsv").split("_")
        own, rows = chart.read_table(path)
        notes = notes or own
        for key in "dataset-digest", "images", "held-out":
            if own[key] != notes[key]:
                raise turns.Failure(f"{path}: {key}: is {own[key]}, the others have {notes[key]}")
        found.setdefault((program, precision), {})[int(seed)] = rows
    if not found:
        raise turns.Failure(f"{folder}: no logs")
    return {k: found[k] for k in sorted(found, key=ORDER.index)}, notes


def student(freedom, share=0.975):
    """Quantile of Student's t, by bisection of its integral (Simpson)."""
    factor = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    density = lambda x: factor * (1 + x * x / freedom) ** (-(freedom + 1) / 2)

    def below(t, pieces=2000):
        h = t / pieces
        inner = sum((4 if i % 2 else 2) * density(i * h) for i in range(1, pieces))
        return 0.5 + h / 3 * (density(0) + inner + density(t))

    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < share else (low, middle)
    return low


def final(seeds):
    return [float(rows[-1]["accuracy_held_out"]) for _, rows in sorted(seeds.items())]


def difference(a, b):
    """Mean of b minus mean of a, and half of its 95 % interval."""
    freedom = len(a) + len(b) - 2
    if freedom < 2:
        return statistics.mean(b) - statistics.mean(a), math.inf
    squares = sum((v - statistics.mean(values)) ** 2 for values in (a, b) for v in values)
    pooled = math.sqrt(squares / freedom)
    return statistics.mean(b) - statistics.mean(a), student(freedom) * pooled * math.sqrt(1 / len(a) + 1 / len(b))


def name(kind):
    return {"torch": "PyTorch"}.get(kind[0], kind[0]) + " " + kind[1]


def page(kinds, notes, recipe):
    epochs = len(next(iter(next(iter(kinds.values())).values())))
    yield f"# {' and '.join(sorted({name(k).split()[0] for k in kinds}))} from the same recipe"
    yield ""
    yield f"{notes['dataset']}: {notes['images']} training images, {epochs} epochs; accuracies on {notes['held-out']} held-out images."
    yield f"Recipe: `{recipe}`. All see the same augmented images in the same order; first weights differ by seed, and between programs."
    yield ""
    yield "| training | held-out accuracy after the last epoch, %, by seed | mean | deviation |"
    yield "|---|---|---|---|"
    for kind, seeds in kinds.items():
        values = final(seeds)
        deviation = f"{statistics.stdev(values):.2f}" if len(values) > 1 else "-"
        yield f"| {name(kind)} | {', '.join('%.2f' % v for v in values)} | {statistics.mean(values):.2f} | {deviation} |"
    yield ""
    yield "| difference of means | points | 95 % interval of no difference | |"
    yield "|---|---|---|---|"
    for a, b in itertools.combinations(kinds, 2):
        points, half = difference(final(kinds[a]), final(kinds[b]))
        yield f"| {name(b)} - {name(a)} | {points:+.2f} | ±{half:.2f} | {'within' if abs(points) <= half else 'beyond'} |"
    yield ""
    yield "![loss](curves-loss.png) ![accuracy](curves-accuracy.png)"
    yield ""
    yield f"Commit {turns.commit()}; {turns.machine()}."


def script(kinds, kind, title, axis, column, subtitle):
    lines = ["$curves << END"]
    for seeds in kinds.values():
        for _, rows in sorted(seeds.items()):
            lines += [f"{r['epoch']}\t{r[column]}" for r in rows] + ["", ""]
    counts = [len(seeds) for seeds in kinds.values()]
    lines += ["END", f"array names[{len(kinds)}]", f"array first[{len(kinds) + 1}]"]
    lines += [f"names[{i + 1}] = {chart.quoted(name(k))}" for i, k in enumerate(kinds)]
    lines += [f"first[{i + 1}] = {sum(counts[:i])}" for i in range(len(kinds) + 1)]
    lines += [f"kind_count = {len(kinds)}", f"epochs = {max(len(r) for s in kinds.values() for r in s.values())}"]
    texts = {"plots": str(chart.PLOTS), "format": kind, "title": title, "axis_title": axis, "subtitle": subtitle}
    return "\n".join([*lines, *(f"{k} = {chart.quoted(v)}" for k, v in texts.items()), "load plots.'/seeds.gp'", ""])


def main(folder, recipe):
    kinds, notes = kinds_of(folder)
    rows = [dict(r, program=k[0], precision=k[1], seed=s) for k, seeds in kinds.items() for s, rs in sorted(seeds.items()) for r in rs]
    table = turns.common_notes("tests/peers/curves.py") | {k: notes[k] for k in ("dataset", "dataset-digest", "images", "held-out")}
    turns.write_table(f"{folder}/curves.tsv", table | {"recipe": recipe}, COLUMNS, rows)
    subtitle = f"{notes['dataset']}, {notes['images']} images"
    for column, title, axis in (
        ("loss", "Training loss, a curve a seed", "mean cross-entropy"),
        ("accuracy_held_out", "Held-out accuracy, a curve a seed", "accuracy (%)"),
    ):
        path = f"{folder}/curves-{column.split('_')[0]}"
        chart.draw_scripts(path, lambda kind: script(kinds, kind, title, axis, column, subtitle))
    with open(f"{folder}/curves.md", "w", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in page(kinds, notes, recipe))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except turns.Failure as failure:
        sys.exit(f"peers: {failure}")
