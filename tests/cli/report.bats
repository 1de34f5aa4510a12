#!/usr/bin/env bats
# report: a run's folder as one page, from a tiny study's.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load models
load studies
load reports

page() { # PAGE [TEXT..]
    python3 "$BATS_TEST_DIRNAME/page.py" "$@"
}

many_classes() { # FILE COUNT: predictions of one image
    python3 - "$1" "$2" <<'PY'
import json, struct, sys
k = int(sys.argv[2])
h = {"__metadata__": {"format": "resq 1", "kind": "predictions"},
     "indices": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
     "logits": {"dtype": "F32", "shape": [1, k], "data_offsets": [8, 8 + 4 * k]},
     "labels": {"dtype": "U8", "shape": [1], "data_offsets": [8 + 4 * k, 9 + 4 * k]}}
t = json.dumps(h).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(t)) + t + bytes(9 + 4 * k))
PY
}

setup_file() {
    study_first -j1 results
}

@test "make results leaves a whole page and a card" {
    page "$FIRST/report.html" "tiny: float and int8" "Beside float, ptq " "McNemar" "layer1.0.conv1" "cifar-load" "confusion" airplane \
        bench.tsv "float-ptq.pair.tsv"
    run ! grep -F 'class="missing"' "$FIRST/report.html"
    [ "$(head -n 1 "$FIRST/MODEL_CARD.md")" = --- ]
    grep -q 'name: "tiny ptq"' "$FIRST/MODEL_CARD.md"
    grep -q "$(stat -c %s "$FIRST/final_ptq_quantized_model.safetensors") |" "$FIRST/MODEL_CARD.md"
    grep -q 'open .*report.html' "$BATS_FILE_TMPDIR/log"
}

@test "the same files give the same bytes, wherever they stand" {
    copy_first
    "$BIN/report" "$FIRST" -o a.html --model-card a.md
    RESQ_PLOTS=/nowhere LC_ALL=de_DE.UTF-8 TZ=Asia/Tokyo "$BIN/report" results/tiny/ > b.html
    cmp a.html b.html
    cmp a.html "$FIRST/report.html"
    cmp a.md "$FIRST/MODEL_CARD.md"
    (cd results/tiny && "$BIN/report" . | cmp - ../../a.html)
}

@test "it says what was measured" {
    python3 - "$FIRST" <<'PY'
import re, sys
run = sys.argv[1]
page = open(run + "/report.html").read()
rows = [dict(zip(open(run + "/summary.tsv").read().split("\n")[3].split("\t"), line.split("\t")))
        for line in open(run + "/summary.tsv").read().split("\n")[4:] if line]
assert len(rows) == 3
table = page[page.index('id="models"'):page.index('id="pareto"')]
for row in rows:
    line = re.search(r"<tr><th scope=\"row\">%s</th>(.*?)</tr>" % row["model"], table, re.S).group(1)
    assert "%.2f <small>(%.2f to %.2f)" % tuple(float(row[k]) for k in ("accuracy", "accuracy_low", "accuracy_high")) in line, line
    assert 'data-v="%s"' % row["bytes"] in line and "%.3f" % float(row["ms_per_sample"]) in line, line
for name in ("ptq", "qat"):
    pair = dict(l.split("\t")[::2] for l in open(f"{run}/float-{name}.pair.tsv") if l.count("\t") == 2 and "\t-\t" in l)
    p = "McNemar p = %.2g" % float(pair["mcnemar_p"])
    assert p in re.search(r"Beside float, %s (.*?)</p>" % name, page).group(1), p
    for kind, key in (("right to wrong", "only_first_right"), ("wrong to right", "only_second_right")):
        heading = f"From float to {name}: {kind}, {int(pair[key])} of 100 images"
        assert heading in page, heading
        block = page[page.index(heading):].split("</div>")[0]
        assert block.count("<figure") == int(pair[key]), heading
# What is to be taken along is what stands in the folder.
import base64
for name, data in re.findall(r'<a download="([^"]*)" href="data:text/tab-separated-values;base64,([^"]*)"', page):
    assert base64.b64decode(data) == open(f"{run}/{name}", "rb").read(), name
PY
}

@test "what the layers table says of clipping is what the histogram holds" {
    "$BIN/quantize" -m "$FIRST/fused_model.safetensors" -r "$FIRST/ranges.safetensors" --activation-bits 4 --match off -o q.st
    mkdir run
    mv q.st run/int8.st
    cp "$FIRST/ranges.safetensors" "$FIRST/fused_model.safetensors" run
    "$BIN/report" run -o out.html
    "$BIN/inspect" tensor --values conv1.histogram run/ranges.safetensors > bins
    "$BIN/inspect" tensor --values conv1.exponent run/ranges.safetensors > exponent
    for t in scale zero_point range; do "$BIN/inspect" tensor --values conv1.$t run/int8.st > $t; done
    python3 - <<'PY'
import re
numbers = lambda f: [float(x) for x in open(f).read().split()]
bins, k, scale, zero = numbers("bins"), numbers("exponent")[0], numbers("scale")[0], numbers("zero_point")[0]
low, high = ((q - zero) * scale for q in numbers("range"))
step = 2.0 ** k
# Whole bins beyond the end: the cut one may count in part.
inner = sum(n for j, n in enumerate(bins) if (j - 1024) * step >= high) / sum(bins) * 100
outer = sum(n for j, n in enumerate(bins) if (j - 1023) * step > high) / sum(bins) * 100
row = re.search(r'<th scope="row">conv1<br>.*?</tr>', open("out.html").read(), re.S).group(0)
cells = re.findall(r'<td data-v="([0-9.]+)"', row)
said = float(cells[1]) * 100
assert inner - 1e-6 <= said <= outer + 1e-6 and said > 0, (inner, said, outer)
assert "<td>16</td>" in row, row  # codes
PY
}

@test "margins are those of the predictions; other runtimes stand there where their table does" {
    python3 - "$FIRST" <<'PY'
import json, re, struct, sys
run = sys.argv[1]
page = open(run + "/report.html").read()
table = page[page.index("Margins that so many"):]
for name in ("float", "ptq", "qat"):
    raw = open("%s/%s.predictions.safetensors" % (run, name), "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    a, b = json.loads(raw[8:8 + n])["logits"]["data_offsets"]
    logits = struct.unpack("<%df" % ((b - a) // 4), raw[8 + n + a:8 + n + b])
    rows = [sorted(logits[i:i + 10]) for i in range(0, len(logits), 10)]
    margins = sorted(r[-1] - r[-2] for r in rows)
    said = re.findall(r"<td>([0-9.]+)</td>", table[table.index(" %s</th>" % name):])[:4]
    for share, text in zip((0.01, 0.05, 0.25, 0.5), said):
        assert abs(float(text) - margins[int(share * len(margins))]) < 6e-4, (name, share, text)
PY
    [ "$(grep -c 'Margins: how far' "$FIRST/report.html")" -eq 1 ]
    run ! grep 'Other programs with the same network' "$FIRST/report.html"
    copy_first
    printf 'what\tprogram\tversion\tform\tprecision\tbatch\tthreads\tms_median\tms_min\tratio_median\tagreement\tcorrect\n' > results/tiny/peers.tsv
    printf 'infer\t<b>&\t1.2\tqdq\tint8\t1\t1\t3.5\t3.25\t0.5\t99.5\tno\n' >> results/tiny/peers.tsv
    "$BIN/report" results/tiny > page.html
    grep -qF '<td class="words">&lt;b&gt;&amp; 1.2 (qdq), wrong</td><td>3.250</td><td>3.500</td><td>0.50</td><td>99.5</td><td>-</td>' page.html
    page page.html "Other programs with the same network"
}

@test "names from elsewhere are text, in every place" {
    hostile_run "$FIRST" "$PWD/<s>run\"'&"
    "$BIN/report" "$PWD/<s>run\"'&" --images "$PWD/<s>run\"'&.batches" -o out.html --model-card card.md
    page out.html "<script>alert(1)</script>" "\"><img src=x onerror=alert(2)>" "' onmouseover='alert(3)" "&lt;b&gt; & &amp;amp;" \
        "]]></svg><script>alert(4)</script>" "javascript:alert(5)" "<s>run\"'&: float and int8" "<img src=x onerror=alert(7)>" \
        "echo <script>alert(8)</script>" "</title></style></table></section>"
    python3 - "$PWD/<s>run\"'&" <<'PY'
import json, os, re, sys
front, body = open("card.md").read().split("\n---\n")  # so the line stands once
strings = [json.loads(line.split(": ", 1)[1]) for line in front.split("\n") if re.match(r" *(- )?(name|split): ", line)]
assert os.path.basename(sys.argv[1]) + " float" in strings, strings
assert not re.search(r"<[a-z/!]|[^\\]\]\(", body), re.search(r"<[a-z/!]|[^\\]\]\(", body)
for line in body.split("\n"):
    if line.startswith("|"):
        assert len(re.findall(r"(?<!\\)\|", line)) in (7, 8), line
PY
    "$BIN/report" "$PWD/<s>run\"'&" "$FIRST" -o both.html
    page both.html "<s>run\"'&, float"
}

@test "what is not there is left out, with a line" {
    mkdir run
    cp "$FIRST"/float.metrics.tsv run/
    "$BIN/report" run -o out.html
    page out.html "No model record here." "No timings here (bench)." "No training log here."
    cp "$FIRST"/*.tsv run/ # as plots/recorded keeps a run
    "$BIN/report" run -o tables.html
    page tables.html "No predictions here: no curve." "Beside float, qat "
    cp "$FIRST"/*.predictions.safetensors run/
    "$BIN/report" run -o out.html
    page out.html "The test images are not here"
    rm run/*.tsv # predictions alone: the same numbers
    "$BIN/report" run -o alone.html
    [ "$(grep -o '[0-9.]* <small>([0-9.]* to [0-9.]*)' alone.html)" = "$(grep -o '[0-9.]* <small>([0-9.]* to [0-9.]*)' tables.html)" ]
}

@test "a pipeline by hand: files of any name" {
    mkdir run
    cp "$FIRST/fused_model.safetensors" run/f.st
    cp "$FIRST/final_ptq_quantized_model.safetensors" run/q.st
    for m in f q; do
        "$BIN/evaluate" -m run/$m.st --predictions run/$m.pred.st -o run/$m.tsv < "$FIRST/.work/test.batches"
    done
    "$BIN/bench" -m run/f.st -m run/q.st --seconds 0 --layers -o run/times.tsv
    "$BIN/report" run --images "$FIRST/.work/test.batches" -o out.html
    page out.html "Beside f, q " "its share of the time" "$(stat -c %s run/q.st)"
}

@test "runs beside each other are paired on the same images" {
    copy_first
    "$BIN/report" "$FIRST" results/tiny -o out.html
    page out.html "tiny, ptq" "tiny (2), ptq"
    grep -q 'tiny (2), ptq</th><td>0.00</td><td>100.00</td><td>0</td><td>0</td><td>1</td>' out.html
    record_edit results/tiny/ptq.predictions.safetensors results/other 'put("indices", 0, "q", 77777)'
    mv results/other results/tiny/ptq.predictions.safetensors
    "$BIN/report" "$FIRST" results/tiny -o out.html
    grep -q 'tiny (2), ptq</th><td>0.00</td><td colspan="4">not the same images' out.html
}

@test "at full width, and with a swept run's tables, it stays below 2 MB and two seconds" {
    mkdir run
    cp "$TREE"/plots/recorded/full/*.tsv run/
    began=$EPOCHREALTIME
    "$BIN/report" run -o out.html
    echo "microseconds: $((${EPOCHREALTIME/./} - ${began/./}))"
    page out.html "Beside float, ptq loses nothing measurable (McNemar p = 0.24;" "is 4.0 times smaller and 11.0 times as fast" "The sweep"
}

@test "many classes with long names, many rows: still below 2 MB" {
    mkdir run
    python3 - <<'PY'
import random
random.seed(1)
names = ["class %d " % i + "<&\">" * 60 for i in range(256)]
for name, stage in (("float", "float"), ("ptq", "int8"), ("qat", "int8")):
    with open(f"run/{name}.metrics.tsv", "w") as f:
        f.write(f"# dataset: d\n# stage: {stage}\nmetric\tclass\tpredicted\tvalue\tlow\thigh\n")
        f.write("images\t-\t-\t65536\t-\t-\nloss\t-\t-\t1\t-\t-\ncalibration_error\t-\t-\t1\t-\t-\n")
        for n in names:
            f.write(f"recall\t{n}\t-\t1\t-\t-\n")
        for n in names:
            for p in names:
                f.write(f"confusion\t{n}\t{p}\t{random.randrange(1, 9)}\t-\t-\n")
with open("run/float.log.tsv", "w") as f:
    f.write("epoch\tstep\tlearning_rate\tloss\taccuracy_train\taccuracy_held_out\timages_per_s\tseconds\n")
    for i in range(20000):
        f.write(f"{i}\t{i}\t0.1\t{random.random()}\t50\t50\t1\t1\n")
PY
    "$BIN/report" run -o out.html
    page out.html "left out to keep the page small"
}

@test "bad input is one line, exit 1, and no file" {
    fails "nowhere" "$BIN/report" nowhere -o out
    mkdir run
    fails "run: no table" "$BIN/report" run -o out
    printf 'a\tb\n1\n' > run/x.tsv
    fails "run/x.tsv" "$BIN/report" run -o out
    rm run/x.tsv
    head -c 100 "$FIRST/float.predictions.safetensors" > run/p.st
    fails "run/p.st" "$BIN/report" run -o out
    rm run/p.st
    many_classes run/p.st 300
    "$BIN/report" run -o 300.html
    many_classes run/p.st 65536
    fails "p: predictions of 1 images in 65536 classes" "$BIN/report" run -o out
    rm run/p.st
    sed 's/^confusion\tcat\tcat\t.*/confusion\tcat\tcat\t-4\t-\t-/' "$FIRST/float.metrics.tsv" > run/float.metrics.tsv
    fails "float: metrics row" "$BIN/report" run -o out
    rm run/float.metrics.tsv
    cp "$FIRST"/*.predictions.safetensors run
    fails "other.batches" "$BIN/report" run --images other.batches -o out
    make_bin other.bin 20 9
    "$BIN/cifar-load" -d other.bin --split test -o other.batches
    fails "other.batches: dataset-digest" "$BIN/report" run --images other.batches -o out
    fails "is both the page and the card" "$BIN/report" run --model-card out -o out
    "$BIN/cifar-load" -d other.bin --split test -o out.batches
    fails "out.batches" "$BIN/report" run --images out.batches -o out.batches
    run "$BIN/report"
    [ "$status" -eq 2 ]
    run "$BIN/report" run run --model-card card
    [ "$status" -eq 2 ]
}

@test "--as: the recorded pages and tables again, byte for byte" {
    full=$TREE/plots/recorded/full
    "$BIN/report" --as sweep "$full/sweep.tsv" sweep-{bits,parts,calibration,observers-8,observers-4} | cmp - "$full/sweep.md"
    "$BIN/report" --as ablation "$full/ablation.tsv" -o page
    cmp page "$full/ablation.md"
    "$BIN/report" --as summary "$full"/{float,ptq,qat}.metrics.tsv "$full/bench.tsv" float=44753544 ptq=11221842 qat=11222610 |
        cmp - "$full/summary.tsv"
    "$BIN/report" --as table "$full/summary.tsv" | cmp - <(grep '^|' "$full/README.md" | head -n 5)
}

@test "--as: what is no such table is refused in one line, and nothing is left" {
    full=$TREE/plots/recorded/full
    printf 'a\tb\n1\n' > ragged
    sed 's/\t92\.8000\t/\tninety\t/' "$full/sweep.tsv" > number
    grep -v '^# images' "$full/sweep.tsv" > note
    grep -v '^float' "$full/sweep.tsv" > float
    sed '2s/^/\r/' "$full/ablation.tsv" > return
    grep -v 'infer.*qat' "$full/bench.tsv" > untimed
    while IFS='|' read -r arguments want; do
        # shellcheck disable=SC2086 # words
        run -1 "$BIN/report" --as $arguments -o out
        [ "$output" = "report: $want" ] || { echo "$arguments: $output"; return 1; }
        [ ! -e out ]
    done <<END
sweep ragged|ragged: line 2: 1 fields, want 2
sweep number|number: row 1: accuracy: 'ninety' is not a number
sweep note|note: no note 'images'
sweep float|float: no row of the stage 'float'
ablation $full/sweep.tsv|$full/sweep.tsv: no column 'variant'
ablation return|return: line 2: a carriage return: lines of a table end in a line feed alone
table $full/sweep.tsv|$full/sweep.tsv: no column 'model'
sweep absent|absent: cannot open: No such file or directory
run absent|absent: cannot open: No such file or directory
summary $full/float.metrics.tsv $full/ptq.metrics.tsv $full/qat.metrics.tsv untimed float=1 ptq=1 qat=1|qat: no time in the same precision
summary $full/float.metrics.tsv $full/ptq.metrics.tsv $full/qat.metrics.tsv $full/bench.tsv float=1 ptq=0 qat=1|ptq: '0' is not in 1..1125899906842624
END
    run -2 "$BIN/report" --as table
    [ "${lines[0]}" = "report: --as table: missing operand" ]
    run -2 "$BIN/report" --as table a b
    [ "${lines[0]}" = "report: --as table: unexpected operand 'b'" ]
    run -2 "$BIN/report" --as table a --model-card b
}
