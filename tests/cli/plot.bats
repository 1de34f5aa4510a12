#!/usr/bin/env bats
# plot: charts by gnuplot, and how every kind fails. That the pictures are good was seen by eye; here: whole, the same each time,
# holding what they should, and never half.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

load helpers
load plots

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

@test "a letter that no font has is a box of the text's size" {
    needs_gnuplot
    [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || skip "no DejaVu"
    dejavu_alone
    matrix 2 6 猫हिन्दी🦤 > cjk.tsv
    matrix 2 6 □□□□□□□□ > cjk.boxes.tsv
    summary '猫|50|40|60|9|9|9' > s.cjk.tsv
    summary '□|50|40|60|9|9|9' > s.boxes.tsv
    for chart in "confusion cjk" "compare-size s.cjk" "compare-accuracy s.cjk"; do
        "$BIN/plot" ${chart}.tsv --title 猫 -o chart.png
        "$BIN/plot" "${chart% *}" "$(sed 's/\.*cjk/&.boxes/; s/s.cjk.boxes/s.boxes/' <<< "${chart#* }").tsv" --title □ -o boxes.png
        cmp chart.png boxes.png
    done
    "$BIN/plot" confusion cjk.tsv --title 猫 -o chart.png
    [ "$(look ink chart.png)" -lt 40 ]
    "$BIN/plot" loss float.log.tsv --label 猫 --title 🦤 -o chart.png
    "$BIN/plot" loss float.log.tsv --label □ --title □ -o boxes.png
    cmp chart.png boxes.png
    "$BIN/plot" images --title 猫 -o chart.png < batches
    "$BIN/plot" images --title □ -o boxes.png < batches
    cmp chart.png boxes.png
    "$BIN/plot" confusion cjk.tsv --title 猫 -o chart.svg # who looks at it may have the font
    holds chart.svg 猫 "猫हिन्दी🦤 1"
}

@test "without any font: one line, no file" {
    dejavu_alone /nowhere
    for chart in "compare-size summary.tsv" "images --images batches"; do
        # shellcheck disable=SC2086
        run --separate-stderr "$BIN/plot" $chart -o x.png
        fails 1 "plot: no font: fontconfig finds none: install fonts-dejavu-core"
        [ ! -e x.png ]
    done
}

@test "any name is shown as it is, everywhere, and runs nothing" {
    needs_gnuplot
    while IFS= read -r name; do
        summary "$name|50|40|60|9|9|9" "b|50|40|60|9|9|9" > s.tsv
        { printf '# dataset: %s\n' "$name"; matrix 2 6 "$name"; } > m.tsv
        "$BIN/plot" compare-time s.tsv --title "$name" -o chart.svg
        holds chart.svg "$name" "1.00 x as fast as $name"
        [ "$(grep -cFx -e "$name" texts)" -eq 2 ] # the title and the bar's name
        look inside chart.svg
        "$BIN/plot" confusion m.tsv -o chart.svg
        holds chart.svg "$name" "${name:0:8}"
        "$BIN/plot" accuracy float.log.tsv --label "$name" -o chart.svg
        holds chart.svg "$name, held out"
        "$BIN/plot" accuracy float.log.tsv --label "$name" -o chart.png
        [ ! -e ran ]
    done <<'END'
a_b^c {/=40 x} @y &z ~w
`touch ran` $(touch ran)
'; system('touch ran') #
"\n%d %s %% \t\\
<b>&amp;</b> ]]>
END
    printf 'a\033[31mb\001\377c' > name
    "$BIN/plot" loss float.log.tsv --label "$(cat name)" --title "$(cat name)" -o chart.svg
    holds chart.svg 'a?[31mb??c'
    long=$(printf 'w%.0s' {1..200})
    summary "${long}A|50|40|60|9|9|9" "${long}B|50|40|60|9|9|9" > s.tsv
    { printf '# dataset: %s\n' "$long"; matrix 3 6 "$long"; } > m.tsv
    for chart in "compare-size s.tsv" "compare-time s.tsv" "confusion m.tsv" "loss float.log.tsv --label $long"; do
        # shellcheck disable=SC2086
        "$BIN/plot" $chart --title "$long$long" -o chart.svg
        look inside chart.svg
    done
    [ "$(size <("$BIN/plot" images --title "$long" -o chart.png < batches; cat chart.png))" = "1684x1216" ]
}

@test "axes: numbers at each, with the same digits, and none past what can be" {
    needs_gnuplot
    log '1|0.001|2.3|10|11' > one.tsv
    log '1|0|0|0|0' '2|0|0|0|0' > zero.tsv
    log '1|1|1e-7|100|100' '2|1|1e-7|100|100' > all.tsv
    log '1|1e20|1e25|0|100' '999999|1e-20|3|0|100' > huge.tsv
    summary 'a|100|99|100|123|0.001|0.002' > s.one.tsv
    summary 'a|0|0|0|0|0|0' 'b|0|0|0|0|0|0' > s.zero.tsv
    summary 'a|0|0|100|1|1e-9|1e-9' 'b|50|45|55|1e15|1e9|1e9' > s.huge.tsv
    for table in one zero all huge s.one s.zero s.huge; do
        kinds="loss accuracy"
        case $table in s.*) kinds="compare-accuracy compare-size compare-time" ;; esac
        for kind in $kinds; do
            run --separate-stderr "$BIN/plot" "$kind" $table.tsv -o chart.svg
            [ "$status:$output$stderr" = 0: ] || { echo "$kind $table: $output$stderr"; return 1; }
            look inside chart.svg
            look tics chart.svg > tics
            [ -s tics ]
            while read -r -a numbers; do
                [ "${#numbers[@]}" -ge 2 ] || { echo "$kind $table: ${numbers[*]}"; return 1; }
                # the same decimals in all
                [ "$(printf '%s\n' "${numbers[@]}" | sed 's/^[^.]*//' | awk '{ print length }' | sort -u | wc -l)" -eq 1 ] ||
                    { echo "$kind $table: ${numbers[*]}"; return 1; }
                case $kind in
                *accuracy) awk -v most="${numbers[-1]}" 'BEGIN { exit !(most <= 100) }' || { echo "$kind $table: ${numbers[*]}"; return 1; } ;;
                esac
            done < tics
        done
    done
    run --separate-stderr "$BIN/plot" compare-accuracy <(summary 'a|101|100|102|1|1|1') -o x.svg
    [ "$status" -eq 1 ]
    [[ $stderr == *"row 1: accuracy: '101' is not"* ]]
    run --separate-stderr "$BIN/plot" loss <(log '1|0.1|inf|1|1') -o x.svg
    [ "$status" -eq 1 ]
    [[ $stderr == *"row 1: loss: 'inf' is not"* ]]
    [ ! -e x.svg ]
}

@test "values side by side have the same decimals" {
    needs_gnuplot
    "$BIN/plot" compare-size <(summary 'a|50|40|60|11228808|9|9' 'b|50|40|60|2830962|9|9') -o chart.svg
    holds chart.svg "11.23 MB" "2.83 MB"
    "$BIN/plot" compare-size <(summary 'a|50|40|60|900|9|9') -o chart.svg
    holds chart.svg "900 bytes"
}

@test "forty models, and thirty runs with long labels" {
    needs_gnuplot
    mapfile -t rows < <(for i in {1..40}; do echo "model-$i-w4a8|$((100 - i))|$((99 - i))|$((101 - i))|${i}000000|$i|$((i + 1))"; done)
    summary "${rows[@]}" > s.tsv
    for kind in compare-accuracy compare-size compare-time; do
        "$BIN/plot" $kind s.tsv -o chart.svg
        look inside chart.svg
        [ "$(texts chart.svg | grep -c '^model-')" -eq 40 ]
    done
    runs=() labels=()
    for i in {1..30}; do
        log "1|0.1|2|$((40 + i))|$i" "2|0.1|1|$((40 + i))|$i" > "run$i.tsv"
        runs+=("run$i.tsv") labels+=(--label "$i is a rather long label of a run")
    done
    for kind in loss accuracy; do
        "$BIN/plot" $kind "${runs[@]}" "${labels[@]}" -o chart.svg
        look inside chart.svg
        "$BIN/plot" $kind "${runs[@]}" -o chart.svg
        look inside chart.svg
    done
    summary "${rows[@]}" "${rows[@]}" > s.tsv
    run --separate-stderr "$BIN/plot" compare-size s.tsv -o x.svg
    fails 1 "plot: s.tsv: 80 rows, want 1 to 64"
}

@test "confusion matrices of 1 to 256 classes" {
    needs_gnuplot
    for case in "1 5" "2 1000000000" "20 9999" "43 99999" "100 50"; do
        # shellcheck disable=SC2086
        matrix $case "some class" > m.tsv
        "$BIN/plot" confusion m.tsv -o chart.svg
        look inside chart.svg || { echo "$case"; return 1; }
        [ "$(look bars chart.svg | awk '$1 > 4 && $2 > 4' | wc -l)" -ge "${case% *}" ] # a cell a class at least
    done
    matrix 256 50 > m.tsv
    "$BIN/plot" confusion m.tsv -o chart.svg
    look inside chart.svg
    [ "$(stat -c %s chart.svg)" -lt 1500000 ]
    awk 'BEGIN {
        print "metric\tclass\tpredicted\tvalue"
        for (i = 0; i < 2049; i++)
            printf "confusion\tc %d\tc %d\t1\n", i, i
    }' > many.tsv
    "$BIN/plot" confusion many.tsv -o x.svg 2> line || true
    [[ $(cat line) == *"more than 2048 classes" ]]
    [ ! -e x.svg ]
    "$BIN/plot" confusion <(matrix 3 0) -o chart.svg
    "$BIN/plot" confusion <(matrix 30 0) -o chart.svg
}

@test "an activation that is always the same has its bar" {
    needs_gnuplot
    for value in 0 3.25 -0.0009765625; do
        ranges still "$value:1000"
        "$BIN/plot" histogram still conv1 -o chart.svg
        look inside chart.svg
        look bars chart.svg | awk '$1 >= 4 && $2 > 50 { n++ } END { exit n != 1 }'
        [ "$(look tics chart.svg | wc -w)" -ge 2 ]
    done
}

@test "tables that are none: one line, no file" {
    printf 'model\taccuracy\r\n' > crlf
    printf '\357\273\277model\taccuracy\n' > mark
    printf 'model\tacc\0uracy\n' > zero
    printf '1\t2\n3\n' > ragged
    printf '1\t2\t3\n' > headless
    head -c 10485760 /dev/zero | tr '\0' x > long
    { printf 'epoch\tloss\taccuracy_train\taccuracy_held_out\tlearning_rate\n1\t'; cat long; printf '\t1\t1\t1\n'; } > long.cell
    printf 'epoch\tloss\taccuracy_train\taccuracy_held_out\tlearning_rate\n' > no.rows
    for kind in loss accuracy confusion compare-accuracy compare-size compare-time; do
        for table in crlf mark zero ragged headless long; do
            run --separate-stderr "$BIN/plot" $kind $table -o x.svg
            [ "$status" -eq 1 ] && [ "${#stderr_lines[@]}" -eq 1 ] && [ -z "$output" ] && [ "${#stderr}" -lt 1100 ] ||
                { echo "$kind $table: $status $stderr"; return 1; }
        done
    done
    for table in long.cell no.rows; do
        run --separate-stderr "$BIN/plot" loss $table -o x.svg
        [ "$status" -eq 1 ]
        [ "${#stderr_lines[@]}" -eq 1 ]
    done
    [ ! -e x.svg ]
}

@test "an SVG is called what its chart is, and asks for no font that is none" {
    needs_gnuplot
    "$BIN/plot" loss float.log.tsv --title "a < b & c" -o chart.svg
    grep -qF '<title>a &lt; b &amp; c</title>' chart.svg
    run ! grep -qE 'sans-serif:Bold|(href|src)="?.?https?:' chart.svg
    grep -qF 'font-weight="bold"' chart.svg
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
    holds chart.svg "2.830 MB" "0.735 MB" "0.260 of float"
    "$BIN/plot" compare-time summary.tsv -o chart.svg
    holds chart.svg "3.20 ms" "2.00 x as fast as float" "batch 1, 1 thread, avx2"
}

@test "cells of the confusion matrix hold count and percent" {
    needs_gnuplot
    printf 'metric\tclass\tpredicted\tvalue\nconfusion\ta\ta\t3\nconfusion\ta\tb\t1\nconfusion\tb\ta\t0\nconfusion\tb\tb\t7\n' > m
    "$BIN/plot" confusion m -o chart.svg
    holds chart.svg "Confusion matrix: m" "75.0 %" "25.0 %" "100.0 %" "predicted class" "true class"
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
