#!/usr/bin/env bash
# Builds plugins/examples, which are in JavaScript and in Python, for the tests: target/examples/<name>.wasm.
#
# The tool chains are pinned by scripts/toolchains. What was built before of the same sources is taken from the cache.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/tools.sh
. "$(dirname "$0")/tools.sh"
cd "$(dirname "$0")/.."
tool_set examples
kept="$cache_dir/examples"
mkdir -p "$kept"

setup_javascript() {
    local node folder
    # jco wants 20.19 or newer.
    node="$(node_bin 20 19)" || { skip javascript "Node.js 20.19 or newer could neither be found nor installed"; return; }
    folder="$(npm_tools "jco and componentize-js, which make components of JavaScript" scripts/toolchains "$node")" ||
        { skip javascript "jco could not be installed from npm"; return; }
    found javascript "$folder/node_modules/.bin:$node"
}

setup_python() {
    local folder
    folder="$(python_tools "componentize-py, which makes components of Python" scripts/toolchains/requirements.txt)" ||
        { skip python "componentize-py could not be installed from PyPI"; return; }
    found python "$folder/bin"
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
