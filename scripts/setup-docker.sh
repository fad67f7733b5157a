#!/usr/bin/env bash
# Sees to it that a Docker Engine answers on DOCKER_HOST (by default the usual socket), which deployments, the demo
# and the tests use. An engine that is there is used as it is; one that this script did not start is never stopped.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

address="${DOCKER_HOST:-unix:///var/run/docker.sock}"
socket="${address#unix://}"
state="$cache_dir/docker"
log="$state/dockerd.log"
pid_file="$state/dockerd.pid"

answers() {
    case "$address" in
        unix://*) curl -sf --max-time 5 --unix-socket "$socket" http://localhost/_ping >/dev/null 2>&1 ;;
        *) docker --host "$address" version >/dev/null 2>&1 ;;
    esac
}

describe() {
    local version
    version="$(docker --host "$address" version --format '{{.Server.Version}} (API {{.Server.APIVersion}})' 2>/dev/null || true)"
    say "a Docker Engine ${version:-} answers on $address"
}

# True while the process in our pid file is a dockerd; the number may long belong to another program.
ours_is_running() {
    local pid
    pid="$(cat "$pid_file" 2>/dev/null)" && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]
}

# wait_for_answer SECONDS: false when the deadline passes, or at once when the daemon we started has ended.
wait_for_answer() {
    local deadline=$((SECONDS + $1))
    while [ "$SECONDS" -lt "$deadline" ]; do
        if answers; then
            return 0
        fi
        if [ -n "${launcher:-}" ] && ! kill -0 "$launcher" 2>/dev/null; then
            return 1
        fi
        sleep 0.5
    done
    return 1
}

# start_dockerd OPTION...: in a session of its own, so that it outlives this script and the terminal.
start_dockerd() {
    say "starting dockerd${*:+ $*} (log: $log)"
    if ! ours_is_running; then
        as_root rm -f "$pid_file"
    fi
    # The group of the socket is the caller's, who otherwise could not use it without root. Descriptor 9 is the lock.
    as_root env PATH="$dockerd_path" setsid dockerd --host "$address" --pidfile "$pid_file" --group "$(id -g)" "$@" \
        >>"$log" 2>&1 </dev/null 9>&- &
    launcher=$!
    wait_for_answer 60
}

# Only after a start that failed: what this very script started must not stand in the next attempt's way.
end_failed_start() {
    if ours_is_running; then
        as_root kill "$(cat "$pid_file")" 2>/dev/null || true
    fi
    wait "$launcher" 2>/dev/null || true
}

# Kernels without nf_tables refuse Debian's default iptables; the older back end is put first for dockerd alone.
prefer_legacy_iptables() {
    local name
    mkdir -p "$state/iptables-legacy"
    for name in iptables ip6tables; do
        ln -sfn "$(command -v "$name-legacy")" "$state/iptables-legacy/$name"
    done
    dockerd_path="$state/iptables-legacy:$PATH"
}

case "$address" in
    unix://*) apt_install "to ask the Docker Engine whether it answers" curl ;;
    *)
        if answers; then describe; exit 0; fi
        die "no Docker Engine answers on DOCKER_HOST=$address. Start it, or unset DOCKER_HOST to have one started on this machine."
        ;;
esac

apt_install "as the base of the demo's and the tests' images" busybox-static

if answers; then
    describe
    say "nothing to start"
    exit 0
fi
if [ -S "$socket" ] && [ ! -w "$socket" ]; then
    die "$socket exists, but this user may not use it. Please have an administrator run: usermod -aG docker $(id -un), then log in again."
fi

need_root_or_explain "a running Docker Engine" "for deployments, the demo and the tests" \
    "have an administrator start one, or point DOCKER_HOST at one"
mkdir -p "$state"
exec 9>"$state/lock"
flock 9
if answers; then
    describe
    exit 0
fi

if have dockerd; then
    say "dockerd is installed already"
else
    apt_install "for deployments, the demo and the tests" docker.io iptables
fi

# Where systemd runs, the service is the proper way, and the package has usually started it by itself.
if [ -d /run/systemd/system ] && [ "$socket" = /var/run/docker.sock ]; then
    say "starting the service docker"
    as_root systemctl start docker || true
    wait_for_answer 60 || die "the service does not answer; please look at: journalctl -u docker"
    describe
    exit 0
fi

if ours_is_running; then
    say "the dockerd of an earlier run is still starting"
    wait_for_answer 60 || die "it does not answer; its last words: $(tail -n 20 "$log")"
    describe
    exit 0
fi

dockerd_path="$PATH"
: >"$log"
if ! start_dockerd; then
    end_failed_start
    options=()
    if grep -qi iptables "$log" && have iptables-legacy; then
        say "dockerd could not set up iptables; trying the older back end"
        prefer_legacy_iptables
    fi
    if grep -qiE 'storage-driver|graphdriver|overlay' "$log"; then
        say "dockerd could not use its storage driver; trying the plain one, vfs"
        options+=(--storage-driver vfs)
    fi
    if ! start_dockerd "${options[@]}"; then
        end_failed_start
        tail -n 30 "$log" >&2
        die "dockerd did not come to answer on $address; the end of $log is above."
    fi
fi
describe
