#!/usr/bin/env bash
# Sees to it that `docker compose` version 2 answers, which stacks with a compose file are deployed with. Where it does,
# nothing is done. Debian 12 has only the old version 1, so the program is taken out of Debian 13's package, which runs on
# both; it goes into the user's folder of Docker plugins, and the system's apt stays as it is.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

suites="trixie forky sid"
plugins="${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"

compose_version() { docker compose version --short 2>/dev/null; }

if version="$(compose_version)"; then
    say "docker compose $version is there already"
    exit 0
fi
remedy="please install the compose plugin of Docker by hand: https://docs.docker.com/compose/install/linux/"
if ! have apt-get || ! have dpkg-deb; then
    die "docker compose is missing, and this is no Debian to take it from; $remedy"
fi

mkdir -p "$cache_dir"
work="$(mktemp -d "$cache_dir/compose.XXXXXX")"
trap 'rm -rf "$work"' EXIT

for suite in $suites; do
    private_suite "$suite" || continue
    found="$(private_apt apt-cache madison docker-compose | awk -F' *[|] *' 'index($2, "2.") == 1 { print $2; exit }')"
    [ -n "$found" ] || continue
    say "downloading docker-compose $found from Debian's $suite"
    (cd "$work" && private_apt apt-get download -qq "docker-compose=$found")
    dpkg-deb -x "$work"/docker-compose_*.deb "$work/unpacked"
    program="$(find "$work/unpacked" -type f -name docker-compose -perm -u+x | head -n 1)"
    [ -n "$program" ] || continue
    mkdir -p "$plugins"
    install -m 755 "$program" "$plugins/docker-compose"
    break
done
version="$(compose_version)" || die "docker compose still does not answer; $remedy"
say "docker compose $version is in $plugins"
