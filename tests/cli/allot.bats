#!/usr/bin/env bats
# allot: that a plan keeps its bound and is the best, that what it says of it is so, what it refuses; its chart.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load models

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    make_bin data_batch_1.bin 600 1
    make_bin test_batch.bin 40 2
    "$BIN/cifar-load" -d . --part train --shuffle --epochs 3 -o train
    "$BIN/cifar-load" -d . --part train -n 64 -o once
    "$BIN/cifar-load" -d . --part held-out -o held-out
    "$BIN/cifar-load" -d . --split test -o test
    "$BIN/train-fp32" --width 4 -b 32 --epochs 3 -o float < train
    "$BIN/fuse" -m float -o fused
    "$BIN/calibrate" -m fused -o ranges < once
    "$BIN/analyse" -q -m fused -r ranges --bits 8,4,2 -o table < held-out
    "$BIN/allot" -q -m fused -r ranges --table table --average 4 --validate held-out --frontier frontier --points 4 -j 1 -o bits < once
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
}

allot() {
    "$BIN/allot" -q -m "$T/fused" -r "$T/ranges" --table "$T/table" "$@"
}

tensors() { # model: bytes of its tensors
    python3 -c '
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", raw[:8])[0]
h = json.loads(raw[8:8 + size])
print(sum(t["data_offsets"][1] - t["data_offsets"][0] for k, t in h.items() if k != "__metadata__"))' "$1"
}

@test "of all plans within a number of bytes, the one of the least sum" {
    for bytes in 15000 20000 30000; do
        allot --bytes $bytes -o bits < /dev/null
        python3 - "$T/table" bits $bytes <<'PY'
import itertools, sys
rows = [l.rstrip("\n").split("\t") for l in open(sys.argv[1]) if not l.startswith("#")]
at = {k: i for i, k in enumerate(rows[0])}
cost, loss = {}, {}
for r in rows[1:]:
    if r[at["what"]] == "weights":
        l, b = r[at["layer"]], int(r[at["bits"]])
        cost[l, b], loss[l, b] = int(r[at["bytes"]]) + (b < 8), float(r[at["kl"]])
layers = sorted({l for l, b in cost})
plan = {}
for l in open(sys.argv[2]):
    w = l.split("#")[0].split()
    if w and w[0] in layers:
        plan[w[0]] = int(w[1])
assert plan["conv1"] == plan["fc"] == 8 and len(plan) == len(layers)
spent = sum(cost[l, plan[l]] for l in layers)
got = sum(loss[l, plan[l]] for l in layers)
# a front of its own, over whole sums
front = {0: 0.0}
for l in layers:
    now = {}
    for c, s in front.items():
        for b in ([8] if l in ("conv1", "fc") else [2, 4, 8]):
            k, v = c + cost[l, b], s + loss[l, b]
            if k not in now or v < now[k]:
                now[k] = v
    front = now
best = min(v for c, v in front.items() if c <= spent)
assert abs(best - got) < 1e-9, (best, got)
# nothing that still fits is better: another step would
beside = int(open(sys.argv[2]).readline().split(" average, ")[1].split(" bytes")[0]) - spent
limit = int(sys.argv[3]) - beside
assert spent <= limit
assert min(v for c, v in front.items() if c <= limit) >= got - 1e-9
PY
        "$BIN/quantize" -m "$T/fused" -r "$T/ranges" --plan bits -o mixed < "$T/once"
        [ "$(tensors mixed)" -le $bytes ]
        grep -q " $(tensors mixed) bytes" bits
    done
}

@test "what it says of the plan is what quantize and evaluate find" {
    "$BIN/quantize" -m "$T/fused" -r "$T/ranges" --plan "$T/bits" -o mixed < "$T/once"
    "$BIN/inspect" show mixed | grep -Eq "plan=[0-9.]+ match=all"
    average=$("$BIN/inspect" show mixed | sed -n 's/^quantization: .* plan=\([0-9.]*\) .*/\1/p')
    head -n 1 "$T/bits" | grep -q "^# at most 4 bits a weight: $average bits a weight on average, $(tensors mixed) bytes, "
    awk -v a="$average" 'BEGIN { exit !(a <= 4) }'
    for model in mixed "$T/fused"; do
        "$BIN/evaluate" -m "$model" --predictions "$(basename "$model").p" -o "$(basename "$model").m" < "$T/held-out"
    done
    "$BIN/evaluate" --pair fused.p mixed.p > pair
    accuracy=$(awk -F '\t' '$1 == "accuracy" { print $4 }' mixed.m)
    p=$(awk -F '\t' '$1 == "mcnemar_p" { print $3 }' pair)
    awk -F '\t' -v a="$accuracy" -v p="$p" -v b="$(tensors mixed)" '$1 == "chosen" { n++; d = $7 - a
        if (d > 1e-3 || d < -1e-3 || $11 != p || $4 != b || $9 > $8 || $10 < $8) exit 1 } END { exit n != 1 }' "$T/frontier"
}

@test "the frontier has the uniform models and others; its chart; the same bytes for any threads" {
    [ "$(grep -c '^uniform	W[248]A8	' "$T/frontier")" -eq 3 ]
    [ "$(grep -c '^planned	' "$T/frontier")" -ge 2 ]
    grep -qx '# images: 60' "$T/frontier"
    allot --average 4 --validate "$T/held-out" --frontier frontier --points 4 -j 3 -o bits < "$T/once"
    cmp bits "$T/bits"
    cmp frontier "$T/frontier"
    "$BIN/plot" frontier frontier -o chart.svg
    "$BIN/plot" frontier frontier -o chart.png
    grep -q 'W2A8' chart.svg
    fails "plot: $T/table: missing column 'kind'" "$BIN/plot" frontier "$T/table" -o out.png
}

@test "a bound of milliseconds, and one of accuracy" {
    for bits in 8 4 2; do
        echo "#" > times$bits
        printf 'what\tms_median\n' > times$bits
        "$BIN/inspect" graph "$T/fused" | awk -v b=$bits -v OFS='\t' '$3 == "conv2d" || $3 == "linear" { print "layer:" $1, b / 8 } $3 == "avgpool" { print "layer:" $1, 0.5 }' >> times$bits
    done
    allot --ms 15.5 --timings 8=times8 --timings 4=times4 --timings 2=times2 -o bits < /dev/null
    awk '!/^#/ && $2 != "-" { ms += $2 / 8 } END { exit !(ms <= 15 && ms > 14) }' bits
    head -n 1 bits | grep -q '^# at most 15.5 ms an image: .* ms$'
    fails "no time at 2 bits: want --timings 2=FILE" allot --ms 15.5 --timings 8=times8 -o out < /dev/null
    fails "allot: no plan has at most 1 ms an image: the least takes " allot --ms 1 --timings 8=times8 --timings 4=times4 --timings 2=times2 -o out < /dev/null
    allot --drop 5 --validate "$T/held-out" -o five < "$T/once"
    head -n 1 five | grep -q '^# at most 5 points below the float network: '
    [ "$(sed -n '1s/.* bytes, \(-\?[0-9.]*\) points below.*/\1/p' five | awk '{ print $1 <= 5 }')" -eq 1 ]
    fails "allot: no plan is at most -99 points below the float network: the dearest is " allot --drop -99 --validate "$T/held-out" -o out < "$T/once"
}

@test "a table of another model, none of the network's layers, no 8 bits; no images; misuse" {
    sed 's/^# model-digest: sha256:./# model-digest: sha256:x/' "$T/table" > other
    fails "allot: other: model-digest: the table is of another model" "$BIN/allot" -q -m "$T/fused" -r "$T/ranges" --table other --average 4 -o out
    sed 's/^layer1.0.conv1	/layer9.0.conv1	/' "$T/table" > other
    fails "the network has no weights of 'layer9.0.conv1'" "$BIN/allot" -q -m "$T/fused" -r "$T/ranges" --table other --average 4 -o out
    grep -v '	8	' "$T/table" > other
    fails "no row of 8 bits" "$BIN/allot" -q -m "$T/fused" -r "$T/ranges" --table other --average 4 -o out
    fails "allot: no plan has at most 100 bytes: the least takes " allot --bytes 100 -o out
    fails "no plan has at most 1.5 bits a weight" allot --average 1.5 -o out
    fails "--match all wants batches of images there" allot --average 4 --validate "$T/held-out" -o out < /dev/null
    fails "$T/test: " allot --average 4 --validate "$T/test" -o out < "$T/once"
    for arguments in "" "--average 4 --bytes 9" "--drop 1" "--average 4 --frontier f -o b" "--ms 3" "--average 9"; do
        # shellcheck disable=SC2086 # words are options
        run --separate-stderr allot $arguments
        echo "$arguments: $stderr"
        [ "$status" -eq 2 ]
    done
}
