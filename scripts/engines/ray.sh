#!/usr/bin/env bash
# `luthier launch ray` for real:  scripts/engines/ray.sh VENV [LUTHIER]
# Two Ray nodes on this machine, in namespaces of their own, from the virtual environment VENV, in which Ray is installed
# where it is missing. Eight workers work on a study in an SQLite file, one of them is killed, a node is lost, and the study
# has to come to what one undisturbed process comes to. A launch that is interrupted has to leave nobody at work.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$(realpath -m "${1:?a virtual environment of Python, made where it is missing}")
luthier=$(realpath "${2:-$here/../../target/release/luthier}")
. "$here/confined.sh"
. "$here/study.sh"
if [ -z "${CONFINED:-}" ] && [ ! -x "$venv/bin/ray" ]; then
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet "ray[default]"
fi
confined "$0" "$venv" "$luthier"

d=$(mktemp -d /tmp/rayXXXX)
trap '[ $? = 0 ] || tail -n 12 "$d"/l*.err >&2; rm -rf "$d"' EXIT
private_network "$d"
unset LUTHIER_STORAGE http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export RAY_USAGE_STATS_ENABLED=0
# In this long a job without a place fails. Luthier submits it again.
export RAY_JOB_START_TIMEOUT_SECONDS=20
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=between-us-0123456789abcdef
node=(--block --num-gpus=0 --object-store-memory=80000000 --disable-usage-stats)
setsid "$venv/bin/ray" start --head "${node[@]}" --num-cpus=4 --node-ip-address=127.0.0.2 --port=6380 \
  --dashboard-host=127.0.0.1 --temp-dir="$d/ray" >"$d/head.log" 2>&1 &
answers() { curl -sf -H "Authorization: Bearer $RAY_AUTH_TOKEN" "http://127.0.0.1:8265/api/$1"; }
until_true 60 "the head of Ray" answers jobs/ || { tail "$d/head.log" >&2; exit 1; }
said "Ray's head answers"
second_node() {
  setsid "$venv/bin/ray" start "${node[@]}" --address=127.0.0.2:6380 --num-cpus=4 --node-ip-address=127.0.0.3 >"$d/second.log" 2>&1 &
  second=$!
}
second_node
two_nodes() { [ "$(answers v0/nodes | grep -o '"state": *"ALIVE"' | wc -l)" = 2 ]; }
until_true 60 "two nodes" two_nodes || { tail "$d/second.log" >&2; exit 1; }
said "two nodes are there"

mkdir "$d/a study"
cd "$d/a study"
write_study study.toml 400
"$luthier" tune study.toml --storage "$d/calm.db" 2>/dev/null >"$d/calm.txt"
trials_of "placed by an engine" "$d/calm.db" >"$d/calm.json"
said "one process has done the study"

# As many workers as there are processors.
"$luthier" launch ray study.toml --one-host --workers 8 --memory-per-worker 200M >"$d/launched.txt" 2>"$d/launched.err" &
launched=$!
kill_one luthier.db
if ! wait $launched; then
  echo "luthier launch failed" >&2
  exit 1
fi
said "the launch has ended"
compare_with_calm luthier.db
until_true 10 "the workers' end" no_workers

# Another study: a node is lost, Ctrl-C cancels the workers, and nobody is left.
sed -i 's/placed by an engine/interrupted/; s/trials = 400/trials = 4000/' study.toml
"$luthier" launch ray study.toml --one-host --workers 8 >"$d/launched.txt" 2>"$d/launched.err" &
launched=$!
until_true 60 "eight workers" grep -q '^workers: 8 running' "$d/launched.err"
kill -9 $(ps -eo pid=,sess= | awk -v session=$second '$2 == session { print $1 }')
said "a node is lost with its workers"
until_true 90 "workers that wait for a place" grep -q '^workers: .* pending' "$d/launched.err"
until_true 60 "a worker that found no place in time" grep -q '^workers: .* submitted again' "$d/launched.err"
second_node
until_true 120 "eight workers again" bash -c 'tail -n 1 <(grep "^workers: " "$1") | grep -q "^workers: 8 running"' _ "$d/launched.err"
grep '^workers: ' "$d/launched.err"
said "there are eight workers again"
kill -INT $launched
code=0
wait $launched || code=$?
[ $code = 130 ] || { echo "the exit code of an interrupted launch is $code" >&2; exit 1; }
until_true 5 "the workers' end" no_workers
said "an interrupted launch leaves nobody behind"

# Without the token nothing is submitted, and the reason is said.
if RAY_AUTH_TOKEN= "$luthier" launch ray study.toml --one-host >/dev/null 2>"$d/err"; then exit 1; fi
grep 'RAY_AUTH_TOKEN' "$d/err"
said "done"
