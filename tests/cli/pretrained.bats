#!/usr/bin/env bats
# The study from a float network that is there already; a stand-in for it, trained in a moment.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load studies

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    study_first train
    study "$PWD/first" pretrained PRETRAINED_MODEL="$PWD/first/tiny/best_float_model.safetensors" \
        PRETRAINED_LOG="$PWD/first/tiny/float.log.tsv" PRETRAINED_DATA="$PWD/images" PRETRAINED_FOLDER="$PWD/stand-in" \
        PRETRAINED_COMMIT=0a1b2c3
}

pretrained() {
    study "$PWD/results" PROFILE=pretrained PRETRAINED="$BATS_FILE_TMPDIR/stand-in/pretrained.safetensors" CALIBRATION_IMAGES=128 \
        BENCH_BATCHES=1 BENCH_THREADS=1 BENCH_FLAGS='--seconds 0.05' "$@"
}

@test "make pretrained rounds the network once, and says what it is worth" {
    cd "$BATS_FILE_TMPDIR/stand-in"
    [ "$(find . -type f | LC_ALL=C sort | xargs)" = "./PRETRAINED.md ./pretrained.log.tsv ./pretrained.safetensors" ]
    "$BIN/inspect" check pretrained.safetensors
    "$BIN/inspect" show pretrained.safetensors | grep -q 'conv1.weight.*F16'
    cmp pretrained.log.tsv ../first/tiny/float.log.tsv
    digest=$(sha256sum < pretrained.safetensors)
    grep -q "| sha256 | ${digest%% *} |" PRETRAINED.md
    grep -q '| trained by the programs of commit | 0a1b2c3 |' PRETRAINED.md
    "$BIN/cifar-load" -d ../images --split test | "$BIN/evaluate" -m pretrained.safetensors -o "$BATS_TEST_TMPDIR/metrics"
    accuracy=$(awk -F '\t' '$1 == "accuracy" && $2 == "-" { printf "%.2f", $4 }' "$BATS_TEST_TMPDIR/metrics")
    grep -qF "| test accuracy, % (95 % interval) | $accuracy (" PRETRAINED.md
    grep -qE '^ +train-fp32 .* width=4$' PRETRAINED.md
    grep -qE '^    train-fp32 .* half=1 ' PRETRAINED.md
}

@test "PROFILE=pretrained runs all the rest from it: the float column is that network's" {
    pretrained results > log 2>&1 || { cat log; return 1; }
    run ! grep -E '\| train-fp32' log
    cd results/pretrained
    "$BIN/inspect" compare best_float_model.safetensors "$BATS_FILE_TMPDIR/stand-in/pretrained.safetensors" > differs || true
    [ "$(awk -F '\t' '$1 == "tensor" { print $5, $6 }' differs | sort -u)" = "0 0" ]
    accuracy=$(sed -n 's/^| test accuracy, % (95 % interval) | \([0-9.]*\) .*/\1/p' "$BATS_FILE_TMPDIR/stand-in/PRETRAINED.md")
    [ "$(awk -F '\t' '$1 == "float" { printf "%.2f", $4 }' summary.tsv)" = "$accuracy" ]
    for name in fused_model ranges final_ptq_quantized_model best_qat_model; do
        "$BIN/inspect" check $name.safetensors
    done
    [ -s report.html ]
    [ -s MODEL_CARD.md ]
}

@test "where the network is not there, one line says so and where it comes from" {
    run -2 study "$PWD/results" PROFILE=pretrained PRETRAINED=nowhere.safetensors results
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"nowhere.safetensors is not there, which the profile 'pretrained' begins from: \`make pretrained\` trains it"* ]]
    [ ! -e results ]
    run -0 study "$PWD/results" PROFILE=pretrained PRETRAINED=nowhere.safetensors help
}

@test "a broken network is refused as any file is, before anything is made" {
    head -c 20000 "$BATS_FILE_TMPDIR/stand-in/pretrained.safetensors" > cut.safetensors
    run -2 study "$PWD/results" PROFILE=pretrained PRETRAINED="$PWD/cut.safetensors" results
    [[ $output == *"check-study: train-fp32: $PWD/cut.safetensors: "* ]]
    [ ! -e results/pretrained/best_float_model.safetensors ]
}

@test "make pretrained that cannot end well leaves what was there" {
    cp -r "$BATS_FILE_TMPDIR/stand-in" there
    echo broken > model
    run -2 study "$PWD/results" pretrained PRETRAINED_MODEL="$PWD/model" PRETRAINED_LOG="$BATS_FILE_TMPDIR/first/tiny/float.log.tsv" \
        PRETRAINED_DATA="$BATS_FILE_TMPDIR/images" PRETRAINED_FOLDER="$PWD/there"
    [[ $output == *"train-fp32: $PWD/model: "* ]]
    diff -r "$BATS_FILE_TMPDIR/stand-in" there
}

@test "what is carried to another machine leaves out what the repository has, and finds it there" {
    run ! grep -n 'pipelines/data' "$TREE/pipelines/cuda.mk"
    mkdir -p checkout/pipelines/data checkout/build/carry/bin
    cp "$TREE/pipelines/with-cuda" checkout/build/carry/
    [ "$(checkout/build/carry/with-cuda printenv RESQ_DATA)" -ef checkout/pipelines/data ]
    mkdir -p elsewhere/carry/bin
    cp "$TREE/pipelines/with-cuda" elsewhere/carry/
    [ "$(cd checkout && ../elsewhere/carry/with-cuda printenv RESQ_DATA)" = ./pipelines/data ]
    [ "$(RESQ_DATA=mine checkout/build/carry/with-cuda printenv RESQ_DATA)" = mine ]
    run -1 elsewhere/carry/with-cuda printenv RESQ_DATA
}

@test "what studies of several lengths gave is a table of the page" {
    local run
    for run in budget-1 budget-10 budget-pretrained; do
        mkdir -p runs/$run
        printf '# images: 45000\nepoch\tstep\tlearning_rate\tloss\taccuracy_train\taccuracy_held_out\timages_per_s\tseconds\n' > runs/$run/float.log.tsv
        printf '# dataset: x\nmodel\tdataset\timages\taccuracy\nfloat\tx\t100\t80.123\nptq\tx\t100\t79.9\nqat\tx\t100\t80\n' > runs/$run/summary.tsv
        echo 594 > runs/$run/took
    done
    for run in 1 10; do
        printf '1\t9\t0.1\t1\t70\t79.5\t1\t1\n2\t9\t0.1\t1\t70\t-\t1\t1\n3\t9\t0.1\t1\t70\t81.25\t1\t1\n' >> runs/budget-$run/float.log.tsv
        printf 'RUN = budget-%d\nPLANNED_MINUTES = %d\nWIDTH = 16\nEPOCHS = 3\n' $run $run > runs/budget-$run/profile.mk
    done
    printf 'before\n<!-- budgets -->\nold\n<!-- end -->\nafter\n' > page.md
    "$TREE/pipelines/budgets" page.md table.tsv runs/budget-1 runs/budget-10 runs/budget-pretrained
    [ "$(wc -l < table.tsv)" -eq 4 ]
    grep -qx '| `MINUTES=10` | 16 | 3, 45000 | 9.9 | 81.25 | 80.12 | 79.90 | 80.00 |' page.md
    grep -qx '| `PROFILE=pretrained` | - | - | 9.9 | - | 80.12 | 79.90 | 80.00 |' page.md
    [ "$(sed -n '1p;$p' page.md | xargs)" = "before after" ]
    run ! grep -qx old page.md
    cp page.md again.md
    rm runs/budget-10/summary.tsv # not finished
    run "$TREE/pipelines/budgets" page.md table.tsv runs/budget-1 runs/budget-10
    [ "$status" -ne 0 ]
    cmp again.md page.md
}
