#!/usr/bin/env bash
# Adds kinds to the corpus of a release that has no component of them: the examples of `windlass plugin new`, built with the
# SDK of that release's commit, as tests/corpus/<version>/<name>.wasm; or one of its built-in plugins, which is named
# plugin:NAME. What is there stays.
#
#   extend-corpus.sh COMMIT KIND:NAME…
#   extend-corpus.sh a5423f1 ci-provider:provider pipeline-generator:generator notifier:notifier
#   extend-corpus.sh edc0bfb plugin:github
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

[ "$#" -ge 2 ] || die "Please name the release's commit, and KIND:NAME for each component."
commit="$1"
shift
here="$PWD"
sysroot="$(bash scripts/wasm-target.sh --print-sysroot)"
release="$(mktemp -d)"
trap 'rm -rf "$release"' EXIT
git archive "$commit" | tar -x -C "$release"
version="$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$release/Cargo.toml")"
corpus="tests/corpus/$version"
[ -d "$corpus" ] || die "$corpus is not there, so $commit released no components. Please name a release's commit."

packages=()
for pair in "$@"; do
    kind="${pair%%:*}" name="${pair##*:}"
    packages+=(--package "windlass-plugin-$name")
    [ ! -e "$corpus/$name.wasm" ] || die "$corpus/$name.wasm is there already, and what was released does not change."
    if [ "$kind" = plugin ]; then
        [ -d "$release/plugins/$name" ] || die "The release has no plugin $name. Its plugins are the folders of plugins."
        continue
    fi
    example="sdk/templates/$kind/src/lib.rs"
    [ -f "$example" ] || die "There is no example of the kind $kind. The kinds are the folders of sdk/templates."
    mkdir -p "$release/plugins/$name/src"
    sed "s/{{name}}/$name/g" "$example" >"$release/plugins/$name/src/lib.rs"
    cat >"$release/plugins/$name/Cargo.toml" <<TOML
[package]
name = "windlass-plugin-$name"
version.workspace = true
edition.workspace = true

[lib]
crate-type = ["cdylib"]

[dependencies]
serde.workspace = true
serde_json.workspace = true
windlass-sdk.workspace = true
TOML
done

# As the build script of the host compiles plugins.
flags="--remap-path-prefix=$release=windlass"$'\x1f'"--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
[ -z "$sysroot" ] || flags="$flags"$'\x1f'"--sysroot=$sysroot"
(
    cd "$release"
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-component-ld CARGO_ENCODED_RUSTFLAGS="$flags" \
        cargo build --quiet --lib --profile plugin --target wasm32-unknown-unknown --target-dir "$release/target" "${packages[@]}"
)
for pair in "$@"; do
    name="${pair##*:}"
    cp "$release/target/wasm32-unknown-unknown/plugin/windlass_plugin_${name//-/_}.wasm" "$here/$corpus/$name.wasm"
    say "added $corpus/$name.wasm"
done
