# shellcheck shell=bash
# Functions shared by the scripts of this folder. To be sourced, not run.

# Everything the scripts keep between runs is here and not in the checkout, so that a fresh clone finds it again.
# shellcheck disable=SC2034 # It is used by the scripts that source this file.
cache_dir="${XDG_CACHE_HOME:-${HOME:?HOME is not set; the scripts keep their cache in it}/.cache}/windlass"

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*"; }

die() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Administrators' tools such as dockerd and sshd live in folders that an ordinary user's PATH leaves out.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# need_root_or_explain WHAT WHY REMEDY: returns when as_root will work, else says what to do and ends the script.
need_root_or_explain() {
    if [ "$(id -u)" -eq 0 ] || have sudo; then
        return
    fi
    die "$1 is missing. It is needed $2. This user is not root and there is no sudo, so please $3, then run this again."
}

# as_root COMMAND...: runs the command as root. The variables that matter are given with env, since sudo drops them.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -- "$@"
    fi
}

package_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_updated=no

# apt_install WHY PACKAGE...: installs those of the Debian packages that are missing.
apt_install() {
    local why="$1" package missing=()
    shift
    for package in "$@"; do
        package_installed "$package" || missing+=("$package")
    done
    if [ "${#missing[@]}" -eq 0 ]; then
        return
    fi
    have apt-get || die "please install ${missing[*]} with this system's package manager (Debian's names). It is needed $why."
    need_root_or_explain "${missing[*]}" "$why" "have an administrator run: apt-get install ${missing[*]}"
    if [ "$apt_updated" = no ]; then
        say "refreshing the package lists"
        # A third-party source that does not answer is no reason to stop: the installation below tells what matters.
        as_root apt-get update -qq || say "some package lists could not be refreshed; going on with what is there"
        apt_updated=yes
    fi
    say "installing ${missing[*]} ($why)"
    if apt_get_install "${TMPDIR:-/tmp}" "${missing[@]}"; then
        return
    fi
    # Where something tidies /tmp meanwhile, dpkg loses the temporary files of its maintainer scripts.
    say "that failed; trying once more with temporary files in /var/tmp"
    apt_get_install /var/tmp "${missing[@]}" || die "apt could not install ${missing[*]}; its messages are above."
}

apt_get_install() {
    local temporary="$1"
    shift
    as_root env DEBIAN_FRONTEND=noninteractive TMPDIR="$temporary" \
        apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

system_files=()

# system_file_meanwhile PATH MODE CONTENT: a file of root's that is there until the script ends, however it ends.
system_file_meanwhile() {
    system_files+=("$1")
    trap 'as_root rm -f "${system_files[@]}"' EXIT
    as_root mkdir -p "$(dirname "$1")"
    printf '%s\n' "$3" | as_root tee "$1" >/dev/null
    as_root chmod "$2" "$1"
}

# Debian starts what it installs. Where only the program is wanted, this forbids it until the script ends.
start_no_services() {
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        system_file_meanwhile /usr/sbin/policy-rc.d 755 '#!/bin/sh
exit 101'
    fi
}

# private_apt COMMAND...: apt with lists and caches of its own in the folder $work, so that the system's stay as they are,
# and without the user _apt, who may not enter our folder. It still obeys the system's settings, a proxy for instance.
# shellcheck disable=SC2154 # The script that sources this file makes $work.
private_apt() {
    local command="$1"
    shift
    "$command" -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= \
        -o APT::Update::Post-Invoke::= -o Acquire::Languages=none \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false "$@" </dev/null
}

# The address of the mirror that the system's own release comes from.
system_mirror() {
    local codename
    codename="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")"
    # These are apt's placeholders, not the shell's.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="$codename" '$1 == codename && $2 == "main" && !found { print $3; found = 1 }'
}

# private_suite SUITE: reads the lists of one suite of the system's own mirror into $work. False if it cannot be read.
private_suite() {
    local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    mirror="$(system_mirror)"
    [ -n "$mirror" ] || { say "the system's apt sources name no Debian mirror"; return 1; }
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "deb $([ ! -e "$keyring" ] || echo "[signed-by=$keyring]") $mirror $1 main" >"$work/sources.list"
    if ! private_apt apt-get update -qq 2>"$work/apt.log"; then
        say "Debian's $1 cannot be read: $(head -n 1 "$work/apt.log")"
        return 1
    fi
}
