# shellcheck shell=bash
# Tools that tests use where they can be had: from npm and PyPI into the cache, pinned by files beside this one. To be sourced
# after lib.sh.
#
# Where one cannot be had, nothing fails: target/<set>/<tool>.skipped says why, and the tests repeat it.
# target/<set>/<tool>.path says where it is.

# tool_set NAME: begins a set. One process at a time installs something.
tool_set() {
    out="$PWD/target/$1"
    log="$out/setup.log"
    tools="$cache_dir/tools"
    mkdir -p "$out" "$tools"
    rm -f "$out"/*.skipped "$out"/*.path
    : >"$log"
    exec 9>"$tools/lock"
    flock 9
}

found() {
    printf '%s' "$2" >"$out/$1.path"
    say "$1: $2"
}

skip() {
    printf '%s\n' "$2" >"$out/$1.skipped"
    say "$1: SKIPPED, $2 (see $log)"
}

# sum FILE...: one hash of all their contents and names.
sum() { sha256sum "$@" | sha256sum | cut -c 1-16; }

# node_bin MAJOR MINOR: the folder of a Node.js with npm that is at least so new: the machine's, or else one from PyPI.
node_bin() {
    if have node && have npm && node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > +process.argv[1] || (major == +process.argv[1] && minor >= +process.argv[2]) ? 0 : 1)' "$1" "$2"; then
        dirname "$(command -v node)"
        return
    fi
    local folder
    folder="$(python_tools "Node.js" scripts/toolchains/node.txt)" || return 1
    printf '%s' "$folder/bin"
}

# npm_tools WHAT PINS NODE: the folder with what PINS/package-lock.json says, installed with the Node.js of that folder.
npm_tools() {
    local folder
    folder="$tools/npm-$(sum "$2/package.json" "$2/package-lock.json")"
    if [ ! -e "$folder/complete" ]; then
        say "installing $1" >&2
        rm -rf "$folder"
        mkdir -p "$folder"
        cp "$2/package.json" "$2/package-lock.json" "$folder/"
        # Not `npm ci`: it refuses a lock file without the optional packages of every other platform, which some registries lack.
        (cd "$folder" && PATH="$3:$PATH" npm install --no-save --no-audit --no-fund --no-update-notifier --ignore-scripts) \
            >>"$log" 2>&1 </dev/null || return 1
        touch "$folder/complete"
    fi
    printf '%s' "$folder"
}

# python_tools WHAT REQUIREMENTS [PIP-OPTION...]: the folder of a Python environment with exactly that.
python_tools() {
    local what=$1 requirements=$2 folder
    shift 2
    folder="$tools/python-$(sum "$requirements")"
    if [ ! -e "$folder/complete" ]; then
        say "installing $what" >&2
        rm -rf "$folder"
        {
            have python3 || (apt_install "to run tools in Python" python3)
            python3 -m venv "$folder" || { (apt_install "to install tools in Python" python3-venv) && python3 -m venv --clear "$folder"; }
            "$folder/bin/pip" install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: "$@" \
                --requirement "$requirements"
        } >>"$log" 2>&1 </dev/null || return 1
        touch "$folder/complete"
    fi
    printf '%s' "$folder"
}
