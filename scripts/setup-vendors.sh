#!/usr/bin/env bash
# Brings what judges the tests' fakes of CI servers: Prism, which holds a conversation to the vendor's API document, and the
# vendors' own clients in Python; pinned by scripts/vendors.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/tools.sh
. "$(dirname "$0")/tools.sh"
cd "$(dirname "$0")/.."
tool_set vendors

setup_prism() {
    local node folder
    # Prism wants 18.20.1 or newer.
    node="$(node_bin 18 21)" || { skip prism "Node.js newer than 18.20 could neither be found nor installed"; return; }
    folder="$(npm_tools "Prism, which holds fakes to the vendors' API documents" scripts/vendors "$node")" ||
        { skip prism "Prism could not be installed from npm"; return; }
    found node "$node/node"
    found prism "$folder/node_modules/.bin/prism"
}

setup_python() {
    local folder
    # One package of python-jenkins comes only as source.
    folder="$(python_tools "the vendors' clients" scripts/vendors/requirements.txt --no-binary multi-key-dict)" ||
        { skip python "the vendors' clients could not be installed from PyPI"; return; }
    found python "$folder/bin/python"
}

setup_prism
setup_python
