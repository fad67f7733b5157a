#!/usr/bin/env bash
# Brings what judges the tests' fakes of CI servers: Prism, which holds a conversation to the vendor's API document, and the
# vendors' own clients in Python.
#
# They come from npm and PyPI into the cache, pinned by scripts/vendors. Where one cannot be had, nothing fails:
# target/vendors/<tool>.skipped says why, and the tests repeat it. target/vendors/<tool>.path says where its program is.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

out="$PWD/target/vendors"
pins="$PWD/scripts/vendors"
tools="$cache_dir/vendors"
log="$out/setup.log"
mkdir -p "$out" "$tools"
rm -f "$out"/*.skipped
: >"$log"
exec 9>"$tools/lock"
flock 9

skip() {
    printf '%s\n' "$2" >"$out/$1.skipped"
    rm -f "$out/$1.path"
    say "$1: SKIPPED, $2 (see $log)"
}

# Prism wants 18.20.1 or newer.
node_is_new() {
    have node && have npm &&
        node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 18 || (major == 18 && minor >= 20) ? 0 : 1)'
}

setup_prism() {
    node_is_new || (apt_install "to run Prism" nodejs npm) >>"$log" 2>&1 || true
    node_is_new || { skip prism "Node.js 18.20 or newer with npm could neither be found nor installed"; return; }
    local folder
    folder="$tools/prism-$(sum "$pins/package.json" "$pins/package-lock.json")"
    if [ ! -e "$folder/complete" ]; then
        say "installing Prism, which holds fakes to the vendors' API documents"
        rm -rf "$folder"
        mkdir -p "$folder"
        cp "$pins/package.json" "$pins/package-lock.json" "$folder/"
        # Not `npm ci`: it refuses a lock file without the optional packages of every other platform, which some registries lack.
        (cd "$folder" && npm install --no-save --no-audit --no-fund --no-update-notifier --ignore-scripts) >>"$log" 2>&1 </dev/null ||
            { skip prism "Prism could not be installed from npm"; return; }
        touch "$folder/complete"
    fi
    printf '%s' "$folder/node_modules/.bin/prism" >"$out/prism.path"
    say "Prism: $folder"
}

setup_python() {
    local folder
    folder="$tools/python-$(sum "$pins/requirements.txt")"
    [ -e "$folder/complete" ] || say "installing the vendors' clients"
    # One package of python-jenkins comes only as source.
    venv "$folder" "$pins/requirements.txt" --no-binary multi-key-dict ||
        { skip python "the vendors' clients could not be installed from PyPI"; return; }
    printf '%s' "$folder/bin/python" >"$out/python.path"
    say "clients: $folder"
}

setup_prism
setup_python
