# shellcheck shell=bash
# What the scripts that record finished runs share.

# The machine's processor and how many of it there are.
machine_name() {
    local processor processors
    processor=$(sed -n '/^model name/ { s/^[^:]*: //p; q }' /proc/cpuinfo)
    processors=$(nproc)
    printf '%s, %s of its processors' "${processor:-unknown processor}" "$processors"
}

# COMMAND TABLE COMMIT: the head of a MADE.md. TABLE says what the data set is.
made_begin() {
    local dataset digest machine system date
    dataset=$(sed -n 's/^# dataset: //p; /^[^#]/q' "$2")
    digest=$(sed -n 's/^# dataset-digest: //p; /^[^#]/q' "$2")
    machine=$(machine_name)
    system=$(uname -srm | awk '{ print $3 ", " $1 " " $2 }')
    date=$(date -u +%F)
    printf '# How this was made\n\n'
    # shellcheck disable=SC2016 # code, in Markdown
    printf -- '- command: `%s`\n' "$1"
    printf -- '- commit: %s\n- machine: %s, %s\n' "$3" "$machine" "$system"
    printf -- '- data: %s\n- date: %s\n' "$dataset${digest:+, $digest}" "$date"
}

# PAGE NAME PART-FILE: what stands in the page between <!-- recorded NAME --> and <!-- end --> is the part's.
page_put() {
    awk -v begin="<!-- recorded $2 -->" -v part="$3" '
        $0 == begin { print; while ((getline line < part) > 0) print line; skip = 1 }
        $0 == "<!-- end -->" { skip = 0 }
        !skip' "$1" > "$1.new"
    mv "$1.new" "$1"
}
