#!/usr/bin/env bash
# Fails if the compiler warned of anything in the workspace. Cargo repeats the warnings of what it does not compile again, so
# after a build this only reads; with clippy as the compiler (RUSTC_WORKSPACE_WRAPPER=clippy-driver) they are clippy's.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

messages="$(mktemp)"
trap 'rm -f "$messages"' EXIT
cargo build --workspace --all-targets --locked 2>"$messages" || {
    cat "$messages" >&2
    die "the workspace does not compile"
}
if grep -q '^warning' "$messages"; then
    cat "$messages" >&2
    die "the compiler has warned"
fi
say "no warnings"
