#!/usr/bin/env bats
# `make ablation`, on a few hundred made-up images: its rows, its means, its restarts.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load studies

ablation() { # RESULTS ARGUMENTS..
    study "$@" ablation
}

setup_file() {
    study_first -j2 ablation
}

@test "a row a variant and seed, measured on held-out images; the test split is not read, no model stays" {
    cd "$FIRST"
    [ ! -e .work/test.batches ]
    [ "$(grep -v '^#' ablation.tsv | cut -f 1,2 | tr '\t\n' '_ ')" = "variant_seed base_1 base_2 flip-alternate_1 flip-alternate_2 ema-0_1 ema-0_2 " ]
    grep -qx '# held-out: 40' ablation.tsv
    grep -qx '# augment: --crop 2 --flip 0.5 --jitter 0.1,0.1,0.1,0.02' ablation.tsv
    [ -z "$(find . -name '*.model' -o -name '*.checkpoint')" ]
    [ "$(head -c 4 charts/ablation.png | tail -c 3)" = PNG ]
    grep -q '</svg>' charts/ablation.svg
    grep -q '^| flip-alternate | `augment --flip-alternate` | 2 |' ablation.md
    grep -q '^| base | - | 2 |' "$BATS_FILE_TMPDIR/log"
}

@test "a row is what its options give by hand" {
    # shellcheck disable=SC2046 # flags
    "$BIN/cifar-load" -d "$BATS_FILE_TMPDIR"/data/*/ --split train --part train -n 96 --shuffle -s 2 --epochs 2 |
        "$BIN/augment" --crop 2 --flip 0.5 --jitter 0.1,0.1,0.1,0.02 --flip-alternate -s 2 |
        "$BIN/train-fp32" --width 4 $(sed -n 's/^# train: //p' "$FIRST/ablation.tsv") --epochs 2 -s 2 \
            --validate "$FIRST/.work/held-out.batches" --log log -o model -q
    [ "$(awk -F '\t' '$1 == "flip-alternate" && $2 == 2 { print $4, $5, $6 }' "$FIRST/ablation.tsv")" = \
        "$(tail -n 1 log | awk -F '\t' '{ print $6, $5, $4 }')" ]
}

@test "means, differences and what chance makes, against figures by hand" {
    for note in dataset images held-out augment train size; do echo "# $note: x"; done > table
    printf 'variant\tseed\tchange\taccuracy_held_out\taccuracy_train\tloss_train\tseconds\n' >> table
    printf '%s\t%s\tx\t%s\t50\t1\t10\n' base 1 80 base 2 81 base 3 85 a 1 82 a 2 84 a 3 84 b 2 70 b 3 71 >> table
    "$BIN/report" --as ablation table > page
    # Differences 2, 3, -1 and -11, -14: squares around the means 26 / 3 + 9 / 2, 3 degrees of freedom, t 3.182.
    [ "$(grep '^| [ab]' page | cut -d '|' -f 2,4-6)" = " base | 3 | 82.00 | - 
 a | 3 | 83.33 | +1.33 
 b | 2 | 70.50 | -12.50 " ]
    awk -F ' *\\| *' 'function near(x, y) { return x > 0.99 * y && x < 1.01 * y }
        $2 == "a" { a = $7 } $2 == "b" { b = $7 }
        END { s = 3.182 * sqrt((26 / 3 + 9 / 2) / 3); exit !(near(a, s / sqrt(3)) && near(b, s / sqrt(2))) }' page
}

@test "one row lost is one training made again, to the same accuracies; a variant of one's own leaves the rest" {
    copy_first
    rm results/tiny/.work/ablation/ema-0_2.row
    touch now
    ablation "$PWD/results"
    diff <(cut -f 1-6 "$FIRST/ablation.tsv") <(cut -f 1-6 results/tiny/ablation.tsv)
    [ "$(find results -name '*.row' -newer now | wc -l)" -eq 1 ]
    touch now
    ablation "$PWD/results" ABLATIONS='ema-0 mine' ABLATION_mine='train --momentum 0.5' ABLATION_SEEDS=2
    [ "$(find results -name '*.row' -newer now -printf '%f ')" = "mine_2.row " ]
    grep -q '^| mine | `train --momentum 0.5` | 1 |' results/tiny/ablation.md
}

@test "a variant that nobody defined, and one that fails: one line, no table" {
    run ablation "$PWD/results" ABLATIONS=nothing
    [ "$status" -eq 2 ]
    [[ $output == *"ABLATION_NAME is to be"*"for each of: nothing"* ]]
    run ablation "$PWD/results" ABLATIONS=mine ABLATION_mine='train --momentum 2' ABLATION_SEEDS=1
    [ "$status" -eq 2 ]
    [[ $output == *"train-fp32: --momentum"* ]]
    [ ! -e results/tiny/ablation.tsv ]
    [ ! -e results/tiny/.work/ablation/mine_1.row ]
}
