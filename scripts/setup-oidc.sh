#!/usr/bin/env bash
# Brings an OpenID provider that is not ours, for the tests to log in through; pinned by scripts/oidc.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/tools.sh
. "$(dirname "$0")/tools.sh"
cd "$(dirname "$0")/.."
tool_set oidc

setup_provider() {
    local node folder
    node="$(node_bin 18 0)" || { skip provider "Node.js 18 or newer could neither be found nor installed"; return; }
    folder="$(npm_tools "oidc-provider" scripts/oidc "$node")" ||
        { skip provider "it could not be installed from npm"; return; }
    found node "$node/node"
    found provider "$folder"
}

setup_provider
