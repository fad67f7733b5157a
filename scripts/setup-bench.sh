#!/usr/bin/env bash
# Brings what `make bench` needs in addition: the load generator, and the programs it compares Windlass with.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

have wrk || apt_install "as the load generator of the benchmarks" wrk
say "load generator: $(command -v wrk)"

if ! have webhook; then
    need_root_or_explain webhook "as the peer that the benchmarks compare the webhook inbox with" \
        "have an administrator run: apt-get install webhook"
    start_no_services
    apt_install "as the peer that the benchmarks compare the webhook inbox with" webhook
fi
say "peer: $(command -v webhook)"

# The proxies that the router is compared with. Each package would start a service on port 80.
missing=()
for proxy in nginx haproxy caddy; do
    have "$proxy" || missing+=("$proxy")
done
if [ "${#missing[@]}" -gt 0 ]; then
    need_root_or_explain "${missing[*]}" "as the peers that the benchmarks compare the router with" \
        "have an administrator run: apt-get install ${missing[*]}"
    start_no_services
    apt_install "as the peers that the benchmarks compare the router with" "${missing[@]}"
fi
for proxy in nginx haproxy caddy; do
    say "peer: $(command -v "$proxy")"
done

# The peer of plugin calls brings a wasmtime of its own, so it is no part of the workspace. Without it the benchmarks say
# that they leave the comparison out.
if cargo build --release --locked --manifest-path tests/peers/extism/Cargo.toml; then
    say "peer: tests/peers/extism"
else
    say "extism does not compile here; its comparison is left out"
fi
