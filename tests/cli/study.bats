#!/usr/bin/env bats
# The study: what `make results` promises, on a few hundred made-up images.
# shellcheck disable=SC2154 # bats sets stderr

load helpers
load studies

setup_file() {
    study_first -j1 results
}

# A log without its timings.
untimed() {
    sed '/^#/d' "$1" | cut -f 1-6
}

# The files of the second run that are newer than a file.
remade() { # than
    (cd results/tiny && find . -maxdepth 1 -type f -newer "$1" | sed 's|^\./||' | LC_ALL=C sort | tr '\n' ' ')
}

@test "everything promised is there, and names no path" {
    cd "$FIRST"
    for name in best_float_model fused_model ranges final_ptq_quantized_model best_qat_model \
        {float,ptq,qat}.predictions; do
        "$BIN/inspect" check "$name.safetensors"
    done
    for name in loss accuracy confusion-{float,ptq,qat} compare-{accuracy,size,time}; do
        [ "$(head -c 4 "charts/$name.png" | tail -c 3)" = PNG ]
        grep -q '</svg>' "charts/$name.svg"
    done
    for name in augmented samples-{float,ptq,qat}; do
        [ "$(head -c 4 "charts/$name.png" | tail -c 3)" = PNG ]
    done
    for name in float.log qat.log {float,ptq,qat}.metrics float-ptq.pair float-qat.pair ptq-qat.pair bench summary; do
        [ -s "$name.tsv" ]
    done
    run ! grep -rlF --exclude-dir=.work "$BATS_FILE_TMPDIR" .
}

@test "summary.tsv has its rows and columns" {
    cd "$FIRST"
    [ "$(grep -v '^#' summary.tsv | head -n 1 | tr '\t' ' ')" = "model dataset images accuracy accuracy_low accuracy_high loss \
bytes ms_per_sample ms_p95 samples_per_s threads batch isa" ]
    [ "$(grep -v '^#' summary.tsv | cut -f 1-3 | tail -n +2 | tr '\t\n' '  ')" = "float images 100 ptq images 100 qat images 100 " ]
    for row in float:best_float_model ptq:final_ptq_quantized_model qat:best_qat_model; do
        [ "$(awk -F '\t' -v m="${row%:*}" '$1 == m { print $8 }' summary.tsv)" = "$(stat -c %s "${row#*:}.safetensors")" ]
        # As measured: the accuracy of the row is that of the metrics.
        [ "$(awk -F '\t' -v m="${row%:*}" '$1 == m { print $4 }' summary.tsv)" = \
            "$(awk -F '\t' '$1 == "accuracy" { print $4 }' "${row%:*}.metrics.tsv")" ]
    done
    awk -F '\t' '/^(float|ptq|qat)/ { if (!($4 >= 0 && $5 <= $4 && $4 <= $6 && $9 > 0 && $10 >= $9 && $12 == 1 && $13 == 1)) exit 1 }' \
        summary.tsv
}

@test "-j2 gives the bytes of -j1 in everything but timings" {
    study "$PWD/results" -j2 JOBS=3 results
    for file in "$FIRST"/*.safetensors "$FIRST"/*.metrics.tsv "$FIRST"/*.pair.tsv "$FIRST"/charts/*; do
        case $file in */compare-time.*) continue ;; esac
        cmp "$file" "results/tiny/${file#"$FIRST"/}"
    done
    for file in float.log.tsv qat.log.tsv; do
        [ "$(untimed "$FIRST/$file")" = "$(untimed "results/tiny/$file")" ]
    done
    [ "$(cut -f 1-8 "$FIRST/summary.tsv")" = "$(cut -f 1-8 results/tiny/summary.tsv)" ]
}

@test "a second call makes nothing" {
    copy_first
    touch now
    run study "$PWD/results" results
    [ "$status" -eq 0 ]
    run ! grep -E '^(cifar-load|augment|train-fp32|fuse|calibrate|quantize|qat-finetune|evaluate|bench|plot|report)' <<< "$output"
    [ -z "$(remade "$PWD/now")" ]
}

@test "a changed flag makes what depends on it again, and nothing else" {
    copy_first
    touch now
    study "$PWD/results" QUANTIZE_FLAGS=--per-tensor results
    [ "$(remade "$PWD/now")" = "MODEL_CARD.md README.md bench.tsv final_ptq_quantized_model.safetensors float-ptq.pair.tsv \
ptq-qat.pair.tsv ptq.metrics.tsv ptq.predictions.safetensors report.html summary.tsv " ]
    run ! cmp -s "$FIRST/final_ptq_quantized_model.safetensors" results/tiny/final_ptq_quantized_model.safetensors
    cmp "$FIRST/best_qat_model.safetensors" results/tiny/best_qat_model.safetensors
}

@test "another seed trains again, on the same held-out images" {
    copy_first
    touch now
    study "$PWD/results" SEED=2 train
    [ "$(remade "$PWD/now")" = "best_float_model.safetensors float.log.tsv " ]
    [ results/tiny/.work/held-out.batches -ot now ]
    run ! cmp -s "$FIRST/best_float_model.safetensors" results/tiny/best_float_model.safetensors
}

@test "another data set makes all of it again" {
    copy_first
    touch now
    mkdir others
    make_bin others/data_batch_1.bin 300 3
    make_bin others/test_batch.bin 50 4
    study "$PWD/results" DATA="$PWD/others" DATASETS="$PWD/data" train "$PWD/results/tiny/.work/test.batches"
    [ "$(remade "$PWD/now")" = "best_float_model.safetensors float.log.tsv " ]
    [ results/tiny/.work/test.batches -nt now ]
}

@test "a changed tool counts, a touched one does not" {
    copy_first
    cp "$BIN"/* bin/
    touch now
    TOOLS=$PWD/bin study "$PWD/results" results
    [ -z "$(remade "$PWD/now")" ]
    program evaluate "exec '$BIN/evaluate' \"\$@\""
    TOOLS=$PWD/bin study "$PWD/results" "$PWD/results/tiny/bench.tsv"
    [ "$(remade "$PWD/now")" = "float-ptq.pair.tsv float-qat.pair.tsv float.metrics.tsv float.predictions.safetensors \
ptq-qat.pair.tsv ptq.metrics.tsv ptq.predictions.safetensors qat.metrics.tsv qat.predictions.safetensors " ]
}

@test "killed in the middle and called again, it ends with the same bytes" {
    study "$PWD/whole" EPOCHS=5 train
    # A group of its own, so that the kill takes make and all its programs; again where the training was over before.
    for ((try = 0; try < 10; try++)); do
        rm -rf results
        (
            set -m
            study "$PWD/results" EPOCHS=5 train > log 2>&1 &
            for ((i = 0; i < 6000; i++)); do
                ! compgen -G 'results/tiny/.work/*.checkpoint' > /dev/null || break
                sleep 0.02
            done
            kill -KILL -$!
        ) || true
        [ -e results/tiny/best_float_model.safetensors ] || break
    done
    compgen -G 'results/tiny/.work/*.checkpoint'
    [ ! -e results/tiny/best_float_model.safetensors ]
    study "$PWD/results" EPOCHS=5 train
    cmp whole/tiny/best_float_model.safetensors results/tiny/best_float_model.safetensors
    [ "$(untimed whole/tiny/float.log.tsv)" = "$(untimed results/tiny/float.log.tsv)" ]
    run ! compgen -G 'results/tiny/.work/*.checkpoint'
}

@test "a failing stage fails the study and leaves nothing of its own" {
    copy_first
    program failing 'exit 3'
    PATH=$PWD/bin:$PATH run study "$PWD/results" AUGMENT=failing SEED=5 models
    [ "$status" -ne 0 ]
    cmp "$FIRST/best_float_model.safetensors" results/tiny/best_float_model.safetensors
    cmp "$FIRST/fused_model.safetensors" results/tiny/fused_model.safetensors
    # And it is not taken for done afterwards.
    study "$PWD/results" SEED=5 train
    run ! cmp -s "$FIRST/best_float_model.safetensors" results/tiny/best_float_model.safetensors
}

@test "a stage swapped is called just as ours is" {
    copy_first
    program my-quantize 'printf "%s\n" "$*" > "$CALLED"; exec quantize --weight-bits "$2" "${@:3}"'
    CALLED=$PWD/called PATH=$PWD/bin:$PATH study "$PWD/results" QUANTIZE='my-quantize --bits 6' \
        "$PWD/results/tiny/final_ptq_quantized_model.safetensors"
    [ "$(< called)" = "--bits 6 -m $PWD/results/tiny/fused_model.safetensors -r $PWD/results/tiny/ranges.safetensors -o \
$PWD/results/tiny/final_ptq_quantized_model.safetensors" ]
    "$BIN/inspect" made-by results/tiny/final_ptq_quantized_model.safetensors | grep '^quantize ' | grep -qw weight-bits=6
}

@test "timing comes after all else that does not need it, and before what does" {
    copy_first
    rm results/tiny/charts/* results/tiny/*.tsv
    program lonely 'cd "$FOLDER" && ls charts/*.png *.tsv > "$SEEN"; exec bench "$@"'
    # The logs go with the models: all is made again but the images.
    SEEN=$PWD/seen FOLDER=$PWD/results/tiny PATH=$PWD/bin:$PATH study "$PWD/results" -j4 BENCH=lonely results
    [ "$(tr '\n' ' ' < seen)" = "charts/accuracy.png charts/augmented.png charts/confusion-float.png charts/confusion-ptq.png \
charts/confusion-qat.png charts/loss.png charts/samples-float.png charts/samples-ptq.png charts/samples-qat.png \
float-ptq.pair.tsv float-qat.pair.tsv float.log.tsv float.metrics.tsv ptq-qat.pair.tsv ptq.metrics.tsv qat.log.tsv \
qat.metrics.tsv " ]
}

@test "all twenty convolutions and the last layer are int8, with no float node between" {
    for model in final_ptq_quantized_model best_qat_model; do
        "$BIN/inspect" graph "$FIRST/$model.safetensors" > graph
        [ "$(awk '$3 == "conv2d"' graph | grep -c 'u8\[')" -eq 20 ]
        # Float: the normalised input before `quantize`, and the logits.
        [ "$(grep 'f32\[' graph | awk '{ print $3 }' | tr '\n' ' ')" = "normalize linear " ]
        last=$(awk 'END { print $4 }' graph)
        awk -v n="$last" '$1 == n' graph | grep -q 'u8\['
    done
}

@test "qat-finetune without epochs gives the tensors of quantize" {
    copy_first
    study "$PWD/results" QAT_EPOCHS=0 models
    "$BIN/inspect" compare results/tiny/final_ptq_quantized_model.safetensors results/tiny/best_qat_model.safetensors > differs ||
        true
    run ! grep -E '^tensor' differs
    run ! cmp -s "$FIRST/best_qat_model.safetensors" results/tiny/best_qat_model.safetensors
}

@test "a finished run is recorded without its models" {
    copy_first
    mkdir tree
    cp -r "$TREE"/{Makefile,pipelines,plots,tools,tests} tree/ 2> /dev/null
    printf 'before\n<!-- recorded tiny -->\nold\n<!-- end -->\nafter\n' > tree/README.md
    TREE=$PWD/tree study "$PWD/results" record
    [ -s tree/plots/recorded/tiny/charts/loss.png ]
    cmp results/tiny/summary.tsv tree/plots/recorded/tiny/summary.tsv
    grep -q 'command: .make results' tree/plots/recorded/tiny/MADE.md
    [ -z "$(find tree/plots/recorded/tiny -name '*.safetensors')" ]
    [ "$(sed -n '1p;$p' tree/README.md | tr '\n' ' ')" = "before after " ]
    run ! grep -qx old tree/README.md
    grep -q '^| float |' tree/README.md
}

@test "what cannot be is said in one line, before anything runs" {
    run study "$PWD/results" PROFILE=huge results
    [ "$status" -eq 2 ]
    [[ $output == *"no profile 'huge'"* ]]
    run study "$PWD/results" RUN=a/b results
    [ "$status" -eq 2 ]
    [[ $output == *"RUN='a/b' is not the name of a folder"* ]]
    run study "$PWD/results" DATA=/nowhere/at/all results
    [ "$status" -eq 2 ]
    XDG_CACHE_HOME=$PWD run study "$PWD/results" DATA=official results
    [ "$status" -eq 2 ]
    [[ $output == *"'./setup --official' fetches it"* ]]
    [ ! -e results ]
}

# A locale whose numbers have a comma, made here, since few machines have one: its LOCPATH.
comma_locale() {
    [[ -e /usr/share/i18n/locales/de_DE ]] || skip "no sources of locales here: ./setup installs them"
    mkdir -p "$BATS_FILE_TMPDIR/locale"
    [[ -e $BATS_FILE_TMPDIR/locale/de_DE.UTF-8 ]] ||
        localedef -i de_DE -f UTF-8 "$BATS_FILE_TMPDIR/locale/de_DE.UTF-8"
    LOCPATH=$BATS_FILE_TMPDIR/locale
    [ "$(LC_ALL=de_DE.UTF-8 LOCPATH=$LOCPATH awk 'BEGIN { printf "%.1f", 0.5 }')" = 0,5 ]
}

# COMMAND..: with every habit and setting that ever changed what a script did.
hostile() {
    printf '%s\n' 'echo BASH_ENV was read' 'awk() { echo an awk of the environment; }' 'cd() { return 0; }' > "$PWD/habits"
    (
        # shellcheck disable=SC2317 # called where it is exported to
        sed() { echo a sed of the environment; }
        export -f sed
        export LC_ALL=de_DE.UTF-8 LANG=de_DE.UTF-8 LOCPATH CDPATH=.:/ BASH_ENV=$PWD/habits ENV=$PWD/habits POSIXLY_CORRECT=1 \
            GREP_OPTIONS=-v GREP_COLORS=mt=31 LS_COLORS=di=31 QUOTING_STYLE=c TIME_STYLE=full-iso TZ=Asia/Kathmandu GLOBIGNORE='*' \
            XZ_OPT=-9e TAR_OPTIONS=--totals AWKPATH=/ GNUTERM=dumb BLOCK_SIZE=3 GIT_DIR=/nowhere OMP_NUM_THREADS=1 \
            XDG_CONFIG_HOME=$PWD GIT_WORK_TREE=/
        env IFS=/ SHELLOPTS=xtrace BASHOPTS=extglob "$@"
    )
}

@test "the study has the same bytes in any environment, as have its pages and what is recorded of it" {
    comma_locale
    hostile make --no-print-directory -C "$TREE" PREBUILT=1 BIN="$BIN" PROFILE=tests/cli/tiny.mk RESULTS="$PWD/results" \
        DATASETS="$PWD/data" DATA="$BATS_FILE_TMPDIR/images" results > log 2> errors
    for file in "$FIRST"/*.safetensors "$FIRST"/*.metrics.tsv "$FIRST"/*.pair.tsv "$FIRST"/charts/*; do
        case $file in */compare-time.*) continue ;; esac
        cmp "$file" "results/tiny/${file#"$FIRST"/}"
    done
    # What is printed is what the page has: numbers with points, no row missing.
    grep -qE '^\| float \| [0-9]+\.[0-9]+ .* 1\.00 \|$' log
    cmp <(grep '^| ' log) <(sed -n '/^| model |/,/^$/p' results/tiny/README.md | grep '^| ')
    cmp <(sed 's/^| \(float\|ptq\|qat\) | .* |$/row/; s/(.*; the float/(; the float/' "$FIRST/README.md") \
        <(sed 's/^| \(float\|ptq\|qat\) | .* |$/row/; s/(.*; the float/(; the float/' results/tiny/README.md)
    run ! grep -i 'of the environment\|BASH_ENV was read' -r log errors results/tiny/README.md
    # By hand, too.
    for file in "table $FIRST/summary.tsv" "run $FIRST"; do
        # shellcheck disable=SC2086 # words
        cmp <("$BIN/report" --as $file) <(hostile "$BIN/report" --as $file)
    done
    cp -a "$FIRST" recorded
    PATH=$BIN:$PATH hostile "$TREE/pipelines/record" recorded out 'make results' note
    grep -qE '^- float.log.tsv: 2 epochs in [0-9]+\.[0-9] seconds' out/MADE.md
    grep -qE '^\| train \| [0-9]+\.[0-9] \|$' out/MADE.md
}

@test "PROFILE=auto: a plan is made once, and decides from then on" {
    # A plan's own size would take minutes: what is small is said on the command line, which wins.
    auto() {
        study "$PWD/results" PROFILE=auto PLAN_FLAGS=--timings=tests/cli/timings.tsv WIDTH=4 EPOCHS=2 QAT_EPOCHS=0 "$@"
    }
    auto RUN=mine MINUTES=2 train > log 2>&1
    [ "$(grep -c '^plan: ' log)" -eq 2 ]
    grep -qx 'RUN = mine' results/mine/profile.mk
    grep -qx 'PLANNED_MINUTES = 2' results/mine/profile.mk
    "$BIN/inspect" made-by results/mine/best_float_model.safetensors | grep -q 'train-fp32 .* batch=32 .* learning-rate=0.1 '
    cp results/mine/profile.mk planned
    run -0 auto RUN=mine models
    [[ $output != *"plan: "* ]]
    cmp planned results/mine/profile.mk
    # As a file like any other, of a name of its own or another: the same bytes.
    run -0 study "$PWD/again" PROFILE="$PWD/results/mine/profile.mk" WIDTH=4 EPOCHS=2 train
    cmp results/mine/best_float_model.safetensors again/mine/best_float_model.safetensors
    # Other minutes are another plan; minutes are nothing to other profiles.
    run -2 auto RUN=mine MINUTES=3 train
    [[ $output == *"MINUTES=3: $PWD/results/mine/profile.mk was planned for 2, and decides. RUN=mine-3 "* ]]
    run -2 study "$PWD/results" MINUTES=3 train
    [[ $output == *"MINUTES=3: the profile 'tests/cli/tiny.mk' is as long as it is"* ]]
    run -2 auto RUN=other NETWORK='--width 8' train
    [[ $output == *"NETWORK=--width 8: PROFILE=auto chooses the width"* ]]
    # A network that is named is planned for, and its plan is no other network's.
    auto RUN=named MINUTES=2 NETWORK=lenet5 train > log 2>&1
    grep -q '^plan: lenet5, [0-9]* epochs of ' log
    "$BIN/inspect" made-by results/named/best_float_model.safetensors | grep -q ' network=lenet5 '
    cp results/named/profile.mk planned
    run -0 auto RUN=named train
    "$BIN/inspect" made-by results/named/best_float_model.safetensors | grep -q ' network=lenet5 '
    cmp planned results/named/profile.mk
    run -2 auto RUN=named NETWORK=resnet20 train
    [[ $output == *"NETWORK=resnet20: $PWD/results/named/profile.mk was planned for lenet5, and decides. RUN=named-2 "* ]]
    run -2 auto RUN=mine NETWORK=resnet20 train
    [[ $output == *"NETWORK=resnet20: $PWD/results/mine/profile.mk was planned for ResNet-18, and decides."* ]]
    run -2 auto RUN=short MINUTES=0.1 train
    [[ $output == *"plan: 0.1 minutes are too few: "* ]]
    [ ! -e results/short/profile.mk ]
    run -2 auto RUN=odd MINUTES=soon train
    [[ $output == *"plan: --minutes: 'soon' is not "* ]]
}

@test "make status says how far a study is, while it runs and after" {
    status() {
        study "$PWD/results" status
    }
    run -0 status
    [ "$output" = "$PWD/results/tiny: nothing is there yet" ]
    program slow "touch '$PWD/started'; while [ ! -e '$PWD/go-on' ]; do sleep 0.05; done; exec fuse \"\$@\""
    PATH=$PWD/bin:$PATH study "$PWD/results" FUSE=slow STAGE_SECONDS='train:5 calibrate:65 rest:10' models > log 2>&1 &
    for ((i = 0; i < 3000; i++)); do [[ ! -e started ]] || break; sleep 0.05; done
    run -0 study "$PWD/results" STAGE_SECONDS='train:5 calibrate:65 rest:10' status
    touch go-on
    wait
    [[ ${lines[0]} == "$PWD/results/tiny: running, 1 of 10 stages done" ]]
    [[ ${lines[1]} =~ ^\ \ train\ +done\ +[0-9:]+$ ]]
    [[ ${lines[2]} =~ ^\ \ fuse\ +running ]]
    [[ ${lines[3]} =~ ^\ \ calibrate\ +waits\ +about\ 1:05$ ]]
    [[ ${lines[-1]} == "at least 1:15 left" ]]
    # Plain lines where there is no terminal, with what is left.
    grep -qE '^\[1/10 train\] took [0-9:]+, about 1:15 of the study left$' log
    run ! grep -q $'\r' log
    rm -r results
    copy_first
    run -0 status
    [ "${lines[0]}" = "$PWD/results/tiny: finished" ]
    # Of a model that was made anew, all that comes from it waits.
    study "$PWD/results" SEED=3 train
    run -0 status
    [ "${lines[0]}" = "$PWD/results/tiny: not running, 1 of 10 stages done" ]
}

@test "make status shows the line of the program that runs" {
    (
        set -m
        study "$PWD/results" EPOCHS=400 train > log 2>&1 &
        for ((i = 0; i < 3000; i++)); do
            ! grep -qs epoch results/tiny/.work/train.began || break
            sleep 0.05
        done
        study "$PWD/results" status > said
        kill -TERM -$!
        wait || true
    )
    grep -qE '^  train +running +train-fp32 [0-9]+/144000 [0-9.]+/s [0-9:]+ left epoch [0-9]+/400 loss [0-9.]+$' said
    # Stopped: where it stands, and that it goes on.
    run -0 study "$PWD/results" status
    [ "${lines[0]}" = "$PWD/results/tiny: not running, 0 of 10 stages done" ]
    [[ ${lines[1]} == "  train"*"stopped"* ]]
}

@test "make builds the programs first, and has nothing to do where they are" {
    local built=$TREE/build compiler
    [[ $BIN == "$TREE/bin" ]] || built=${BIN%/bin}
    [[ -e $built/flags ]] || skip "no build here"
    touch now
    # As they were built, whatever make would build with by itself.
    make --no-print-directory -C "$TREE" B="${built#"$TREE"/}" BIN="$BIN" FLAGS_NOW="$(< "$built/flags")" CUDA_HOME= PROFILE=tests/cli/tiny.mk \
        RESULTS="$PWD/results" DATASETS="$BATS_FILE_TMPDIR/data" DATA="$BATS_FILE_TMPDIR/images" train > log 2>&1 || { cat log; return 1; }
    cmp "$FIRST/best_float_model.safetensors" results/tiny/best_float_model.safetensors
    [ -z "$(find "$BIN" -newer now -type f)" ] || { cat log; return 1; }
    read -r compiler _ < "$built/flags"
    run ! grep -E "^($compiler|ar) " log
}

@test "a page whose parts cannot be made is no page" {
    copy_first
    rm results/tiny/float-qat.pair.tsv
    run "$BIN/report" --as run results/tiny
    [ "$status" -ne 0 ]
    cp "$FIRST/float-qat.pair.tsv" results/tiny
    echo broken > results/tiny/best_float_model.safetensors
    run "$BIN/report" --as run results/tiny
    [ "$status" -ne 0 ]
}

@test "the environment changes nothing" {
    copy_first
    touch now
    EPOCHS=9 SEED=4 WIDTH=5 RUN=other QUANTIZE=false OPENBLAS_CORETYPE=Nehalem CIFAR10_DIR=/nowhere LC_ALL=de_DE.UTF-8 \
        study "$PWD/results" results
    [ -z "$(remade "$PWD/now")" ]
}

@test "make tta: rows of their own, which no other table takes" {
    copy_first
    study "$PWD/results" tta > said
    grep -qx '# tta: flip' results/tiny/tta.tsv
    [ "$(grep -v '^#' results/tiny/tta.tsv | cut -f 1 | xargs)" = "model float ptq qat" ]
    cmp "$FIRST/summary.tsv" results/tiny/summary.tsv
    grep -q '^| qat |' said
    study "$PWD/results" results > said
    grep -qF '<th scope="row">qat, flip</th>' results/tiny/report.html
    [ "$(grep -c 'flip</th>' results/tiny/report.html)" -eq 3 ]
    cmp "$FIRST/MODEL_CARD.md" results/tiny/MODEL_CARD.md
    # plain times are of no use to it, nor its times to others; nor is one of it among others
    W=results/tiny/.work/tta
    run -1 "$BIN/report" --as summary "$W"/{float,ptq,qat}.metrics.tsv results/tiny/bench.tsv float=1 ptq=1 qat=1
    [[ $output == *"no time in the same precision, of tta flip"* ]]
    run -1 "$BIN/report" --as summary results/tiny/{float,ptq,qat}.metrics.tsv "$W/bench.tsv" float=1 ptq=1 qat=1
    cat "$W/bench.tsv" > two.tsv
    grep '^infer' results/tiny/bench.tsv >> two.tsv
    run -1 "$BIN/report" --as summary results/tiny/float.metrics.tsv "$W"/{ptq,qat}.metrics.tsv two.tsv float=1 ptq=1 qat=1
    [[ $output == *"ptq: tta: is flip, want none"* ]]
    # its metrics and predictions in the folder are no answers of the page
    cp "$W/float.metrics.tsv" results/tiny/float-flip.metrics.tsv
    "$BIN/report" results/tiny > page.html
    [ "$(grep -c '<th scope="row">float-flip' page.html)" -eq 0 ]
}

@test "TRAIN_PART=all: all images, the last epoch, and nothing that would choose" {
    study "$PWD/results" TRAIN_PART=all results > said
    "$BIN/inspect" show results/tiny/best_qat_model.safetensors | grep -q 'trained-on.* train/all'
    grep -q '^# images: 400' results/tiny/float.log.tsv
    [ "$(grep -v '^#' results/tiny/float.log.tsv | cut -f 6 | sort -u | xargs)" = "accuracy_held_out" ] ||
        [ "$(grep -v '^#' results/tiny/float.log.tsv | cut -f 6 | sort -u | xargs)" = "- accuracy_held_out" ]
    run ! grep validate said
    for what in sweep lowbit ablation; do
        run study "$PWD/results" TRAIN_PART=all "$what"
        [ "$status" -ne 0 ]
        [[ $output == *"TRAIN_PART=all has trained on the held-out images: $what would choose by them"* ]]
    done
    run study "$PWD/results" TRAIN_PART=most train
    [ "$status" -ne 0 ]
    [[ $output == *"TRAIN_PART='most' is not train or all"* ]]
}
