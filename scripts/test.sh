#!/usr/bin/env bash
# Runs all tests of the workspace: `scripts/test.sh`, or only some programs: `scripts/test.sh spine crash`.
#
# Most test programs wait for containers most of the time, so as many as there are processors run beside each other, the
# long ones first. What each of them prints appears when it has ended.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

# The features of the dependencies are those of the whole workspace: for a part of it cargo would compile them again.
cargo=(cargo test --workspace --locked)

# What takes longer than this hangs: it is ended, so that what it wrote is seen. In seconds; the longest takes about half of it.
limit=2400

# run NAME ARGUMENTS...: one test program; its output is kept in the folder `results` and printed whole.
run() {
    local name="$1" began="$SECONDS" status=0
    shift
    local TIMEFORMAT='%U + %S s of computing'
    { time timeout --kill-after=30 "$limit" "${cargo[@]}" --no-fail-fast "$@" >"$results/$name.log" 2>&1 || status="$?"; } 2>"$results/$name.time"
    [ "$status" -ne 124 ] || printf '\nended after %s s\n' "$limit" >>"$results/$name.log"
    (
        flock 9
        printf '\n--- %s (%s s, %s)\n' "$name" "$((SECONDS - began))" "$(cat "$results/$name.time")"
        cat "$results/$name.log"
    ) 9>"$results/.lock"
    [ "$status" -eq 0 ] || printf '%s\n' "$name" >>"$results/.failed"
}

# Those that take longest, and those that measure memory, time or the machine, in which others would be measured too.
first=(crash languages browser plugin_guide pipelines compose plugin_runtime spine bad_inputs router)
alone=(hostile inbox_limits)

programs() {
    local path
    for path in tests/tests/*.rs tests/tests/*/main.rs; do
        path="${path%/main.rs}"
        basename "$path" .rs
    done
}

# in_list NAME LIST...
in_list() {
    local wanted="$1" name
    shift
    for name in "$@"; do
        [ "$name" != "$wanted" ] || return 0
    done
    return 1
}

if [ "${1:-}" = --one ]; then
    run "$2" "${@:3}"
    exit
fi

results="$(mktemp -d)"
export results
trap 'wait; rm -rf "$results"' EXIT

# Tests start the debug program, so it is compiled first. Most of what the tests need beside it is waited for, not computed.
make setup-around >"$results/.setup" 2>&1 &
setup="$!"
cargo build --workspace --locked
"${cargo[@]}" --no-run
if wait "$setup"; then
    cat "$results/.setup"
else
    cat "$results/.setup" >&2
    die "what the tests need could not be set up"
fi

wanted=("$@")
if [ "${#wanted[@]}" -eq 0 ]; then
    run units --lib --bins --examples
    run doc --doc
    mapfile -t wanted < <(programs)
fi
beside=()
for name in "${first[@]}" "${wanted[@]}"; do
    if in_list "$name" "${wanted[@]}" && ! in_list "$name" "${beside[@]}" "${alone[@]}"; then
        beside+=("$name")
    fi
done
if [ "${#beside[@]}" -gt 0 ]; then
    printf '%s\n' "${beside[@]}" | xargs -P "${TEST_PROGRAMS:-$(nproc)}" -I '{}' "$0" --one '{}' --test '{}'
fi
for name in "${alone[@]}"; do
    if in_list "$name" "${wanted[@]}"; then
        run "$name" --test "$name"
    fi
done

if [ -s "$results/.failed" ]; then
    # Once more at the end, where it is found.
    while read -r name; do
        printf '\n=== %s\n' "$name"
        sed -n '/^failures:$/,$p' "$results/$name.log" | head -n 120
    done < <(sort "$results/.failed") >&2
    die "failed: $(sort "$results/.failed" | tr '\n' ' ')"
fi
# A test that lacks what it needs passes, and says so: how many did is part of the result.
cat "$results"/*.log | awk '
    /^test result:/ { passed += $4; ignored += $8 }
    /SKIPPED: / { skipped[++skips] = substr($0, index($0, "SKIPPED: ")) }
    END {
        for (i = 1; i <= skips; i++) print skipped[i]
        print "all passed: " passed " tests, of which skipped: " skips + 0 "; ignored: " ignored
    }'
