#!/usr/bin/env bash
# An S3-compatible store for tests, on loopback only:  eval "$(scripts/s3.sh start FOLDER [PORT])"; scripts/s3.sh stop FOLDER
# `start` installs moto (PyPI) in FOLDER where it is missing, makes the bucket `luthier`, and prints the variables to set.
set -euo pipefail
action=${1:?start or stop} folder=${2:?a folder} port=${3:-55435}

case $action in
start)
  mkdir -p "$folder"
  if [ ! -x "$folder/venv/bin/moto_server" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install -q "moto[server,s3]==5.*" >&2
  fi
  url=http://127.0.0.1:$port
  "$folder/venv/bin/moto_server" --host 127.0.0.1 --port "$port" >"$folder/log" 2>&1 &
  echo $! >"$folder/pid"
  for _ in $(seq 100); do
    if curl -sf -X PUT "$url/luthier" >/dev/null; then
      echo "export LUTHIER_S3=s3://luthier AWS_ENDPOINT_URL=$url AWS_REGION=us-east-1"
      echo "export AWS_ACCESS_KEY_ID=luthier AWS_SECRET_ACCESS_KEY=luthier"
      exit 0
    fi
    sleep 0.2
  done
  echo "moto did not start; its log is $folder/log" >&2
  exit 1
  ;;
stop) if [ -e "$folder/pid" ]; then kill "$(cat "$folder/pid")"; fi ;;
*) echo "expected start or stop, found $action" >&2; exit 2 ;;
esac
