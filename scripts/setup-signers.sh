#!/usr/bin/env bash
# Brings libraries that sign webhooks and verify signatures, none of them ours, for the tests to agree with; pinned by
# scripts/signers.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/tools.sh
. "$(dirname "$0")/tools.sh"
cd "$(dirname "$0")/.."
tool_set signers

setup_javascript() {
    local node folder
    # octokit's library wants 20 or newer.
    node="$(node_bin 20 0)" || { skip javascript "Node.js 20 or newer could neither be found nor installed"; return; }
    folder="$(npm_tools "@octokit/webhooks-methods and standardwebhooks" scripts/signers "$node")" ||
        { skip javascript "they could not be installed from npm"; return; }
    found node "$node/node"
    found javascript "$folder"
}

setup_python() {
    local folder
    # Without what it needs to speak to GitHub.
    folder="$(python_tools gidgethub scripts/signers/requirements.txt --no-deps)" ||
        { skip python "gidgethub could not be installed from PyPI"; return; }
    found python "$folder/bin/python"
}

setup_javascript
setup_python
