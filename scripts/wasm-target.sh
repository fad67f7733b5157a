#!/usr/bin/env bash
# Makes the target wasm32-unknown-unknown, which plugins are compiled for, usable with the rustc that is installed.
#
#   wasm-target.sh                  does it, unless it is done
#   wasm-target.sh --print-sysroot  only prints the folder to give to rustc as --sysroot, or an empty line when the
#                                   toolchain has the target by itself; fails when there is neither
#
# With rustup this is one command. Where rustup is not there or may not download, std is compiled once from Debian's
# package of the very same Rust version. Nothing is written into the toolchain or into the system's apt: the result is
# in the cache folder, under rustc's version and commit, since a std fits no other rustc.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
# Where Debian publishes the versions that a rustup user may have, from the likeliest to the unlikeliest.
suites="trixie-backports trixie sid forky"

rustc="${RUSTC:-rustc}"
about="$("$rustc" -vV 2>&1)" || die "$rustc does not run. Please install Rust first. Its message is: ${about%%$'\n'*}"
version="$(sed -n 's/^release: //p' <<<"$about")"
commit="$(sed -n 's/^commit-hash: //p' <<<"$about")"
sysroot="$cache_dir/wasm-std/$version-${commit:0:9}"

# The name of rustup's file carries a hash, the name of ours does not; libstd_detect is another crate.
has_std() { [ -e "$1/libstd.rlib" ] || compgen -G "$1/libstd-*.rlib" >/dev/null; }
toolchain_has_target() { has_std "$("$rustc" --print target-libdir --target "$target")"; }
cache_has_target() { has_std "$sysroot/lib/rustlib/$target/lib"; }

if [ "${1:-}" = --print-sysroot ]; then
    if toolchain_has_target; then
        echo
    elif cache_has_target; then
        echo "$sysroot"
    else
        die "rustc $version has no $target, which plugins are compiled for. Please run scripts/wasm-target.sh once."
    fi
    exit 0
fi

if toolchain_has_target; then
    say "rustc $version has $target already"
    exit 0
fi
if cache_has_target; then
    say "std for $target is in $sysroot already"
    exit 0
fi

if [ "${RUSTUP_AUTO_INSTALL:-1}" = 0 ]; then
    say "RUSTUP_AUTO_INSTALL=0 is set, so rustup is not asked for $target"
elif have rustup; then
    say "asking rustup for $target"
    if rustup target add "$target" && toolchain_has_target; then
        exit 0
    fi
    say "rustup could not bring it"
fi

explain_remedies() {
    die "$1. Plugins cannot be compiled without $target. Please either run 'rustup target add $target' where rustup may download, or install a Rust version whose rust-src Debian has in one of the suites $suites."
}

if ! have apt-get || ! have dpkg-deb; then
    explain_remedies "this is no Debian, so its rust-src cannot be fetched"
fi

mkdir -p "$cache_dir/wasm-std"
exec 9>"$cache_dir/wasm-std/lock"
if ! flock -n 9; then
    say "another run is compiling std; waiting for it"
    flock 9
    if cache_has_target; then
        say "it is done: $sysroot"
        exit 0
    fi
fi

work="$(mktemp -d "$cache_dir/wasm-std/work.XXXXXX")"
trap 'rm -rf "$work"' EXIT

# Looks through the suites and leaves the package of exactly our version in the work folder.
fetch_rust_src() {
    local suite found
    for suite in $suites; do
        private_suite "$suite" || continue
        found="$(private_apt apt-cache madison rust-src | awk -F' *[|] *' -v v="$version" \
            'index($2, v "+") == 1 || index($2, v "-") == 1 { print $2; exit }')"
        if [ -n "$found" ]; then
            say "downloading rust-src $found from Debian's $suite"
            (cd "$work" && private_apt apt-get download -qq "rust-src=$found")
            return
        fi
    done
    explain_remedies "Debian has no rust-src $version (looked into $suites)"
}

# build_std LIBRARY: as an ordinary graph of crates, from the sources and the vendored crates that the package has.
build_std() {
    local library="$1" build="$work/build"
    mkdir -p "$build/src" "$build/.cargo"
    : >"$build/src/lib.rs"
    cp "$library/Cargo.lock" "$build/"
    cat >"$build/Cargo.toml" <<TOML
[package]
name = "wasm-std"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
std = { path = "$library/std", features = ["panic-unwind"] }
proc_macro = { path = "$library/proc_macro" }

[patch.crates-io]
rustc-std-workspace-core = { path = "$library/rustc-std-workspace-core" }
rustc-std-workspace-alloc = { path = "$library/rustc-std-workspace-alloc" }

[profile.release.package.compiler_builtins]
codegen-units = 10000
TOML
    cat >"$build/.cargo/config.toml" <<TOML
[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "$library/vendor"
TOML
    # RUSTC_BOOTSTRAP lets a stable compiler build std, which is made of unstable features. Only this build has it.
    (
        cd "$build"
        env -u CARGO_ENCODED_RUSTFLAGS -u CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS -u CARGO_BUILD_RUSTFLAGS \
            RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER= CARGO_TARGET_DIR="$build/target" \
            RUSTFLAGS="-Zforce-unstable-if-unmarked -Cembed-bitcode=yes --remap-path-prefix=$library=/rustc/$commit/library" \
            cargo build --release --offline --quiet --target "$target" -p std -p proc_macro >"$work/build.log" 2>&1
    ) || {
        cat "$work/build.log" >&2
        die "std could not be compiled; the compiler's messages are above."
    }
}

say "rustc $version has no $target; compiling std from Debian's source once, which takes about a minute"
fetch_rust_src
dpkg-deb --fsys-tarfile "$work"/rust-src_*.deb | tar -x -C "$work" --wildcards './usr/src/rustc-*/library'
build_std "$(echo "$work"/usr/src/rustc-*/library)"

# It appears in its place complete or not at all.
mkdir -p "$work/sysroot/lib/rustlib/$target/lib"
cp "$work/build/target/$target/release/deps/"*.rlib "$work/sysroot/lib/rustlib/$target/lib/"
rm -rf "$sysroot"
mv "$work/sysroot" "$sysroot"
cache_has_target || die "the compilation of std left no libstd.rlib in $sysroot, so this way does not fit rustc $version."
say "std for $target is now in $sysroot"
