#!/usr/bin/env bats
# What `make record-peers` makes of a comparison's tables: a folder a machine and network, machines side by side, wrong results said.
load helpers

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    mkdir -p run to
    printf '# plots\n<!-- recorded peers -->\nold\n<!-- end -->\nafter\n' > README.md
    for chart in peers-int8 peers-float peers-training; do
        touch "run/$chart.png" "run/$chart.svg"
    done
}

# SET NETWORK ACCURACY CORRECT: what `make peers` leaves; the other program's accuracy, and whether it computes the same network.
compared() {
    {
        printf '# tool: compare.py\n# commit: abc\n# cpu: Some Processor, 2 processors\n# date: 2026-01-02\n# network: %s\n' "$2"
        printf 'what\tprogram\tversion\tform\tprecision\tbatch\tthreads\tms_median\tms_min\tms_p95\tratio_min\tratio_min_low\tratio_min_high\t'
        printf 'ratio_median\tratio_median_low\tratio_median_high\tagreement\taccuracy\tcorrect\n'
        printf 'infer\tresq\t1\t%s\tint8\t1\t1\t2.5\t2.25\t3\t-\t-\t-\t-\t-\t-\t100.00\t%s\tyes\n' "$1" "$([[ $3 == - ]] && echo - || echo 87.54)"
        printf 'infer\tother\t9\tqdq\tint8\t1\t1\t3.5\t3.25\t4\t0.6923\t0.6\t0.7\t0.7143\t0.7\t0.8\t90.25\t%s\t%s\n' "$3" "$4"
    } > run/peers.tsv
}

@test "record-peers: a folder a machine and network, side by side on one page, and the wrong one in the README" {
    compared avx2 'ResNet-18, width 32' 75.27 no
    run "$TREE/tests/peers/record" run to
    [ "$status" -eq 0 ]
    grep -qxF '| other, **wrong** | 75.27 | 90.25 | 3.250 | - |' README.md
    grep -qxF '| resq | 87.54 | 100.00 | 2.250 | - |' README.md
    grep -qx after README.md
    run ! grep -qx old README.md
    grep -qF '| 0.69; 75.27 %, **wrong** |' to/README.md
    # Another machine beside it, where all is right; a part that was not measured is no column's end.
    compared amx 'ResNet-18, width 32, trained' 87.50 yes
    run "$TREE/tests/peers/record" run to
    [ "$status" -eq 0 ]
    [ -s to/avx2-resnet-18-width-32/peers.tsv ]
    grep -qF 'commit: abc' to/amx-resnet-18-width-32/MADE.md
    grep -qxF '|  | other | 0.69; 87.50 % | 0.69; 75.27 %, **wrong** |' to/README.md
    grep -qF 'other, **wrong**' README.md
}

@test "record-peers: another network by its name, and not in the README" {
    compared avx2 'a network of 52 convolutions' 75.27 no
    cp README.md before
    run "$TREE/tests/peers/record" run to-mobilenetv2 mobilenetv2
    [ "$status" -eq 0 ]
    [ -s to-mobilenetv2/avx2-mobilenetv2/peers.tsv ]
    grep -qx '# Beside other programs: mobilenetv2, avx2' to-mobilenetv2/avx2-mobilenetv2/README.md
    grep -qxF -- '- command: `make peers-inference NETWORK=mobilenetv2`' to-mobilenetv2/avx2-mobilenetv2/MADE.md
    cmp before README.md
}

@test "record-peers: training alone, and beside an inference that was recorded before" {
    printf '# network: ResNet-18, width 32\n# date: 2026-01-02\nwhat\tprogram\tversion\tform\tprecision\tbatch\tthreads\tms_median\tms_min\t' > run/peers-training.tsv
    printf 'speed_up_min\tspeed_up_min_low\tspeed_up_min_high\tspeed_up_median\tspeed_up_median_low\tspeed_up_median_high\n' >> run/peers-training.tsv
    printf 'train\tresq\t1\tavx2\tfp32\t128\t1\t9\t8\t-\t-\t-\t-\t-\t-\n' >> run/peers-training.tsv
    printf 'train\tother\t1\teager\tfp32\t128\t1\t20\t18\t2.25\t2\t3\t2.2\t2\t3\n' >> run/peers-training.tsv
    run "$TREE/tests/peers/record" run to
    [ "$status" -eq 0 ]
    grep -qxF '|  | other | 2.25 |' to/README.md
    rm run/peers-training.tsv
    compared avx2 'ResNet-18, width 32, as initialised' - yes
    run "$TREE/tests/peers/record" run to
    [ "$status" -eq 0 ]
    grep -qxF '|  | other | 2.25 |' to/README.md
    grep -qxF '|  | other | 0.69 |' to/README.md
}

@test "record-peers: without accuracies there is no table for the README; without tables it is an error" {
    compared avx2 'ResNet-18, width 64' - no
    run "$TREE/tests/peers/record" run to
    [ "$status" -eq 0 ]
    grep -qx old README.md
    rm run/peers.tsv
    run "$TREE/tests/peers/record" run to
    [ "$status" -eq 1 ]
    [[ $output == *"make peers or make peers-curves first" ]]
}
