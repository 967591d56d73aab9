#!/usr/bin/env bash
# A PostgreSQL server for tests, on loopback only:  scripts/postgres.sh start|stop FOLDER [PORT]
# `start` makes the cluster in FOLDER where it is missing, and prints the URL for LUTHIER_POSTGRES.
set -euo pipefail
action=${1:?start or stop} folder=${2:?a folder} port=${3:-55432}
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || { echo "PostgreSQL is not installed: apt-get install postgresql" >&2; exit 1; }

# The server refuses to run as root.
as_user() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }

case $action in
start)
  if [ ! -e "$folder/PG_VERSION" ]; then
    mkdir -p "$folder"
    if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi
    chmod 700 "$folder"
    as_user "$bin/initdb" --pgdata="$folder" --auth=trust --username=luthier >/dev/null
    printf "listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = ''\nmax_connections = 200\n" "$port" \
      | as_user tee -a "$folder/postgresql.conf" >/dev/null
  fi
  as_user "$bin/pg_ctl" --pgdata="$folder" --log="$folder/log" --wait start >/dev/null
  echo "postgres://luthier@127.0.0.1:$port/postgres"
  ;;
stop) as_user "$bin/pg_ctl" --pgdata="$folder" --mode=fast --wait stop >/dev/null ;;
*) echo "expected start or stop, found $action" >&2; exit 2 ;;
esac
