#!/usr/bin/env bash
# Brings Schemathesis, which makes requests from an OpenAPI document, for the tests; pinned by scripts/schemathesis.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/tools.sh
. "$(dirname "$0")/tools.sh"
cd "$(dirname "$0")/.."
tool_set schemathesis

setup_schemathesis() {
    local folder
    folder="$(python_tools schemathesis scripts/schemathesis/requirements.txt)" ||
        { skip schemathesis "it could not be installed from PyPI"; return; }
    found schemathesis "$folder/bin/schemathesis"
}

setup_schemathesis
