#!/usr/bin/env bash
# Publishes the contract as it stands: copies wit/ to wit/released/<version>/ and a small built-in component of each kind to
# tests/corpus/<version>/. From then on the tests keep both working (tests/tests/frozen.rs). The version is the
# workspace's. Names of .wit files as arguments publish only those packages; the others stay free to change.
set -euo pipefail
cd "$(dirname "$0")/.."

version="$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)"
[ -n "$version" ] || { echo "Cargo.toml names no version of the workspace." >&2; exit 1; }
released="wit/released/$version"
corpus="tests/corpus/$version"
for folder in "$released" "$corpus"; do
    if [ -e "$folder" ]; then
        echo "$folder is there already, and what was released does not change. Please raise the version in Cargo.toml." >&2
        exit 1
    fi
done

files=("$@")
[ "${#files[@]}" -gt 0 ] || files=(wit/*.wit)
for file in "${files[@]}"; do
    [ -f "$file" ] || { echo "$file is no file. Example: wit/types.wit" >&2; exit 1; }
done

# The host's build script compiles the plugins; cargo says where its files went. The whole workspace is built, as for the
# tests, so that nothing is compiled twice.
built="$(cargo build --locked --workspace --message-format=json | sed -n 's/.*"package_id":"[^"]*\/host#[^"]*".*"out_dir":"\([^"]*\)".*/\1/p' | tail -n 1)"
[ -d "$built" ] || { echo "The folder with the compiled plugins was not found." >&2; exit 1; }

mkdir -p "$released" "$corpus"
cp "${files[@]}" "$released/"
# A planner, a forge, a notifier, a generator, a provider and a strategy: the smallest, so that the repository stays small; and
# a forge with all of the optional interfaces.
for name in script generic github gotify jenkins-pipeline jenkins standard; do
    cp "$built/$name.wasm" "$corpus/"
done
echo "Published $version: $(ls "$released" | wc -l) packages, $(ls "$corpus" | wc -l) components. Please commit both folders."
