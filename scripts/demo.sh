#!/usr/bin/env bash
# The main job, for real: a git push becomes a healthy deployment, and a broken push is taken back by itself.
#
#   scripts/demo.sh         runs the demo; the server goes on running afterwards unless CI=true
#   scripts/demo.sh stop    stops the server and removes what the demo left
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

data=$PWD/demo-data
windlass=${WINDLASS_BIN:-$PWD/target/release/windlass}
stack=demo

# A loopback port that nobody listens on: the given one if possible.
free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        port=$((port + 1))
    done
    echo "$port"
}

# Ends a process of an earlier run, but only if the number still belongs to the program we started.
end_process() {
    local file=$1 program=$2 pid
    [ -s "$file" ] || return 0
    pid=$(cat "$file")
    if [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q "$program"; then
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 100); do
            [ -d "/proc/$pid" ] || break
            sleep 0.1
        done
    fi
    rm -f "$file"
}

stop_demo() {
    if [ -s "$data/server.url" ] && [ -s "$data/token" ]; then
        WINDLASS_SERVER=$(cat "$data/server.url") WINDLASS_TOKEN=$(cat "$data/token") \
            "$windlass" stack delete "$stack" --yes >/dev/null 2>&1 || true
    fi
    end_process "$data/server.pid" windlass
    end_process "$data/git.pid" git
    rm -rf "$data"
}

api() {
    curl --silent --show-error --max-time 10 --header "Authorization: Bearer $WINDLASS_TOKEN" "$WINDLASS_SERVER$1"
}

# Number and status of the newest deployment: "3 successful".
newest() {
    api "/api/v1/stacks/$stack/deployments?limit=1" |
        sed -n 's/.*"items":\[{"id":"[^"]*","seq":\([0-9]*\).*"status":"\([a-z_]*\)".*/\1 \2/p'
}

# Waits until the push's deployment is there, follows it, and prints how it ended.
follow() {
    local before=$1 number=$1
    for _ in $(seq 200); do
        number=$(newest | cut -d' ' -f1)
        [ -n "$number" ] && [ "$number" != "$before" ] && break
        sleep 0.05
    done
    "$windlass" logs "$number" -f
    # The exit status of the last command is the outcome, which the caller reads from the API instead.
    "$windlass" status "$number" || true
}

# Commits the working copy with a message and pushes it.
push() {
    (
        cd "$data/work"
        printf '%s\n' "$1" >message.txt
        git add -A
        git -c user.name=Demo -c user.email=demo@example.org commit --quiet --message "$1"
        git push --quiet origin main 2>&1 | sed 's/^remote: /  forge: /'
        git rev-parse HEAD
    )
}

# Asks the page twenty times a second and counts what was not the good commit.
watch_page() {
    local commit=$1 end=$((SECONDS + 120)) asked=0 missed=0
    while [ ! -e "$data/watch.stop" ] && [ $SECONDS -lt $end ]; do
        asked=$((asked + 1))
        curl --silent --max-time 2 "$url/" | grep -q "$commit" || missed=$((missed + 1))
        sleep 0.05
    done
    echo "$asked $missed" >"$data/watch.result"
}

if [ "${1:-}" = stop ]; then
    stop_demo
    say "the demo is stopped and its files are removed"
    exit 0
fi

for tool in git curl openssl; do
    command -v "$tool" >/dev/null || apt_install "by the demo" "$tool"
done
say "cleaning up after an earlier run"
stop_demo
mkdir -p "$data"
chmod 700 "$data"

say "starting the server"
# Made here, so that the demo can use it; without WINDLASS_ADMIN_TOKEN the server prints one at its first start.
WINDLASS_TOKEN=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
export WINDLASS_TOKEN
printf '%s' "$WINDLASS_TOKEN" >"$data/token"
port=$(free_port 8080)
export WINDLASS_SERVER=http://127.0.0.1:$port
WINDLASS_LISTEN=127.0.0.1:$port WINDLASS_DATA_DIR=$data/server BUILD_LOG_DIR=$data/logs \
    WINDLASS_ADMIN_TOKEN=$WINDLASS_TOKEN \
    WINDLASS_PRIVATE_NETWORKS=127.0.0.0/8 \
    setsid "$windlass" serve >"$data/server.out" 2>"$data/server.log" </dev/null &
echo $! >"$data/server.pid"
echo "$WINDLASS_SERVER" >"$data/server.url"
for _ in $(seq 300); do
    curl --silent --fail --max-time 2 "$WINDLASS_SERVER/readyz" >/dev/null 2>&1 && break
    sleep 0.1
done
curl --silent --show-error --fail --max-time 5 "$WINDLASS_SERVER/readyz" >/dev/null || {
    tail -n 20 "$data/server.log" >&2
    exit 1
}

say "a git server with an empty repository"
git init --quiet --bare --initial-branch=main "$data/forge/app.git"
git_port=$(free_port 19418)
setsid git daemon --reuseaddr --listen=127.0.0.1 --port="$git_port" --base-path="$data/forge" --export-all \
    --enable=receive-pack >"$data/git.log" 2>&1 </dev/null &
echo $! >"$data/git.pid"
clone_url=git://127.0.0.1:$git_port/app.git

say "a stack that builds from it"
app_port=$(free_port 18080)
url=http://127.0.0.1:$app_port
secret=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
cat >"$data/stack.json" <<JSON
{
  "name": "$stack",
  "description": "What make demo deploys",
  "repository": { "url": "$clone_url", "branch": "main", "provider": "github", "webhookSecret": "$secret" },
  "build": { "buildType": "docker_build", "healthCheckPath": "/health", "healthCheckTimeout": 8 },
  "run": { "ports": [{ "container": 8080, "host": $app_port }] }
}
JSON
"$windlass" stack create -f "$data/stack.json" >/dev/null
hooks=$data/forge/app.git/hooks
install -m 755 scripts/demo/post-receive "$hooks/post-receive"
api "/api/v1/stacks/$stack" | sed -n 's/.*"webhookUrl":"\([^"]*\)".*/\1/p' >"$hooks/WEBHOOK_URL"
printf '%s' "$secret" >"$hooks/WEBHOOK_KEY"
printf '%s' "$clone_url" >"$hooks/CLONE_URL"

git init --quiet --initial-branch=main "$data/work"
cp scripts/demo/Dockerfile scripts/demo/start.sh "$(command -v busybox)" "$data/work/"
git -C "$data/work" remote add origin "$clone_url"
for _ in $(seq 100); do
    git ls-remote "$clone_url" >/dev/null 2>&1 && break
    sleep 0.1
done

say "push 1, the first version"
commit=$(push "Hello from the first push" | tee -a /dev/stderr | tail -n 1)
follow 0
curl --silent --fail --max-time 5 "$url/" | grep -q "$commit" || { echo "the page does not show $commit" >&2; exit 1; }
say "$url shows commit ${commit:0:7}"

say "push 2, a better version"
before=$(newest | cut -d' ' -f1)
commit=$(push "Hello from the second push" | tail -n 1)
follow "$before"
curl --silent --fail --max-time 5 "$url/" | grep -q "$commit" || { echo "the page does not show $commit" >&2; exit 1; }
pause=$(api "/api/v1/deployments/$(newest | cut -d' ' -f1)" | sed -n 's/.*"pauseMs":\([0-9]*\).*/\1/p')
say "$url shows commit ${commit:0:7}; handing the port over paused it for ${pause:-0} ms"

say "push 3, a broken version; the page is asked all the time"
before=$(newest | cut -d' ' -f1)
watch_page "$commit" &
watcher=$!
push "This one is broken" >/dev/null
follow "$before"
touch "$data/watch.stop"
wait "$watcher"
read -r asked missed <"$data/watch.result"
state=$(newest | cut -d' ' -f2)
[ "$state" = rolled_back ] || { echo "the broken push ended as $state instead of rolled_back" >&2; exit 1; }
[ "$missed" = 0 ] || { echo "$missed of $asked requests did not get the good commit" >&2; exit 1; }
say "the broken push was rolled back; $asked of $asked requests meanwhile got the good commit"

if [ "${CI:-}" = true ]; then
    stop_demo
    say "commit $commit was served at $url, state healthy (stopped again because CI=true)"
else
    say "the server goes on running: dashboard $WINDLASS_SERVER, token in demo-data/token; stop it with: make demo-stop"
    say "commit $commit is served at $url, state healthy"
fi
