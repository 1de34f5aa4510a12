#!/usr/bin/env bats
# evaluate: metrics of a model on images, and two models' predictions side by side.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers
load models

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_bin images.bin 90 1
    make_bin others.bin 90 2
    "$BIN/cifar-load" -d images.bin --split test -b 32 -o batches
    "$BIN/cifar-load" -d others.bin --split test -b 32 -o others
    "$BIN/train-fp32" --width 4 --epochs 0 -s 1 -o a.model
    "$BIN/train-fp32" --width 4 --epochs 0 -s 2 -o b.model
    "$BIN/evaluate" -m a.model --predictions a -o a.tsv < batches
    "$BIN/evaluate" -m b.model --predictions b -o b.tsv < batches
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    ln -s "$BATS_FILE_TMPDIR"/* .
}

fails() { # STATUS LINE: one line on stderr, nothing on stdout
    [ "$status" -eq "$1" ] || { echo "status $status: $output $stderr"; return 1; }
    [ -z "$output" ]
    [ "$stderr" = "$2" ] || { echo "got  $stderr"; echo "want $2"; return 1; }
}

# edit FILE OUT CODE: changes a record: CODE sees its header h (a dict), metadata m and data d (a bytearray).
edit() {
    python3 -c '
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", raw[:8])[0]
h, d = json.loads(raw[8 : 8 + n]), bytearray(raw[8 + n :])
m = h.setdefault("__metadata__", {})
m.pop("crc32", None)
def tensor(name, f):
    a, b = h[name]["data_offsets"]
    count = (b - a) // struct.calcsize(f)
    return list(struct.unpack(f"<{count}{f}", d[a:b]))
def put(name, f, values):
    a, b = h[name]["data_offsets"]
    d[a:b] = struct.pack(f"<{len(values)}{f}", *values)
exec(sys.argv[3])
text = json.dumps(h).encode()
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + d)' "$@"
}

value() { # FILE METRIC [CLASS [PREDICTED]]
    awk -F'\t' -v m="$2" -v c="${3:--}" -v p="${4:--}" '$1 == m && $2 == c && (NF < 6 || $3 == p) { print NF < 6 ? $3 : $4 }' "$1"
}

@test "the table says of what it speaks, and every metric once" {
    [ "$(grep -c '^#' a.tsv)" -eq 10 ]
    for key in tool dataset dataset-digest split part stage model-digest images isa precision; do
        grep -q "^# $key: ." a.tsv
    done
    grep -qx "# tool: evaluate $VERSION" a.tsv
    grep -qx '# images: 90' a.tsv
    grep -qx '# split: test' a.tsv
    grep -qx '# stage: float' a.tsv
    grep -qx '# precision: f32' a.tsv
    grep -qx $'metric\tclass\tpredicted\tvalue\tlow\thigh' a.tsv
    [ "$(grep -vc '^#' a.tsv)" -eq $((1 + 5 + 30 + 100)) ]
    [ "$(grep -v '^#' a.tsv | cut -f1-3 | sort | uniq -d | wc -l)" -eq 0 ]
}

@test "accuracy, confusion and loss are what another program finds in the predictions" {
    edit a unused '
import math
k = 10
logits, labels = tensor("logits", "f"), tensor("labels", "B")
rows = [logits[i * k : i * k + k] for i in range(len(labels))]
answers = [r.index(max(r)) for r in rows]
right = sum(a == b for a, b in zip(answers, labels))
loss = sum(math.log(sum(math.exp(x) for x in r)) - r[b] for r, b in zip(rows, labels)) / len(rows)
print(tensor("indices", "q") == list(range(90)), f"{100 * right / 90:.4f}", f"{loss:.6f}", len(set(answers)))
names = json.loads(m["classes"])
for b in range(k):
    for a in range(k):
        print(names[b], names[a], sum(x == a and y == b for x, y in zip(answers, labels)), sep="\t")' > found
    [ "$(head -n 1 found | cut -d' ' -f1-3)" = "True $(value a.tsv accuracy) $(value a.tsv loss)" ]
    awk -F'\t' -v OFS='\t' '$1 == "confusion" { print $2, $3, $4 }' a.tsv | diff - <(tail -n +2 found)
}

@test "the same bytes for every batch size and number of threads, from pipe and file" {
    for flags in "-b 1 -j 1" "-b 7 -j 2" "-b 1000 -j 3"; do
        # shellcheck disable=SC2086
        cat batches | "$BIN/evaluate" -m a.model $flags --predictions again > again.tsv
        cmp a again
        cmp a.tsv again.tsv
    done
}

@test "predictions carry data, stage, digest and both lineages" {
    run "$BIN/inspect" made-by a
    [[ ${lines[0]} == "cifar-load "* ]]
    [[ ${lines[1]} == "evaluate $VERSION model=sha256:"* ]]
    [[ ${lines[2]} == "  train-fp32 "* ]]
    digest=$(sed -n 's/^# model-digest: //p' a.tsv)
    [[ ${lines[1]} == "evaluate $VERSION model=$digest" ]]
    edit a unused 'print(m["kind"], m["stage"], m["split"], m["part"], m["model-digest"] == sys.argv[1])' > says
    [[ $(< says) == "predictions float test all "* ]]
}

@test "--precision bf16: near fp32, the same bytes however it is cut, and named wherever its results go" {
    make_bin many.bin 1200 3
    "$BIN/cifar-load" -d many.bin --part train --shuffle --epochs 3 -b 50 |
        "$BIN/train-fp32" -q --width 8 --epochs 3 --batch 25 --learning-rate 0.05 -o float
    "$BIN/fuse" -m float -o fused
    for isa in "" avx2; do
        [ -z "$isa" ] || [ "$(uname -m)" = x86_64 ] || continue
        export RESQ_ISA=$isa
        "$BIN/evaluate" --device cpu -q -m fused --predictions wide -o wide.tsv < batches
        "$BIN/evaluate" --device cpu --precision bf16 -q -m fused --predictions narrow -o narrow.tsv < batches
        grep -qx '# precision: f32' wide.tsv
        grep -qx '# precision: bf16' narrow.tsv
        for flags in "-b 1 -j 1" "-b 7 -j 2" "-b 40 -j 1" "-b 1000 -j 3"; do
            # shellcheck disable=SC2086
            "$BIN/evaluate" --device cpu --precision bf16 -q -m fused $flags --predictions again -o again.tsv < batches
            cmp narrow again
            cmp narrow.tsv again.tsv
        done
        # not the same, but near: two images of 90, 2 % of the loss
        "$BIN/evaluate" --pair wide narrow -o pair.tsv
        grep -qx '# first-precision: f32' pair.tsv
        grep -qx '# second-precision: bf16' pair.tsv
        awk -v a="$(value wide.tsv loss)" -v b="$(value narrow.tsv loss)" -v same="$(value pair.tsv agreement)" \
            'BEGIN { exit !(a != b && b < 1.02 * a + 0.005 && a < 1.02 * b + 0.005 && same > 97) }'
        awk -v right="$(value wide.tsv accuracy)" 'BEGIN { exit !(right > 50) }'
        run "$BIN/inspect" made-by narrow
        [[ ${lines[1]} == "evaluate $VERSION model=sha256:"*" precision=bf16" ]]
        # batch norms are folded as fuse folds them
        "$BIN/evaluate" --device cpu --precision bf16 -q -m float --predictions unfused -o unfused.tsv < batches
        for p in narrow unfused; do
            edit "$p" unused 'sys.stdout.buffer.write(bytes(d))' > "$p.data"
        done
        cmp narrow.data unfused.data
    done
}

@test "--precision: integer layers have their own, and a CPU has no other" {
    "$BIN/fuse" -m a.model -o fused
    "$BIN/cifar-load" -d images.bin --part train | "$BIN/calibrate" -m fused -o ranges
    "$BIN/quantize" -m fused -r ranges -o int8
    run --separate-stderr "$BIN/evaluate" --device cpu -m int8 --precision bf16 -o out.tsv < batches
    fails 1 "evaluate: precision bf16: the model has integer layers, which have their own"
    [ ! -e out.tsv ]
    "$BIN/evaluate" -m int8 --precision fp32 < batches | grep -qx '# precision: int8'
    for precision in fp16 fp8; do
        run --separate-stderr "$BIN/evaluate" --device cpu -m a.model --precision "$precision" < batches
        fails 1 "evaluate: precision $precision: a CPU computes float layers in fp32 or bf16"
    done
    run -2 "$BIN/evaluate" --pair a b --precision bf16
}

@test "a state_dict from elsewhere takes the images' classes" {
    edit a.model foreign 'del h["__metadata__"]; h.pop("__metadata__", None)'
    "$BIN/evaluate" -m foreign --predictions p -o p.tsv < batches
    "$BIN/evaluate" --pair a p -o pair.tsv
    [ "$(value pair.tsv agreement)" = 100.0000 ]
    [ "$(value p.tsv accuracy)" = "$(value a.tsv accuracy)" ]
}

@test "other classes are refused; another data set is a warning" {
    "$BIN/train-fp32" --width 4 --epochs 0 --classes 5 -o five
    run --separate-stderr "$BIN/evaluate" -m five < batches
    [ "$status" -eq 1 ]
    [[ $stderr == "evaluate: "*"classes"* ]]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [ -z "$output" ]
    edit a.model other 'm["dataset-digest"] = "sha256:" + 64 * "0"'
    run --separate-stderr "$BIN/evaluate" -m other < batches
    [ "$status" -eq 0 ]
    [[ $stderr == "evaluate: warning: "*"another data set"* ]]
    run --separate-stderr "$BIN/evaluate" -q -m other < batches
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
}

@test "a weight that is no number is refused by name" {
    edit a.model nan 'w = tensor("fc.weight", "f"); w[3] = float("nan"); put("fc.weight", "f", w)'
    run --separate-stderr "$BIN/evaluate" -m nan --predictions p < batches
    [ "$status" -eq 1 ]
    [[ $stderr == "evaluate: nan: fc.weight: "*3* ]]
    [ ! -e p ]
}

@test "--pair: counts add up, the other way round is the mirror" {
    "$BIN/evaluate" --pair a b -o ab.tsv
    "$BIN/evaluate" --pair b a > ba.tsv
    head -n 30 ab.tsv | grep -qx $'metric\tclass\tvalue'
    [ "$(value ab.tsv images)" -eq 90 ]
    first=$(value ab.tsv only_first_right) second=$(value ab.tsv only_second_right)
    both=$(value ab.tsv both_right)
    [ $((first + second + both + $(value ab.tsv both_wrong))) -eq 90 ]
    [ $((first + both)) -eq "$(awk -F'\t' '$1 == "confusion" && $2 == $3 { n += $4 } END { print n }' a.tsv)" ]
    [ "$(value ba.tsv only_first_right)" -eq "$second" ]
    [ "$(value ab.tsv mcnemar_p)" = "$(value ba.tsv mcnemar_p)" ]
    [ "$(awk -F'\t' '$1 == "difference" { n += $3 } END { print n }' ab.tsv)" -eq $((second - first)) ]
    "$BIN/evaluate" --pair a a -o aa.tsv
    [ "$(value aa.tsv agreement)" = 100.0000 ]
    [ "$(value aa.tsv mcnemar_p)" = 1 ]
}

@test "--pair refuses other images, naming the field" {
    "$BIN/evaluate" -m a.model --predictions o -o o.tsv < others
    run --separate-stderr "$BIN/evaluate" --pair a o
    [ "$status" -eq 1 ]
    [[ $stderr == "evaluate: o: dataset-digest: sha256:"*", want sha256:"* ]]
    edit b swapped 'i = tensor("indices", "q"); i[4], i[5] = i[5], i[4]; put("indices", "q", i)'
    run --separate-stderr "$BIN/evaluate" --pair a swapped
    fails 1 "evaluate: swapped: indices: place 4 has image 5, want 4"
    edit b renamed 'm["classes"] = m["classes"].replace("c", "k")'
    run --separate-stderr "$BIN/evaluate" --pair a renamed
    [ "$status" -eq 1 ]
    [[ $stderr == "evaluate: renamed: classes: "* ]]
    run --separate-stderr "$BIN/evaluate" --pair a a.model
    fails 1 "evaluate: a.model: is a model record, want a predictions record"
}

@test "empty, cut and foreign input" {
    run --separate-stderr "$BIN/evaluate" -m a.model --predictions p < /dev/null
    [ "$status" -eq 1 ]
    [[ $stderr == "evaluate: stdin: "*"empty input"* ]]
    [ ! -e p ]
    head -c -200 batches > shortened
    run --separate-stderr "$BIN/evaluate" -m a.model --predictions p -o t < shortened
    [ "$status" -eq 1 ]
    [[ $stderr == "evaluate: stdin: truncated stream after "* ]]
    [ ! -e p ] && [ ! -e t ]
    run --separate-stderr "$BIN/evaluate" -m a.model < a.model
    [ "$status" -eq 1 ]
    [[ $stderr == "evaluate: stdin: "* ]]
    run --separate-stderr "$BIN/evaluate" -m absent < batches
    fails 1 "evaluate: absent: cannot open: No such file or directory"
    run --separate-stderr "$BIN/evaluate" -m batches < batches
    [ "$status" -eq 1 ]
    [[ $stderr == "evaluate: batches: "* ]]
}

@test "a full disk, a limit on files and a closed pipe" {
    run --separate-stderr bash -c "'$BIN/evaluate' -m a.model < batches > /dev/full"
    fails 1 "evaluate: stdout: write error: No space left on device"
    run --separate-stderr bash -c "ulimit -f 1; '$BIN/evaluate' -m a.model --predictions p -o t < batches"
    fails 1 "evaluate: p: write error: File too large"
    [ "$(find . -newer batches -name '*.part' | wc -l)" -eq 0 ]
    [ ! -e p ] && [ ! -e t ]
    run --separate-stderr bash -c "'$BIN/evaluate' -m a.model < batches | true; exit \${PIPESTATUS[0]}"
    fails 141 ""
    run --separate-stderr bash -c "trap '' PIPE; '$BIN/evaluate' -m a.model < batches | true; exit \${PIPESTATUS[0]}"
    fails 1 ""
}

@test "outputs are checked before the work" {
    mkdir folder
    for out in absent/x folder; do
        for option in -o --predictions; do
            run --separate-stderr "$BIN/evaluate" -m a.model $option $out < /dev/null
            [ "$status" -eq 1 ]
            [[ $stderr == "evaluate: $out: cannot write"* ]]
        done
    done
    cp a.model mine
    run --separate-stderr "$BIN/evaluate" -m mine --predictions ./mine < batches
    fails 1 "evaluate: ./mine: output is the same file as input mine"
    run --separate-stderr "$BIN/evaluate" --pair a b -o b
    fails 1 "evaluate: b: output is the same file as input b"
    cmp mine a.model
}

@test "binary is not written to a terminal" {
    command -v script > /dev/null || skip "no script(1)"
    run script -qec "'$BIN/evaluate' -m a.model -o t --predictions - < batches" /dev/null
    [ "$status" -eq 1 ]
    [[ $output == *"terminal"* ]]
    [ ! -e t ]
}

@test "misuse" {
    for arguments in "" "-m a.model extra" "--pair a" "--pair a b c" "--pair a b -m a.model" "-m a.model -b 0" \
        "-m a.model -j none" "-m a.model --predictions -"; do
        # shellcheck disable=SC2086
        run --separate-stderr "$BIN/evaluate" $arguments < /dev/null
        [ "$status" -eq 2 ] || { echo "$arguments: $status"; return 1; }
        [ "${#stderr_lines[@]}" -eq 2 ]
        [ -z "$output" ]
    done
}

@test "--tta flip: the mean of an image's logits and its mirror image's, and said wherever it goes" {
    "$BIN/augment" --flip 1 < batches | "$BIN/evaluate" -m a.model --predictions mirrored > mirrored.tsv
    for way in "-b 7 -j 1" "-b 64 -j 3"; do
        # shellcheck disable=SC2086
        "$BIN/evaluate" -m a.model --tta flip $way --predictions both < batches > both.tsv
        cmp both.tsv "${first:-both.tsv}"
        first=first.tsv
        cp both.tsv first.tsv
    done
    python3 - a mirrored both <<'PY'
import json, struct, sys
def read(name):
    raw = open(name, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    h = json.loads(raw[8:8 + n])
    a, b = h["logits"]["data_offsets"]
    return h["__metadata__"], struct.unpack("<%df" % ((b - a) // 4), raw[8 + n + a:8 + n + b])
(m, a), (_, f), (k, t) = map(read, sys.argv[1:])
assert max(abs((x + y) / 2 - z) for x, y, z in zip(a, f, t)) < 1e-6
assert max(abs(x - z) for x, z in zip(a, t)) > 1e-4
assert "tta" not in m and k["tta"] == "flip" and " tta=flip" in k["made-by"]
PY
    grep -qx '# tta: flip' both.tsv
    run ! grep tta a.tsv
    "$BIN/evaluate" --pair a both | grep -qx '# second-tta: flip'
    run -2 "$BIN/evaluate" --pair a b --tta flip
    run -2 "$BIN/evaluate" -m a.model --tta mirror < batches
}

@test "--merge: predictions of parts, in any order, have the bytes of one run over all, and so has their table" {
    stream_split batches 1 part0 rest
    stream_split rest 1 part1 part2
    for i in 0 1 2; do
        "$BIN/evaluate" -m a.model --predictions "p$i" -o "p$i.tsv" < "part$i"
    done
    # What computed it, no predictions say.
    grep -v '^# isa: ' a.tsv > want.tsv
    for order in "p0 p1 p2" "p2 p0 p1"; do
        # shellcheck disable=SC2086
        "$BIN/evaluate" --merge $order --predictions all -o all.tsv
        cmp all a
        cmp all.tsv want.tsv
    done
    "$BIN/evaluate" --merge p2 p1 --predictions p12 -o p12.tsv
    "$BIN/evaluate" --merge p12 p0 --predictions all > all.tsv
    cmp all a
    cmp all.tsv want.tsv
    # Loaded in parts: the same table and logits, each lineage once.
    for range in "90 0 x" "40 10 y" "10 0 z" "40 50 w"; do
        # shellcheck disable=SC2086
        set -- $range
        "$BIN/cifar-load" -d images.bin --split test -n "$1" --offset "$2" | "$BIN/evaluate" -m a.model --predictions "$3" -o "$3.tsv"
    done
    "$BIN/evaluate" --merge w y z --predictions all -o all.tsv
    cmp all.tsv want.tsv
    for p in all a; do
        edit "$p" unused 'sys.stdout.buffer.write(bytes(d))' > "$p.data"
    done
    cmp all.data a.data
    [ "$("$BIN/inspect" made-by all | grep -c '^evaluate ')" -eq 3 ]
    "$BIN/evaluate" --pair a all > /dev/null
}

@test "--merge refuses what is not one model's on different images" {
    "$BIN/cifar-load" -d images.bin --split test -n 40 | "$BIN/evaluate" -m a.model --predictions first -o t.tsv
    "$BIN/cifar-load" -d images.bin --split test --offset 40 | "$BIN/evaluate" -m b.model --predictions second -o t.tsv
    "$BIN/cifar-load" -d images.bin --split test --offset 39 | "$BIN/evaluate" -m a.model --predictions third -o t.tsv
    run --separate-stderr "$BIN/evaluate" --merge first second --predictions out -o out.tsv
    [ "$status" -eq 1 ]
    [[ $stderr == "evaluate: second: "*": differs from that of first" ]]
    [ "${#stderr_lines[@]}" -eq 1 ]
    run --separate-stderr "$BIN/evaluate" --merge third first --predictions out -o out.tsv
    fails 1 "evaluate: third: indices: image 39 is there twice"
    run --separate-stderr "$BIN/evaluate" --merge first a.model -o out.tsv
    fails 1 "evaluate: a.model: is a model record, want a predictions record"
    run --separate-stderr "$BIN/evaluate" --merge first -o first
    fails 1 "evaluate: first: output is the same file as input first"
    [ ! -e out ] && [ ! -e out.tsv ]
    for arguments in "--merge" "--merge a --pair b" "--merge a -m a.model" "--merge a --precision fp32" "--merge a --tta flip" \
        "--merge a --predictions -"; do
        # shellcheck disable=SC2086
        run -2 "$BIN/evaluate" $arguments
    done
}
