#!/usr/bin/env bash
# Drives parsers of what comes from outside with inputs that find new ways through them: `scripts/fuzz.sh [SECONDS] [TARGET...]`.
# Without a word: all targets, a minute each, as many beside each other as there are processors. What was found stays in
# target/fuzz, so the next run begins where this one ended.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

# one SECONDS TARGET
one() {
    local seconds="$1" target="$2" folder="target/fuzz/$2"
    mkdir -p "$folder/corpus"
    if WINDLASS_FUZZ="$target" target/debug/fuzz -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
        -artifact_prefix="$folder/" "$folder/corpus" "tests/fuzz/$target" >"$folder/log" 2>&1; then
        say "$target: $(grep -E '^#[0-9]+.DONE' "$folder/log" | tr -s '\t ' ' ')"
    else
        tail -n 40 "$folder/log" >&2
        say "$target FAILED; once more: WINDLASS_FUZZ=$target target/debug/fuzz $folder/<the file named above>"
        return 1
    fi
}

if [ "${1:-}" = --one ]; then
    one "$2" "$3"
    exit
fi

seconds="${1:-60}"
shift || true
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(ls tests/fuzz)
RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/fuzz-rustc.sh" cargo build --workspace --locked --features windlass-tests/fuzz --bin fuzz
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I '{}' "$0" --one "$seconds" '{}' ||
    die "something was found; mend it, and keep its input in tests/fuzz"
