#!/bin/sh
# Runs the fuzz targets one after another on the stable compiler: `make fuzz`, or `fuzz/run.sh [TARGET...]`; FUZZ_SECONDS each, 60 unless set.
#
# libFuzzer comes as source with libfuzzer-sys and needs a C++ compiler; the coverage that leads it, with flags that a stable compiler takes.
# An input that broke a rule is left in target/fuzz/findings. What else is learned stays in target/fuzz/corpus, where the next run goes on from.
# `fuzz/run.sh keep [TARGET...]` takes into fuzz/corpus what reaches code that nothing there reaches, the most of it first, up to 40 files each.
set -eu
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
kept_max=40
made=target/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')

keep=
[ "${1:-}" = keep ] && keep=yes && shift
[ $# -gt 0 ] || set -- access_token refresh_token hash_string totp_code page_token

coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters'
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# The versions of everything are those that the suite is built with.
cp Cargo.lock fuzz/Cargo.lock
# With a target named, the flags are not those of build scripts and macros.
RUSTFLAGS="$coverage -Cdebug-assertions -Ccodegen-units=1" \
    cargo build --quiet --release --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$made"
mkdir -p "$made/findings"

# Adds to the folder $2 what the fuzzer $1 finds in $3 that is new there: in the order in which libFuzzer writes it, the most first.
take_up() {
    rm -rf "$made/kept" && cp -Rp "$2" "$made/kept"
    "$1" -merge=1 -set_cover_merge=1 -use_counters=0 -max_len=4096 "$made/kept" "$3" 2>"$made/merge.log"
    for name in $(ls -tr "$made/kept"); do
        [ "$(ls "$2" | wc -l)" -lt "$kept_max" ] || break
        [ -e "$2/$name" ] || cp "$made/kept/$name" "$2/$name"
    done
}

broken=
for target in "$@"; do
    fuzzer=$made/$host/release/$target kept=fuzz/corpus/$target learned=$made/corpus/$target
    mkdir -p "$learned"
    if [ -n "$keep" ]; then
        take_up "$fuzzer" "$kept" "$learned"
    else
        echo "== $target, $seconds s"
        log=$made/$target.log
        if nice "$fuzzer" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 \
            -artifact_prefix="$made/findings/$target-" "$learned" "$kept" >"$log" 2>&1; then
            grep -E '^stat::(number_of_executed_units|average_exec_per_sec|new_units_added):' "$log"
        else
            tail -n 40 "$log"
            broken="$broken $target"
        fi
    fi
done
[ -z "$broken" ] || { echo "a rule is broken:$broken; the inputs are in $made/findings" >&2; exit 1; }
