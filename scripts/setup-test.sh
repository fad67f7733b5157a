#!/usr/bin/env bash
# Brings what `make test` needs besides a compiler and a Docker Engine: PostgreSQL's server programs, a browser with
# its driver, an SSH server, git's HTTP back end, a registry, a mail server, and networks for further machines. Only programs
# are installed: the tests start their own, on ports and folders of their own, so no service is started here.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# Debian keeps the server programs of each PostgreSQL version in a folder that is not in PATH.
postgres_bin() {
    local folder newest=""
    for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V); do
        if [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ]; then newest="$folder"; fi
    done
    if [ -z "$newest" ] && have initdb && have pg_ctl; then
        newest="$(dirname "$(command -v initdb)")"
    fi
    printf '%s' "$newest"
}

install_postgres() {
    need_root_or_explain PostgreSQL "for the tests of the PostgreSQL store" \
        "have an administrator run: apt-get install postgresql"
    start_no_services
    # The package would also create a cluster named main, which nobody asked for.
    system_file_meanwhile /etc/postgresql-common/createcluster.d/windlass-setup.conf 644 'create_main_cluster = false'
    apt_install "for the tests of the PostgreSQL store" postgresql
}

install_sshd() {
    need_root_or_explain sshd "as the other end of deployments over SSH in the tests" \
        "have an administrator run: apt-get install openssh-server"
    start_no_services
    apt_install "as the other end of deployments over SSH in the tests" openssh-server
    # The package also lets it start with the next boot. Nobody asked for a machine that can be logged in to.
    if have systemctl; then
        as_root systemctl disable --quiet ssh.service ssh.socket || say "please see whether ssh.service is to start at boot"
    fi
}

browser() { command -v chromium || command -v chromium-browser || command -v google-chrome || true; }

if [ -z "$(postgres_bin)" ]; then
    install_postgres
fi
say "PostgreSQL: $(postgres_bin)"

# Both at once, since the driver drives only the browser of its own version.
if [ -z "$(browser)" ] || ! have chromedriver; then
    apt_install "for the tests in a browser" chromium chromium-driver
fi
say "browser: $(browser), driver: $(command -v chromedriver)"

have sshd || install_sshd
say "SSH server: $(command -v sshd)"

have ssh || apt_install "for deploy targets that are reached by it" openssh-client
have ip || apt_install "for networks in which the tests start further Docker Engines" iproute2

# Without it the test of what programs are started with says that it was skipped.
if ! have strace; then
    (apt_install "for the test of what programs are started with" strace) || true
fi
say "tracer: $(command -v strace || echo none, its test is skipped)"

have git || apt_install "as the git server of the tests" git
if [ ! -x "$(git --exec-path)/git-http-backend" ]; then
    apt_install "for its HTTP back end, the git server of the tests" git
fi
[ -x "$(git --exec-path)/git-http-backend" ] ||
    die "$(command -v git) has no git-http-backend in $(git --exec-path). Please put a complete git first in PATH: the tests serve repositories with it."
say "git server: $(git --exec-path)/git-http-backend"

have docker-registry || {
    start_no_services
    apt_install "as the registry that plugins are pulled from in the tests" docker-registry
    # The package also lets it start with the next boot. The tests start their own.
    if have systemctl; then
        as_root systemctl disable --quiet docker-registry.service || say "please see whether docker-registry.service is to start at boot"
    fi
}
say "registry: $(command -v docker-registry)"

# The system's own Python, since that is what the package is for.
/usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || apt_install "as the mail server of the tests" python3-aiosmtpd
say "mail server: aiosmtpd $(/usr/bin/python3 -c 'import aiosmtpd; print(aiosmtpd.__version__)')"

# Not every system has it; without it the tests of certificates say that they were skipped.
if ! have pebble; then
    (apt_install "as the ACME server that certificates come from in the tests" pebble) || true
fi
say "ACME server: $(command -v pebble || echo none, its tests are skipped)"
