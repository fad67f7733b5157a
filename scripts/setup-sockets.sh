#!/usr/bin/env bash
# Brings the Socket.IO client that its makers publish, for the tests to drive the server with; pinned by scripts/sockets.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/tools.sh
. "$(dirname "$0")/tools.sh"
cd "$(dirname "$0")/.."
tool_set sockets

setup_client() {
    local node folder
    node="$(node_bin 18 0)" || { skip client "Node.js 18 or newer could neither be found nor installed"; return; }
    folder="$(npm_tools "socket.io-client" scripts/sockets "$node")" ||
        { skip client "it could not be installed from npm"; return; }
    found node "$node/node"
    found client "$folder"
}

setup_client
