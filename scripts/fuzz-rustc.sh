#!/usr/bin/env bash
# The compiler for `make fuzz`: the host's library counts which ways an input takes, everything else is compiled as always.
# These are LLVM's own options (https://clang.llvm.org/docs/SanitizerCoverage.html), so the stable compiler takes them.
set -euo pipefail
if [[ " $* " == *" --crate-name windlass "* && " $* " == *" --crate-type lib "* ]]; then
    set -- "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
fi
exec "$@"
