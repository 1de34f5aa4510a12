#!/usr/bin/env bats
# plot: charts by gnuplot and grids of pictures. That the pictures are good was seen by eye; here: whole, the same each time,
# holding what they should, and never half.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    local log=$'epoch\tstep\tlearning_rate\tloss\taccuracy_train\taccuracy_held_out\timages_per_s\tseconds'
    local data=$'# dataset: CIFAR-10 (JPEG q75)\n# dataset-digest: sha256:0123456789abcdef0123'
    printf '%s\n' "$data" "$log" $'1\t10\t0.1\t1.9\t30\t35\t900\t5' $'2\t20\t0.01\t1.2\t50\t52.5\t900\t10' > float.log.tsv
    printf '%s\n' "$data" "$log" $'0\t0\t-\t-\t-\t52\t-\t1' $'1\t10\t0.001\t1.1\t53\t-\t900\t5' > qat.log.tsv
    local summary=$'model\tdataset\timages\taccuracy\taccuracy_low\taccuracy_high\tloss\tbytes\tms_per_sample\tms_p95\tsamples_per_s\tthreads\tbatch\tisa'
    printf '%s\n' "$data" "$summary" $'float\tX\t900\t81.5\t80.7\t82.2\t0.5\t2830000\t3.2\t3.9\t300\t1\t1\tavx2' \
        $'ptq\tX\t900\t81.2\t80.4\t81.9\t0.5\t735000\t1.6\t1.7\t600\t1\t1\tavx2' > summary.tsv
    { # metrics of three classes, one with every character that gnuplot could mistake
        printf '%s\n' "$data" '# split: test' '# part: all' '# images: 60' $'metric\tclass\tpredicted\tvalue\tlow\thigh'
        printf 'accuracy\t-\t-\t50.0000\t37.7\t62.3\n'
        for a in cat "it's @{_dog^}\`id\`" "naïve \"<frog>\" %d"; do
            for b in cat "it's @{_dog^}\`id\`" "naïve \"<frog>\" %d"; do
                printf 'confusion\t%s\t%s\t%d\t-\t-\n' "$a" "$b" $((${#a} + ${#b}))
            done
        done
    } > odd.metrics.tsv
    make_bin images.bin 40 1
    "$BIN/cifar-load" -d images.bin --split test -b 16 -o batches
    "$BIN/cifar-load" -d images.bin -n 3 -o originals
    "$BIN/cifar-load" -d images.bin -n 3 --epochs 4 -o epochs
    predictions batches predictions
    ranges ranges
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    ln -s "$BATS_FILE_TMPDIR"/* .
    export RESQ_PLOTS=$TREE/plots
}

# predictions BATCHES FILE: those of a model that is right but for image 2, of which it is very sure.
predictions() {
    python3 - "$1" "$2" <<'PY'
import json, struct, sys
n = 40
logits = []
for i in range(n):
    answer = 7 if i == 2 else i % 10
    logits += [20.0 if c == answer else 0.0 for c in range(10)]
raw = open(sys.argv[1], "rb").read()
meta = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]
keep = {k: meta[k] for k in ("dataset", "dataset-digest", "classes", "split", "part")}
parts = [("indices", "I64", [n], struct.pack(f"<{n}q", *range(n))), ("logits", "F32", [n, 10], struct.pack(f"<{10 * n}f", *logits)),
         ("labels", "U8", [n], bytes(i % 10 for i in range(n)))]
head, data = {"__metadata__": {"kind": "predictions", "stage": "int8", **keep}}, b""
for name, kind, shape, bytes_ in parts:
    head[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(bytes_)]}
    data += bytes_
text = json.dumps(head).encode()
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
}

# ranges FILE: an activation `conv1` with values 0 (1000 times), 1.5 (10) and 3.25 (1): bins of 2^-8.
ranges() {
    python3 - "$1" <<'PY'
import json, struct, sys
k, bins = -8, [0] * 2048
for x, count in ((0, 1000), (1.5, 10), (3.25, 1)):
    bins[int(x / 2**k) + 1024] = count
parts = [("conv1.histogram", "U64", [2048], struct.pack("<2048Q", *bins)), ("conv1.exponent", "I32", [], struct.pack("<i", k)),
         ("conv1.min", "F32", [], struct.pack("<f", 0)), ("conv1.max", "F32", [], struct.pack("<f", 3.25))]
head, data = {"__metadata__": {"kind": "ranges", "dataset": "X", "images": "5"}}, b""
for name, kind, shape, bytes_ in parts:
    head[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(bytes_)]}
    data += bytes_
text = json.dumps(head).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
}

needs_gnuplot() {
    command -v gnuplot > /dev/null || skip "no gnuplot"
}

fails() { # STATUS LINE: one line on stderr, nothing on stdout, no file
    [ "$status" -eq "$1" ] || { echo "status $status: $output $stderr"; return 1; }
    [ -z "$output" ]
    [ "$stderr" = "$2" ] || { echo "got  $stderr"; echo "want $2"; return 1; }
    [ "$(find . -name '*.part' | wc -l)" -eq 0 ]
}

# size FILE.png: "WIDTHxHEIGHT", the whole file checked against its CRCs.
size() {
    python3 - "$1" <<'PY'
import struct, sys, zlib
raw, at, kinds = open(sys.argv[1], "rb").read(), 8, []
assert raw[:8] == b"\x89PNG\r\n\x1a\n"
while at < len(raw):
    n, kind = struct.unpack(">I4s", raw[at : at + 8])
    assert zlib.crc32(raw[at + 4 : at + 8 + n]) == struct.unpack(">I", raw[at + 8 + n : at + 12 + n])[0]
    if kind == b"IHDR":
        print("%dx%d" % struct.unpack(">II", raw[at + 8 : at + 16]))
    kinds.append(kind)
    at += 12 + n
assert kinds[-1] == b"IEND" and b"tIME" not in kinds
PY
}

# texts FILE.svg: what is written in the chart; the XML is checked on the way.
texts() {
    python3 -c 'import sys, xml.etree.ElementTree as t
for e in t.parse(sys.argv[1]).iter("{http://www.w3.org/2000/svg}text"):
    print("".join(e.itertext()).strip())' "$1"
}

holds() { # FILE.svg TEXT..: each of these texts stands in the chart
    texts "$1" > texts
    for text in "${@:2}"; do
        grep -qF -e "$text" texts || { echo "no '$text' in $1:"; cat texts; return 1; }
    done
}

@test "every chart is a whole picture, in PNG and SVG, and the same each time" {
    needs_gnuplot
    while read -r -a arguments; do
        for file in 1.png 2.png 1.svg; do
            run --separate-stderr env LC_ALL=de_DE.UTF-8 LANG=de_DE "$BIN/plot" "${arguments[@]}" -o $file
            [ "$status" -eq 0 ] || { echo "${arguments[*]}: $stderr"; return 1; }
            [ -z "$output$stderr" ] || { echo "${arguments[*]}: $stderr"; return 1; }
        done
        cmp 1.png 2.png
        size 1.png
        texts 1.svg | grep -q .
    done <<'END'
loss float.log.tsv qat.log.tsv
loss float.log.tsv
accuracy float.log.tsv qat.log.tsv
confusion odd.metrics.tsv
compare-accuracy summary.tsv
compare-size summary.tsv
compare-time summary.tsv
histogram ranges conv1
END
}

@test "charts say what data they are of" {
    needs_gnuplot
    for chart in "loss float.log.tsv" "accuracy qat.log.tsv" "compare-size summary.tsv" "confusion odd.metrics.tsv"; do
        # shellcheck disable=SC2086
        "$BIN/plot" $chart -o chart.svg
        holds chart.svg "CIFAR-10 (JPEG q75)" "sha256:0123456789ab"
    done
    holds chart.svg "test, 60 images, accuracy 50.00 % (37.70 to 62.30)"
    "$BIN/plot" loss float.log.tsv --title "My title" -o chart.svg
    holds chart.svg "My title"
    "$BIN/plot" loss float.log.tsv --title "My title" -o again.svg
    cmp chart.svg again.svg
}

@test "runs are named by file or by label" {
    needs_gnuplot
    "$BIN/plot" loss float.log.tsv qat.log.tsv -o chart.svg
    holds chart.svg float qat "learning rate" epoch
    "$BIN/plot" accuracy float.log.tsv qat.log.tsv --label "it's A" --label B_b -o chart.svg
    holds chart.svg "it's A, held out" "it's A, training" "B_b, held out"
}

@test "names are shown as they are, not run" {
    needs_gnuplot
    "$BIN/plot" confusion odd.metrics.tsv -o chart.svg
    holds chart.svg "it's @{_dog^}\`id\`" "naïve \"<frog>\" %d"
    "$BIN/plot" loss float.log.tsv --label '`touch ran`' --title "'; system 'touch ran'" -o chart.svg
    [ ! -e ran ]
    holds chart.svg '`touch ran`' "'; system 'touch ran'"
}

@test "bars carry their values, and a cut axis says so" {
    needs_gnuplot
    "$BIN/plot" compare-accuracy summary.tsv -o chart.svg
    holds chart.svg "81.50 %" "80.70 to 82.20" "axis cut: starts at 75"
    sed 's/^ptq\tX\t900\t81.2\t80.4\t81.9/ptq\tX\t900\t21\t20\t22/' summary.tsv > apart.tsv
    "$BIN/plot" compare-accuracy apart.tsv -o chart.svg
    holds chart.svg "21.00 %"
    run ! grep -q cut texts
    "$BIN/plot" compare-size summary.tsv -o chart.svg
    holds chart.svg "2.83 MB" "0.260 of float"
    "$BIN/plot" compare-time summary.tsv -o chart.svg
    holds chart.svg "3.20 ms" "2.00 x as fast as float" "batch 1, 1 thread, avx2"
}

@test "cells of the confusion matrix hold count and percent" {
    needs_gnuplot
    printf 'metric\tclass\tpredicted\tvalue\nconfusion\ta\ta\t3\nconfusion\ta\tb\t1\nconfusion\tb\ta\t0\nconfusion\tb\tb\t7\n' > m
    "$BIN/plot" confusion m -o chart.svg
    holds chart.svg "Confusion matrix: m" "75.0 %" "25.0 %" "100 %" "predicted class" "true class"
    [ "$(grep -cx 7 texts)" -eq 1 ]
}

@test "a histogram shows its clip points" {
    needs_gnuplot
    python3 - <<'PY'
import json, struct
graph = """x = input u8[4,4,3]
n = normalize x mean=0,0,0 std=1,1,1 f32[4,4,3]
q = quantize n u8[4,4,3]
conv1 = conv2d q out=2 kernel=1 bias relu u8[4,4,2]
p = avgpool conv1 u8[2]
fc = linear p out=2 bias f32[2]
"""
parts = [("conv1.weight_scale", "F32", [2], struct.pack("<2f", .5, .5)), ("conv1.bias", "I32", [2], bytes(8)),
         ("fc.weight_scale", "F32", [2], struct.pack("<2f", .5, .5)), ("fc.bias", "I32", [2], bytes(8))]
parts += [(x + ".scale", "F32", [], struct.pack("<f", 2 / 255)) for x in ("q", "conv1", "p")]
parts += [("conv1.weight", "I8", [2, 3, 1, 1], bytes(6)), ("fc.weight", "I8", [2, 2], bytes(4))]
parts += [p for x in ("q", "conv1", "p") for p in ((x + ".zero_point", "U8", [], b"\0"), (x + ".range", "U8", [2], b"\0\xff"))]
head, data = {"__metadata__": {"kind": "model", "stage": "int8", "graph": graph}}, b""
for name, kind, shape, bytes_ in parts:
    head[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(bytes_)]}
    data += bytes_
text = json.dumps(head).encode()
open("int8", "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
    "$BIN/plot" histogram ranges conv1 -m int8 -o chart.svg
    holds chart.svg "Values of conv1" "smallest 0, largest 3.25" "codes reach from 0 to 2 (0.0989 % of values beyond)" "5 images"
    run --separate-stderr "$BIN/plot" histogram ranges fc -o none.svg
    fails 1 "plot: ranges: no activation 'fc'; the first is 'conv1'"
    run --separate-stderr "$BIN/plot" histogram batches conv1 -o none.svg
    [ "$status" -eq 1 ]
    [ ! -e none.svg ]
}

@test "grids: as many pictures as asked, enlarged, the same each time" {
    "$BIN/plot" images -o a.png < batches
    "$BIN/plot" images --images batches -o b.png < /dev/null
    cmp a.png b.png
    [ "$(size a.png)" = "1684x1209" ] # 8 columns, 5 rows
    "$BIN/plot" images -n 5 --columns 5 --scale 3 -o c.png < batches
    [ "$(size c.png | cut -dx -f1)" -lt 1000 ]
    "$BIN/plot" augmented -o d.png < epochs
    "$BIN/plot" augmented --originals originals -o e.png < epochs
    [ "$(size e.png | cut -dx -f1)" -gt "$(size d.png | cut -dx -f1)" ]
    [ "$(size e.png | cut -dx -f2)" -eq "$(size d.png | cut -dx -f2)" ]
}

@test "samples: a wrong one is marked" {
    "$BIN/plot" samples predictions -o a.png < batches
    python3 - <<'PY' # red frame pixels: only where image 2 stands, the third of the first row
import struct, zlib
raw, at, data = open("a.png", "rb").read(), 8, b""
while at < len(raw):
    n, kind = struct.unpack(">I4s", raw[at : at + 8])
    if kind == b"IHDR":
        w, h, depth, colour = struct.unpack(">IIBB", raw[at + 8 : at + 18])
        assert (depth, colour) == (8, 2)
    if kind == b"IDAT":
        data += raw[at + 8 : at + 8 + n]
    at += 12 + n
data, stride, rows, last = zlib.decompress(data), 3 * w, [], bytes(3 * w)
for y in range(h):
    f, line = data[y * (stride + 1)], bytearray(data[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
    for i in range(stride):
        a = line[i - 3] if i >= 3 else 0
        b, c = last[i], last[i - 3] if i >= 3 else 0
        p = a + b - c
        best = a if abs(p - a) <= abs(p - b) and abs(p - a) <= abs(p - c) else b if abs(p - b) <= abs(p - c) else c
        line[i] = (line[i] + (0, a, b, (a + b) // 2, best)[f]) & 255
    rows.append(line)
    last = line
red = [(x, y) for y in range(h) for x in range(w) if rows[y][3 * x : 3 * x + 3] == bytes((200, 30, 0))]
xs, ys = [x for x, _ in red], [y for _, y in red]
assert len(red) > 2000, len(red)
assert 20 + 2 * 196 - 4 <= min(xs) and max(xs) < 20 + 3 * 196 and max(ys) < 340, (min(xs), max(xs), max(ys))
PY
    "$BIN/plot" samples predictions --label PTQ -n 3 -o b.png < batches
    run ! cmp -s a.png b.png
}

@test "samples and originals must be of the same images" {
    make_bin other.bin 40 2
    "$BIN/cifar-load" -d other.bin --split test -o other
    run --separate-stderr "$BIN/plot" samples predictions -o none.png < other
    [ "$status" -eq 1 ]
    [[ $stderr == "plot: dataset-digest: "* ]]
    run --separate-stderr "$BIN/plot" augmented --originals other -o none.png < epochs
    [ "$status" -eq 1 ]
    [[ $stderr == "plot: other: dataset-digest: "* ]]
    run --separate-stderr "$BIN/plot" samples batches -o none.png < batches
    [ "$status" -eq 1 ]
    [[ $stderr == "plot: batches: "* ]]
    [ ! -e none.png ]
}

@test "empty, cut and wrong input" {
    run --separate-stderr "$BIN/plot" images -o x.png < /dev/null
    [ "$status" -eq 1 ]
    [[ $stderr == "plot: stdin: "*"empty input"* ]]
    head -c -300 batches > shortened
    run --separate-stderr "$BIN/plot" images -n 2 -o x.png < shortened
    [ "$status" -eq 1 ]
    [[ $stderr == "plot: stdin: truncated stream after "* ]]
    : > nothing
    for kind in loss accuracy confusion compare-size; do
        run --separate-stderr "$BIN/plot" $kind nothing -o x.png
        fails 1 "plot: nothing: empty input"
        run --separate-stderr "$BIN/plot" $kind absent -o x.png
        fails 1 "plot: absent: cannot open: No such file or directory"
    done
    run --separate-stderr "$BIN/plot" confusion summary.tsv -o x.png
    fails 1 "plot: summary.tsv: no columns metric, class, predicted and value: not from evaluate"
    run --separate-stderr "$BIN/plot" loss summary.tsv -o x.png
    fails 1 "plot: summary: no column 'epoch'"
    sed 's/0123/9999/' qat.log.tsv > qat2.log.tsv
    run --separate-stderr "$BIN/plot" loss float.log.tsv qat2.log.tsv -o x.png
    [ "$status" -eq 1 ]
    [[ $stderr == "plot: qat2: dataset-digest: "* ]]
    [ ! -e x.png ]
}

@test "without gnuplot, without scripts, with a broken script: one line, no file" {
    mkdir empty
    cp "$BIN/plot" empty/
    run --separate-stderr env PATH="$PWD/empty" "$BIN/plot" loss float.log.tsv -o x.png
    fails 1 "plot: gnuplot: not found: install gnuplot-nox (or gnuplot)"
    run --separate-stderr env -u RESQ_PLOTS "$PWD/empty/plot" loss float.log.tsv -o x.png
    fails 1 "plot: style.gp: not found beside the program: set RESQ_PLOTS to the folder of scripts"
    run --separate-stderr env RESQ_PLOTS=/absent "$BIN/plot" loss float.log.tsv -o x.png
    fails 1 "plot: /absent/style.gp: cannot open (RESQ_PLOTS): No such file or directory"
    needs_gnuplot
    mkdir -p prefix/bin prefix/share/resq/plots
    cp "$BIN/plot" prefix/bin/resq-plot
    cp "$TREE"/plots/*.gp prefix/share/resq/plots
    env -u RESQ_PLOTS prefix/bin/resq-plot loss float.log.tsv -o installed.png
    "$BIN/plot" loss float.log.tsv -o here.png
    cmp installed.png here.png
    echo 'plot nonsense(' >> prefix/share/resq/plots/loss.gp
    run --separate-stderr env RESQ_PLOTS="$PWD/prefix/share/resq/plots" "$BIN/plot" loss float.log.tsv -o x.png
    [ "$status" -eq 1 ]
    [[ $stderr == "plot: gnuplot: "* ]]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [ ! -e x.png ]
}

@test "a limit on files leaves no file" {
    run --separate-stderr bash -c "ulimit -f 1; '$BIN/plot' images -o x.png < batches"
    fails 1 "plot: x.png: write error: File too large"
    [ ! -e x.png ]
    needs_gnuplot
    run --separate-stderr bash -c "ulimit -f 4; '$BIN/plot' confusion odd.metrics.tsv -o x.png"
    [ "$status" -eq 1 ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [ ! -e x.png ]
    [ "$(find . -name '*.part' | wc -l)" -eq 0 ]
}

@test "outputs are checked before the work" {
    mkdir folder.png
    for out in absent/x.png folder.png; do
        run --separate-stderr "$BIN/plot" images -o $out < /dev/null
        [ "$status" -eq 1 ]
        [[ $stderr == "plot: $out: cannot write"* ]]
    done
    cp summary.tsv mine.png
    run --separate-stderr "$BIN/plot" compare-size mine.png -o mine.png
    fails 1 "plot: mine.png: output is the same file as input mine.png"
    cmp mine.png summary.tsv
}

@test "misuse" {
    while read -r -a arguments; do
        run --separate-stderr "$BIN/plot" "${arguments[@]}" < /dev/null
        [ "$status" -eq 2 ] || { echo "${arguments[*]}: $status"; return 1; }
        [ "${#stderr_lines[@]}" -eq 2 ]
        [ -z "$output" ]
    done <<'END'
-o x.png
pie summary.tsv -o x.png
loss -o x.png
confusion a b -o x.png
histogram ranges -o x.png
images -n -1 -o x.png
images -n 1e9 -o x.png
images --scale 0 -o x.png
images surplus -o x.png
images -o x.svg
images -o x
images
compare-size summary.tsv -o -
END
}
