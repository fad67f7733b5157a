# Another machine: a Docker engine in a network of its own. Runs until its standard input ends, however the test does, and
# leaves nothing behind. Arguments: name, folder, address on our side, its own address, port.
set -u
name=$1 folder=$2 here=$3 there=$4 port=$5
namespace="/var/run/netns/$name"

tidy() {
    docker --host "unix://$folder/engine.sock" swarm leave --force >/dev/null 2>&1
    docker --host "unix://$folder/engine.sock" ps -aq 2>/dev/null |
        xargs -r docker --host "unix://$folder/engine.sock" rm -f >/dev/null 2>&1
    if [ -f "$folder/pid" ]; then
        daemon=$(cat "$folder/pid")
        kill "$daemon" 2>/dev/null
        for _ in $(seq 100); do kill -0 "$daemon" 2>/dev/null || break; sleep 0.1; done
    fi
    ip netns del "$name" 2>/dev/null
    ip link del "${name}h" 2>/dev/null
    awk -v folder="$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l
    rm -rf "$folder/data" "$folder/exec"
}
trap tidy EXIT
trap '' INT HUP

ip netns add "$name" &&
    ip link add "${name}h" type veth peer name "${name}g" &&
    ip link set "${name}g" netns "$name" &&
    ip addr add "$here/30" dev "${name}h" &&
    ip link set "${name}h" up &&
    ip netns exec "$name" ip addr add "$there/30" dev "${name}g" &&
    ip netns exec "$name" ip link set "${name}g" up &&
    ip netns exec "$name" ip link set lo up &&
    ip netns exec "$name" ip route add default via "$here" || exit 1

# Not every kernel has what Debian's default iptables needs.
mkdir -p "$folder/bin"
for tool in iptables ip6tables; do
    legacy=$(command -v "$tool-legacy") && ln -sfn "$legacy" "$folder/bin/$tool"
done
PATH="$folder/bin:$PATH" nsenter --net="$namespace" dockerd --data-root "$folder/data" --exec-root "$folder/exec" \
    --pidfile "$folder/pid" --bridge none \
    --insecure-registry 10.214.0.0/15 --insecure-registry 10.216.0.0/16 --host "unix://$folder/engine.sock" --host "tcp://$there:$port" \
    --tlsverify --tlscacert "$folder/ca.pem" --tlscert "$folder/server.pem" --tlskey "$folder/server.key" \
    >"$folder/log" 2>&1 </dev/null &
cat >/dev/null
