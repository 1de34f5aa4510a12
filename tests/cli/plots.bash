# What the tests of plot share: inputs of every kind, and what a picture is asked for.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

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

# ranges FILE [VALUE:COUNT]..: an activation `conv1` with these values; 0 (1000 times), 1.5 (10) and 3.25 (1): bins of 2^-8.
ranges() {
    [ $# -gt 1 ] || set -- "$1" 0:1000 1.5:10 3.25:1
    python3 - "$@" <<'PY'
import json, math, struct, sys
values = [(float(x), int(n)) for x, n in (v.split(":") for v in sys.argv[2:])]
least, most = min(values)[0], max(values)[0]
k, bins = -40, [0] * 2048
while not (-1024 <= math.floor(least / 2.0**k) and math.floor(most / 2.0**k) <= 1023):
    k += 1
for x, count in values:
    bins[math.floor(x / 2.0**k) + 1024] = count
parts = [("conv1.histogram", "U64", [2048], struct.pack("<2048Q", *bins)), ("conv1.exponent", "I32", [], struct.pack("<i", k)),
         ("conv1.min", "F32", [], struct.pack("<f", least)), ("conv1.max", "F32", [], struct.pack("<f", most))]
head, data = {"__metadata__": {"kind": "ranges", "dataset": "X", "images": "5"}}, b""
for name, kind, shape, bytes_ in parts:
    head[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(bytes_)]}
    data += bytes_
text = json.dumps(head).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
}

# dejavu_alone: fontconfig finds DejaVu and no other font, whatever is installed.
dejavu_alone() {
    printf '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>%s</dir><cachedir>%s</cachedir></fontconfig>' \
        "${1:-/usr/share/fonts/truetype/dejavu}" "$PWD/fonts.cache" > fonts.conf
    export FONTCONFIG_FILE=$PWD/fonts.conf
}

look() {
    python3 "$TREE/tests/cli/look.py" "$@"
}

# summary ROW..: a table of models; ROW: NAME ACCURACY LOW HIGH BYTES MS P95, by |
summary() {
    printf '# dataset: X\nmodel\taccuracy\taccuracy_low\taccuracy_high\tbytes\tms_per_sample\tms_p95\n'
    printf '%s\n' "$@" | tr '|' '\t'
}

# log ROW..: a training log; ROW: EPOCH RATE LOSS TRAIN HELD_OUT, by |
log() {
    printf 'epoch\tlearning_rate\tloss\taccuracy_train\taccuracy_held_out\n'
    printf '%s\n' "$@" | tr '|' '\t'
}

# matrix COUNT LARGEST [NAME]: metrics of as many classes
matrix() {
    NAME=${3:-class} awk -v n="$1" -v most="$2" 'BEGIN {
        name = ENVIRON["NAME"] # -v would read its backslashes
        print "metric\tclass\tpredicted\tvalue"
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++)
                printf "confusion\t%s %d\t%s %d\t%.0f\n", name, i, name, j, i == j ? most : (7 * i + 3 * j) % 11 ? 0 : most / 9
    }'
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
