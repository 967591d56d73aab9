# For the scripts beside it, which source it: runs a script in namespaces of its own, and waits for things.
# Network, processes and mounts are private: nothing listens for others, and nothing outlives the script, because the
# kernel ends every process of a namespace with its first.

# Starts the calling script again inside, unless it runs there already:  confined "$0" "$@"
confined() {
  [ -z "${CONFINED:-}" ] || return 0
  if ! unshare --net --mount --uts --pid --fork --kill-child --mount-proc true 2>/dev/null; then
    echo "$1 is skipped: it needs namespaces of its own (unshare), which this user may not make" >&2
    [ -z "${CI:-}" ] || { echo "CI is set, so this is a failure" >&2; exit 1; }
    exit 0
  fi
  CONFINED=yes exec unshare --net --mount --uts --pid --fork --kill-child --mount-proc bash "$@"
}

# A network inside: loopback, and an address that is not loopback, which Slurm looks for.
private_network() {
  hostname control
  ip link set lo up
  ip link add inside0 type dummy 2>/dev/null || ip link add inside0 type veth peer name inside1
  ip addr add 10.77.0.1/24 dev inside0
  ip link set inside0 up
  ip link set inside1 up 2>/dev/null || true
  printf '127.0.0.1 localhost\n10.77.0.1 control\n' >"$1/hosts"
  mount --bind "$1/hosts" /etc/hosts
}

# Waits until a command succeeds:  until_true SECONDS WHAT COMMAND...
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "waited in vain: $what" >&2; return 1; }
    sleep 0.1
  done
}

# Seconds since the script began, for what it prints.
said() { printf '[%5.1f s] %s\n' "$(awk -v now="$(date +%s.%N)" -v began="$began" 'BEGIN { print now - began }')" "$*"; }
began=$(date +%s.%N)
