#!/usr/bin/env bats
# plan: a profile from made-up speeds; no test's outcome hangs on a clock.
# shellcheck disable=SC2154 # bats sets stderr

load helpers

setup_file() {
    cd "$BATS_FILE_TMPDIR" || return 1
    mkdir images
    make_bin images/data_batch_1.bin 400 1
    make_bin images/test_batch.bin 100 2
}

setup() {
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work" || return 1
    T=$BATS_FILE_TMPDIR
}

plan() {
    "$BIN/plan" -d "$T/images" -j 2 --timings "$TREE/tests/cli/timings.tsv" "$@"
}

@test "the plan is said in two lines, and is a profile that make reads" {
    run -0 --separate-stderr plan --minutes 10 --run mine -o profile.mk
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" -eq 2 ]
    [[ ${stderr_lines[0]} == "plan: width 8, 100 epochs of 360 images in bf16: about "*" of 10 minutes" ]]
    [[ ${stderr_lines[1]} == "plan: it trains on 720 images a second, with 2 threads; tested on 100 images, fine-tuned on 360" ]]
    printf 'include profile.mk\nall:\n\t@echo "$(RUN) $(PLANNED_MINUTES) $(WIDTH) $(EPOCHS) $(TRAIN_IMAGES) $(BENCH_THREADS)"\n' > Makefile
    [ "$(make --no-print-directory)" = "mine 10 8 100 0 1,2" ]
    plan --minutes 10 --run mine -q > again.mk 2> said
    cmp profile.mk again.mk
    [ ! -s said ]
}

@test "small pictures first, where they are faster, and not where GROW is emptied" {
    awk 'NR == 1 { $0 = $0 "\ttrain_half\ttrain_three_quarters" } NR > 1 { $0 = $0 "\t" 3 * $3 "\t" 2 * $3 } { print }' \
        "$TREE/tests/cli/timings.tsv" > t.tsv
    # 360 images: a hundred epochs fit.
    run -0 --separate-stderr "$BIN/plan" -d "$T/images" -j 2 --timings t.tsv --minutes 10 -o profile.mk
    [[ ${stderr_lines[0]} == "plan: width 8, 100 epochs of 360 images, 78 of them small, in bf16: about "* ]]
    printf 'include profile.mk\nall:\n\t@echo "$(TRAIN_FLAGS)"\n' > Makefile
    [[ $(make --no-print-directory) == *" --grow 16:45,24:33" ]]
    [[ $(make --no-print-directory GROW=) != *grow* ]]
}

@test "minutes that have passed are taken off, a fifth of all at most" {
    plan --minutes 1.25 --spent 15 -q > spent.mk
    plan --minutes 1.25 --spent 150 -q > longer.mk
    plan --minutes 1 -q > less.mk
    cmp spent.mk longer.mk
    diff <(grep '=' spent.mk | grep -v MINUTES) <(grep '=' less.mk | grep -v MINUTES)
    run ! grep -q '^PLANNED_MINUTES = 1$' spent.mk
}

@test "too few minutes: what it would take, and nothing is written" {
    run -1 --separate-stderr plan --minutes 0.3 -o profile.mk
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == "plan: 0.3 minutes are too few: the smallest study takes about 0."?" minutes here" ]]
    [ ! -e profile.mk ]
    # The same where it times: no machine does it in three seconds.
    run -1 --separate-stderr "$BIN/plan" -d "$T/images" -j 1 --minutes 0.05 -o profile.mk
    [[ $stderr == "plan: 0.05 minutes are too few"* && ${#stderr_lines[@]} -eq 1 ]]
    [ ! -e profile.mk ]
}

@test "tables and images that cannot be" {
    fails() { # message: of the table in t.tsv
        run -1 --separate-stderr "$BIN/plan" -d "$T/images" --timings t.tsv -o profile.mk
        [[ $stderr == "plan: t.tsv: $1"* && ${#stderr_lines[@]} -eq 1 ]] || { echo "$stderr"; return 1; }
        [ ! -e profile.mk ]
    }
    fails "cannot open"
    printf 'width\ttrain_fp32\ttrain_bf16\tinfer\n8\t1\t1\t1\n' > t.tsv
    fails "no column 'augment'"
    printf 'width\ttrain_fp32\ttrain_bf16\tinfer\taugment\n' > t.tsv
    fails "has 0 rows, want 1 to 4"
    printf 'width\ttrain_fp32\ttrain_bf16\tinfer\taugment\n16\t1\t1\t1\t1\n' > t.tsv
    fails "row 1: width 16, want 8"
    printf 'width\ttrain_fp32\ttrain_bf16\tinfer\taugment\n8\t0\t1\t1\t1\n' > t.tsv
    fails "train_fp32: '0' is not"
    printf 'width\ttrain_fp32\ttrain_bf16\tinfer\taugment\n8\tnan\t1\t1\t1\n' > t.tsv
    fails "train_fp32: 'nan' is not"
    run -1 --separate-stderr plan -d nowhere
    [[ $stderr == "plan: nowhere: "* ]]
    mkdir few
    make_bin few/data_batch_1.bin 9 1
    make_bin few/test_batch.bin 5 2
    run -1 --separate-stderr plan -d few
    [[ $stderr == "plan: few: too few images: 9 to train on, 0 held out, 5 to test" ]]
    run -2 --separate-stderr plan --minutes 0
    [[ $stderr == *"--minutes: '0' is not"* ]]
}

@test "a network that is named is timed instead, and the profile says it as make and the shell read it" {
    run -0 --separate-stderr plan --minutes 10 --network mobilenetv2 -o profile.mk
    [[ ${stderr_lines[0]} == "plan: mobilenetv2, 100 epochs of 360 images in bf16: about "*" of 10 minutes" ]]
    run ! grep -q WIDTH profile.mk
    printf 'include profile.mk\nall:\n\t@printf "<%%s>" $(NETWORK)\n' > Makefile
    [ "$(make --no-print-directory)" = "<mobilenetv2>" ]
    mkdir "a'b \$c#d"
    "$BIN/train-fp32" --network lenet5 --epochs 0 -q -o m.st
    "$BIN/inspect" graph m.st > "a'b \$c#d/net.txt"
    plan --minutes 10 -q --graph "a'b \$c#d/net.txt" -o profile.mk
    [ "$(make --no-print-directory)" = "<--graph><a'b \$c#d/net.txt>" ]
    run -1 --separate-stderr plan --minutes 0.3 --network lenet5 -o none.mk
    [[ $stderr == "plan: 0.3 minutes are too few for lenet5: the smallest study takes about 0."?" minutes here" ]]
    run -2 --separate-stderr plan --network lenet
    [[ ${stderr_lines[0]} == "plan: --network: no network 'lenet': there are "* ]]
    run -2 --separate-stderr plan --network lenet5 --init m.st
    [[ ${stderr_lines[0]} == "plan: --network, --graph and --init: one of them" ]]
    # Timed here: a text and a model of its own; what is not of these images is refused before the clock runs.
    for named in --graph="a'b \$c#d/net.txt" --init=m.st --network=lenet5; do
        run -0 --separate-stderr "$BIN/plan" -d "$T/images" -j 2 --minutes 1000000 "$named" -o timed.mk
        grep -q '^# *this network *training [1-9]' timed.mk
    done
    "$BIN/train-fp32" --network lenet5 --size 28x28x1 --epochs 0 -q -o grey.st
    run -1 --separate-stderr "$BIN/plan" -d "$T/images" --init grey.st
    [[ $stderr == "plan: "*"images: are u8[32,32,3], the model wants u8[28,28,1]" ]]
    "$BIN/train-fp32" --network lenet5 --classes 7 --epochs 0 -q -o seven.st
    run -1 --separate-stderr "$BIN/plan" -d "$T/images" --init seven.st
    [[ $stderr == "plan: "*"classes: the images have 10, the network 7" ]]
}

@test "without a table this machine is timed, whatever it is" {
    run -0 --separate-stderr "$BIN/plan" -d "$T/images" -j 2 --minutes 1000000 -o profile.mk
    [[ ${stderr_lines[0]} == "plan: width "*" epochs of 360 images"*" in "* ]]
    grep -q '^# *width 8 *training [1-9]' profile.mk
}
