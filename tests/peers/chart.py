"""Draws the comparison's tables with plots/peers.gp: FOLDER/peers-float, -bf16, -int8 and -training, each as PNG and SVG.

    chart.py FOLDER        (with peers.tsv, peers-training.tsv or both in it)
"""
import os
import subprocess
import sys

import turns

PLOTS = turns.HERE.parent.parent / "plots"


def read_table(path):
    with open(path) as f:
        lines = f.read().splitlines()
    notes = dict(line[2:].split(": ", 1) for line in lines if line.startswith("#"))
    cells = [line.split("\t") for line in lines if not line.startswith("#")]
    return notes, [dict(zip(cells[0], row)) for row in cells[1:]]


# A program keeps its place and colour in every chart.
ORDER = ["resq", "openvino", "onnxruntime", "torch", "xnnpack"]


def quoted(text):
    return "'" + text.replace("'", "’") + "'"


def case(row):
    threads = f"{row['threads']} thread{'s' if row['threads'] != '1' else ''}"
    return f"batch {row['batch']}, {threads}" if row["what"] == "infer" else f"{row['precision']}, {threads}"


def script(rows, notes, kind, title, axis, digits, value):
    """kind: png or svg; value(row) -> (bar, median)."""
    groups, programs = list(dict.fromkeys(map(case, rows))), sorted({r["program"] for r in rows}, key=ORDER.index)
    wrong = {r["program"] for r in rows if r.get("correct") == "no"}
    values = [(groups.index(case(r)), programs.index(r["program"]) + 1, *value(r)) for r in rows]
    lines = ["$bars << END", *("\t".join(map(str, v)) for v in values), "END"]
    shown = [f"{p} (wrong results)" if p in wrong else p for p in programs]
    for name, texts in ("groups", groups), ("programs", shown):
        lines.append(f"array {name}[{len(texts)}]")
        lines += [f"{name}[{i + 1}] = {quoted(text)}" for i, text in enumerate(texts)]
    lines.append(f"array inks[{len(programs)}]")
    lines += [f"inks[{i + 1}] = {ORDER.index(name) + 1}" for i, name in enumerate(programs)]
    lines += [f"group_count = {len(groups)}", f"program_count = {len(programs)}"]
    lines += [f"highest = {max(max(v[2:]) for v in values)}", f"digits = {digits}"]
    subtitle = f"{notes['network']}; {notes['cpu']}; {notes['date']}"
    texts = {"plots": str(PLOTS), "format": kind, "title": title, "axis_title": axis, "subtitle": subtitle}
    lines += [f"{k} = {quoted(v)}" for k, v in texts.items()]
    return "\n".join([*lines, "load plots.'/peers.gp'", ""])


def draw_scripts(path, make):
    """make("png" or "svg") -> what gnuplot is told."""
    for kind in "png", "svg":
        environment = dict(os.environ, LC_ALL="C.UTF-8")
        try:
            done = subprocess.run(["gnuplot", "-d"], input=make(kind).encode(), capture_output=True, env=environment)
        except OSError:
            raise turns.Failure("gnuplot: not found: install gnuplot-nox (or gnuplot)")
        if done.returncode or not done.stdout:
            raise turns.Failure("gnuplot: " + done.stderr.decode().strip().splitlines()[-1])
        with open(f"{path}.{kind}", "wb") as f:
            f.write(done.stdout)


def draw(path, rows, notes, *arguments):
    draw_scripts(path, lambda kind: script(rows, notes, kind, *arguments))


def inference_charts(folder):
    milliseconds = lambda r: (float(r["ms_min"]), float(r["ms_median"]))
    notes, rows = read_table(f"{folder}/peers.tsv")
    for precision, digits in ("float", 2), ("bf16", 3), ("int8", 3):
        chosen = [r for r in rows if r["precision"] == precision]
        if not chosen:  # no peer has it on that machine
            continue
        title = f"Time of an image, {precision}: least, whisker to the median"
        draw(f"{folder}/peers-{precision}", chosen, notes, title, "ms an image", digits, milliseconds)


def training_chart(folder):
    speed = lambda r: (1e3 / float(r["ms_min"]), 1e3 / float(r["ms_median"]))
    notes, rows = read_table(f"{folder}/peers-training.tsv")
    title = f"Training, batch {rows[0]['batch']}: fastest step, whisker to the median"
    draw(f"{folder}/peers-training", rows, notes, title, "images a second", 0, speed)


def main(folder):
    """Of what was measured."""
    if os.path.exists(f"{folder}/peers.tsv"):
        inference_charts(folder)
    if os.path.exists(f"{folder}/peers-training.tsv"):
        training_chart(folder)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except turns.Failure as failure:
        sys.exit(f"peers: {failure}")
