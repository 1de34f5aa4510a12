# The tables of `page`, from FOLDER/SET-NETWORK/peers.tsv and peers-training.tsv.
BEGIN { FS = "\t" }
FNR == 1 {
    header = 0
    parts = split(FILENAME, path, "/")
    is_training = path[parts] ~ /training/
    machine = path[parts - 1]
    delete at
}
/^# network: / { network = substr($0, 12); sub(/, (trained|as initialised)$/, "", network); network_at() }
/^# date: / { date[machine] = substr($0, 9) }
/^# cpu: / { split(substr($0, 8), cpu, ","); processor[machine] = cpu[1] }
/^#/ { next }
!header { header = 1; for (i = 1; i <= NF; i++) at[$i] = i; next }
{
    threads = $at["threads"] ($at["threads"] == 1 ? " thread" : " threads")
    k = (is_training ? "training, " : "") $at["precision"] ", batch " $at["batch"] ", " threads
    add_row(network, k, $at["program"])
    cell[network, k, $at["program"], machine] = is_training ? training_cell() : inference_cell()
    if (!is_training)
        remember()
}
function network_at() {
    if (!(network in columns))
        networks[++network_count] = network
    if (!((network, machine) in has)) {
        has[network, machine] = 1
        machines[network, ++columns[network]] = machine
    }
}
function add_row(network, k, program) {
    if (!((network, k, program) in seen)) {
        seen[network, k, program] = 1
        case_of[network, ++rows[network]] = k
        program_of[network, rows[network]] = program
    }
}
function field(name) { return name in at ? $at[name] : "-" }
function training_cell() { return $at["speed_up_min"] == "-" ? "1" : sprintf("%.2f", $at["speed_up_min"]) }
function inference_cell(text) {
    text = $at["ratio_min"] == "-" ? "1" : sprintf("%.2f", $at["ratio_min"])
    if (field("accuracy") != "-")
        text = text "; " field("accuracy") " %"
    return field("correct") == "no" ? text ", **wrong**" : text
}
# What the README's table shows, of the last machine where a trained network came out wrong.
function remember(id) {
    if ($at["precision"] != "int8" || field("accuracy") == "-")
        return
    id = machine SUBSEP $at["program"]
    if (!(id in accuracy)) {
        accuracy[id] = field("accuracy")
        agreement[id] = field("agreement")
        programs[machine] = programs[machine] " " $at["program"]
    }
    if (field("correct") == "no") {
        wrong[id] = 1
        wrong_machine = machine
        wrong_network = network
    }
    ms[id, $at["batch"], $at["threads"]] = $at["ms_min"]
    if ($at["threads"] > most_threads)
        most_threads = $at["threads"]
}
function all_tables(n, i, j, k, last, line, rule) {
    for (n = 1; n <= network_count; n++) {
        network = networks[n]
        line = "| " network " |"
        rule = "|---|"
        for (j = 1; j <= columns[network]; j++) {
            machine = machines[network, j]
            line = line sprintf(" | [%s](%s/README.md): %s, %s", set_of(machine), machine, processor[machine], date[machine])
            rule = rule "---|"
        }
        print line " |"
        print rule "---|"
        last = ""
        for (i = 1; i <= rows[network]; i++) {
            k = case_of[network, i]
            line = "| " (k == last ? "" : k) " | " program_of[network, i]
            for (j = 1; j <= columns[network]; j++) {
                machine = machines[network, j]
                line = line " | " (((network, k, program_of[network, i], machine) in cell) ? \
                    cell[network, k, program_of[network, i], machine] : "-")
            }
            print line " |"
            last = k
        }
        print ""
    }
}
function time_of(id, batch, count) { return (id, batch, count) in ms ? sprintf("%.3f", ms[id, batch, count]) : "-" }
function set_of(machine) { sub(/-.*/, "", machine); return machine }
function wrong_table(list, count, i, id) {
    if (wrong_machine == "")
        return
    printf "| the same int8 network (%s), on %s without VNNI | test accuracy, %% | same class as resq, %% | ms an image, batch 1, 1 thread | " \
        "batch 64, %d threads |\n|---|---|---|---|---|\n", wrong_network, processor[wrong_machine], most_threads
    count = split(substr(programs[wrong_machine], 2), list, " ")
    for (i = 1; i <= count; i++) {
        id = wrong_machine SUBSEP list[i]
        printf "| %s%s | %s | %s | %s | %s |\n", list[i], id in wrong ? ", **wrong**" : "", accuracy[id], agreement[id], \
            time_of(id, 1, 1), time_of(id, 64, most_threads)
    }
}
END {
    if (what == "wrong")
        wrong_table()
    else
        all_tables()
}
