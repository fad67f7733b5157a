#!/usr/bin/env bash
# Brings what compiling Windlass needs: Rust is expected, the C side (for OpenSSL, libgit2 and SQLite) is installed,
# and the wasm target for the plugins is made usable.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

have cargo ||
    die "cargo is missing. Rust compiles Windlass; please install it (https://rustup.rs) and have cargo in PATH, for instance with: . \"\$HOME/.cargo/env\""
cargo_version="$(cargo --version 2>&1)" || die "cargo does not run. Its message is: ${cargo_version%%$'\n'*}"
say "Rust: $cargo_version"

have cc || apt_install "to compile the C parts of the dependencies" gcc libc6-dev
have pkg-config || apt_install "to find the C libraries" pkg-config
pkg-config --exists openssl || apt_install "as the TLS library" libssl-dev
say "C compiler: $(command -v cc), OpenSSL $(pkg-config --modversion openssl)"

"$(dirname "$0")/wasm-target.sh"
