#!/usr/bin/env bash
# Builds plugins/examples, which are in JavaScript and in Python, for the tests: target/examples/<name>.wasm.
#
# The tool chains come from npm and PyPI into the cache, pinned by scripts/toolchains. Where one cannot be had, nothing fails:
# target/examples/<language>.skipped says why, and the tests repeat it. target/examples/<language>.path says where its
# programs are. What was built before of the same sources is taken from the cache.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

out="$PWD/target/examples"
pins="$PWD/scripts/toolchains"
tools="$cache_dir/toolchains"
kept="$cache_dir/examples"
log="$out/setup.log"
mkdir -p "$out" "$tools" "$kept"
rm -f "$out"/*.skipped
: >"$log"
exec 9>"$tools/lock"
flock 9

skip() {
    printf '%s\n' "$2" >"$out/$1.skipped"
    rm -f "$out/$1.path"
    say "$1: SKIPPED, $2 (see $log)"
}

# jco wants 20.19 or newer.
node_is_new() {
    have node && have npm &&
        node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)'
}

setup_javascript() {
    local path=$PATH bin node
    if ! node_is_new; then
        node="$tools/node-$(sum "$pins/node.txt")"
        venv "$node" "$pins/node.txt" || { skip javascript "Node.js 20.19 or newer could neither be found nor installed"; return; }
        path="$node/bin:$PATH"
    fi
    local folder
    folder="$tools/javascript-$(sum "$pins/package.json" "$pins/package-lock.json")"
    if [ ! -e "$folder/complete" ]; then
        say "installing jco and componentize-js, which make components of JavaScript"
        rm -rf "$folder"
        mkdir -p "$folder"
        cp "$pins/package.json" "$pins/package-lock.json" "$folder/"
        # Not `npm ci`: it refuses a lock file without the optional packages of every other platform, which some registries lack.
        (cd "$folder" && PATH=$path npm install --no-save --no-audit --no-fund --no-update-notifier --ignore-scripts) >>"$log" 2>&1 </dev/null ||
            { skip javascript "jco could not be installed from npm"; return; }
        touch "$folder/complete"
    fi
    bin="$folder/node_modules/.bin"
    [ "$path" = "$PATH" ] || bin="$bin:${path%%:*}"
    printf '%s' "$bin" >"$out/javascript.path"
    say "JavaScript: jco in $folder"
}

setup_python() {
    local folder
    folder="$tools/python-$(sum "$pins/requirements.txt")"
    [ -e "$folder/complete" ] || say "installing componentize-py, which makes components of Python"
    venv "$folder" "$pins/requirements.txt" || { skip python "componentize-py could not be installed from PyPI"; return; }
    printf '%s' "$folder/bin" >"$out/python.path"
    say "Python: componentize-py in $folder"
}

# stage LANGUAGE NAME WORLD: the project as `windlass plugin new` would have laid it out, in $stage. Always in the same place,
# because componentizers put paths into what they make.
stage() {
    stage="$kept/$2"
    rm -rf "$stage"
    mkdir -p "$stage/wit/deps"
    find "sdk/templates/$1/common" -maxdepth 1 \( -name '*.js' -o -name '*.py' \) -exec cp {} "$stage/" \;
    cp -R "plugins/examples/$2/." "$stage/"
    cp "wit/$3.wit" "$stage/wit/"
    cp wit/types.wit wit/plugin.wit wit/host.wit "$stage/wit/deps/"
}

# example LANGUAGE NAME WORLD OUTPUT COMMAND...: runs the command in the staged project, unless the cache has its result.
example() {
    local language=$1 name=$2 world=$3 output=$4 key stage
    shift 4
    [ -e "$out/$language.path" ] || return 0
    stage "$language" "$name" "$world"
    key="$(cd "$stage" && { find . -type f | LC_ALL=C sort | xargs sha256sum; cat "$out/$language.path"; echo "$output" "$@"; } |
        sha256sum | cut -c 1-32)"
    if [ ! -s "$kept/$key.wasm" ]; then
        say "building $output"
        (cd "$stage" && PATH="$(cat "$out/$language.path"):$PATH" "$@") >>"$log" 2>&1 </dev/null || {
            tail -n 30 "$log" >&2
            die "$output does not build; the end of $log is above. The project is in $stage."
        }
        cp "$stage/$output.wasm" "$kept/$key.part"
        mv "$kept/$key.part" "$kept/$key.wasm"
    fi
    touch "$kept/$key.wasm"
    cmp -s "$kept/$key.wasm" "$out/$output.wasm" || cp "$kept/$key.wasm" "$out/$output.wasm"
    rm -rf "$stage"
}

rm -f "$out"/*.path
setup_javascript
setup_python
example javascript chat-room notifier chat-room npm run --silent build
# The same source by componentize-js, in StarlingMonkey instead of QuickJS.
example javascript chat-room notifier chat-room-starlingmonkey \
    componentize-js plugin.js --wit wit --world-name notifier --disable stdio random clocks http fetch-event \
    --out chat-room-starlingmonkey.wasm
example python one-at-a-time deployment-strategy one-at-a-time \
    componentize-py --quiet --wit-path wit --world deployment-strategy componentize plugin --output one-at-a-time.wasm
# What nobody has asked for lately.
find "$kept" -name '*.wasm' -mtime +30 -delete
for component in "$out"/*.wasm; do
    [ -e "$component" ] && say "example: $component"
done
