#!/usr/bin/env bash
# Brings libraries that sign webhooks and verify signatures, none of them ours, for the tests to agree with.
#
# They come from npm and PyPI into the cache, pinned by scripts/signers. Where one cannot be had, nothing fails:
# target/signers/<language>.skipped says why, and the tests repeat it. target/signers/<language>.path says where it is.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

out="$PWD/target/signers"
pins="$PWD/scripts/signers"
tools="$cache_dir/signers"
log="$out/setup.log"
mkdir -p "$out" "$tools"
rm -f "$out"/*.skipped "$out"/*.path
: >"$log"
exec 9>"$tools/lock"
flock 9

# pinned FILE...: a folder of the cache that is another one as soon as the files change.
pinned() { printf '%s/%s' "$tools" "$(sha256sum "$@" | cut -d ' ' -f 1 | sha256sum | cut -c 1-16)"; }

skip() {
    printf '%s\n' "$2" >"$out/$1.skipped"
    say "$1: SKIPPED, $2 (see $log)"
}

# octokit's library wants 20 or newer.
node_is_new() {
    have node && have npm && node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)'
}

setup_javascript() {
    local folder
    node_is_new || { skip javascript "Node.js 20 or newer with npm could not be found"; return; }
    folder="$(pinned "$pins/package.json" "$pins/package-lock.json")"
    if [ ! -e "$folder/complete" ]; then
        say "installing @octokit/webhooks-methods and standardwebhooks"
        rm -rf "$folder"
        mkdir -p "$folder"
        cp "$pins/package.json" "$pins/package-lock.json" "$folder/"
        (cd "$folder" && npm ci --no-audit --no-fund --no-update-notifier --ignore-scripts) >>"$log" 2>&1 </dev/null ||
            { skip javascript "they could not be installed from npm"; return; }
        touch "$folder/complete"
    fi
    printf '%s' "$folder" >"$out/javascript.path"
    say "JavaScript: $folder"
}

setup_python() {
    local folder
    have python3 || { skip python "there is no Python 3"; return; }
    folder="$(pinned "$pins/requirements.txt")"
    if [ ! -e "$folder/complete" ]; then
        say "installing gidgethub"
        rm -rf "$folder"
        # Into a folder instead of an environment of its own: it needs nothing but Python.
        python3 -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes \
            --only-binary :all: --target "$folder" --requirement "$pins/requirements.txt" >>"$log" 2>&1 </dev/null ||
            { skip python "gidgethub could not be installed from PyPI"; return; }
        touch "$folder/complete"
    fi
    printf '%s' "$folder" >"$out/python.path"
    say "Python: $folder"
}

setup_javascript
setup_python
