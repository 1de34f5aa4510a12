# What the command-line tests share. BIN: the folder of the tools (default: bin/ of the source tree).

bats_require_minimum_version 1.5.0
export LC_ALL=C
export XDG_CACHE_HOME=$BATS_RUN_TMPDIR/cache # never the user's own
TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034 # for the tests
VERSION=$(sed -n 's/^#define RESQ_VERSION "\(.*\)"$/\1/p' "$TREE/lib/base/version.h")
BIN=${BIN:-$TREE/bin}
case $BIN in /*) ;; *) BIN=$PWD/$BIN ;; esac

# make_bin FILE COUNT SEED: a file in CIFAR-10's binary layout, COUNT records. The ten classes take turns; each has a wave
# of its own direction and colour, at a random phase, under noise: a small network learns them well, but not at once. Many files want
# the same ones, which tests/run lets them keep for each other.
make_bin() {
    local made=${TESTS_MADE:-$BATS_RUN_TMPDIR}/$2-$3.bin
    [[ -e $made ]] || { write_bin "$made.$BASHPID" "$2" "$3" && mv "$made.$BASHPID" "$made"; } || return 1
    cp "$made" "$1"
}

write_bin() {
    perl -e '
        use strict;
        my ($file, $count, $seed) = @ARGV;
        my @waves = ([1, 0], [0, 1], [2, 2], [3, -1], [1, 4]);
        open(my $out, ">:raw", $file) or die "$file: $!\n";
        srand($seed);
        for my $i (0 .. $count - 1) {
            my $label = $i % 10;
            my ($fx, $fy) = @{$waves[$label % 5]};
            my $phase = 6.2831853 * rand();
            my @strength = $label < 5 ? (45, 25, 0) : (0, 25, 45);
            my @wave = map { my $p = $_; sin($phase + 0.19634954 * ($fx * ($p % 32) + $fy * int($p / 32))) } 0 .. 1023;
            my @bytes = ($label);
            for my $s (@strength) {
                push @bytes, map { int(128 + $s * $_ + 160 * (rand() - 0.5)) } @wave;
            }
            print $out pack("C*", @bytes);
        }
        close($out) or die "$file: $!\n";
    ' "$1" "$2" "$3"
}
