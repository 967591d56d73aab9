#!/usr/bin/env bash
# `luthier launch slurm` for real:  scripts/engines/slurm.sh [LUTHIER]
# Two Slurm nodes and PostgreSQL on this machine, in namespaces of their own (as root). Eight workers work on a study, one
# of them is killed, and the study has to come to what one undisturbed process comes to. A launch that is interrupted
# has to leave nothing in the queue. Installs slurm-wlm where it is missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
luthier=$(realpath "${1:-$here/../../target/release/luthier}")
. "$here/confined.sh"
. "$here/study.sh"
if [ -z "${CONFINED:-}" ] && ! command -v slurmctld munged >/dev/null; then
  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends slurm-wlm munge
fi
confined "$0" "$luthier"

d=$(mktemp -d)
chmod 755 "$d"
trap '[ $? = 0 ] || tail -n 12 "$d"/l*.err >&2; rm -rf "$d"' EXIT
mkdir -p "$d/state" "$d/run" "$d/a study"
private_network "$d"
export SLURM_CONF=$d/slurm.conf
dd if=/dev/urandom of="$d/munge.key" bs=1024 count=1 status=none
chmod 400 "$d/munge.key"
cat >"$d/slurm.conf" <<C
ClusterName=luthier
SlurmctldHost=control(10.77.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$d/run/munge.sock
CredType=cred/munge
StateSaveLocation=$d/state
SlurmdSpoolDir=$d/spool-%n
SlurmctldPidFile=$d/run/slurmctld.pid
SlurmdPidFile=$d/run/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=10
SchedulerParameters=sched_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname=control NodeAddr=10.77.0.1 Port=16818 CPUs=4 RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname=second NodeAddr=10.77.0.1 Port=16819 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
C
# slurmd refuses to start where it finds no controllers of cgroups; none are needed.
printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' >"$d/cgroup.conf"

munged --foreground --force --key-file="$d/munge.key" --socket="$d/run/munge.sock" --pid-file="$d/run/munged.pid" \
  --log-file="$d/munged.log" --seed-file="$d/run/munged.seed" 2>"$d/munged.err" &
until_true 10 munged munge --socket="$d/run/munge.sock" --no-input
slurmctld -D -c >"$d/slurmctld.log" 2>&1 &
slurmd -D -N n1 >"$d/n1.log" 2>&1 &
slurmd -D -N n2 >"$d/n2.log" 2>&1 &
nodes_idle() { [ "$(sinfo --noheader --states=idle --format=%D)" = 2 ]; }
until_true 20 "two idle nodes" nodes_idle || { tail -n 5 "$d"/*.log >&2; exit 1; }
said "two nodes are idle"

# One process, undisturbed.
write_study "$d/a study/study.toml" 150
cd "$d/a study"
unset LUTHIER_STORAGE
"$luthier" tune study.toml --storage "$d/calm.db" 2>/dev/null >"$d/calm.txt"
trials_of "placed by an engine" "$d/calm.db" >"$d/calm.json"
said "one process has done the study"

url=$("$here/../postgres.sh" start "$d/postgres" 55434)
export LUTHIER_STORAGE="$url?lease=2"
"$luthier" launch slurm study.toml --one-host --workers 8 --memory-per-worker 200M --time 10m >"$d/launched.txt" 2>"$d/launched.err" &
launched=$!
kill_one "$LUTHIER_STORAGE"
if ! wait $launched; then
  echo "luthier launch failed:" >&2
  cat "$d/launched.err" >&2
  exit 1
fi
said "the launch has ended"
compare_with_calm "$LUTHIER_STORAGE"
until_true 10 "the workers' end" no_workers

# Another study: Ctrl-C cancels the workers, and the same command goes on.
sed -i 's/placed by an engine/interrupted/; s/trials = 150/trials = 2000/' study.toml
"$luthier" launch slurm study.toml --one-host --workers 8 >"$d/launched.txt" 2>"$d/launched.err" &
launched=$!
until_true 60 "eight workers" grep -q '^workers: 8 running' "$d/launched.err"
kill -INT $launched
code=0
wait $launched || code=$?
[ $code = 130 ] || { echo "the exit code of an interrupted launch is $code" >&2; cat "$d/launched.err" >&2; exit 1; }
until_true 5 "the workers' end" no_workers
[ -z "$(squeue --noheader)" ] || { squeue >&2; exit 1; }
said "an interrupted launch leaves nobody behind"

# Detached, and cancelled by another command.
"$luthier" launch slurm study.toml --one-host --workers 8 --detach >"$d/detached.txt" 2>/dev/null
until_true 20 "eight workers" bash -c '[ "$(squeue --noheader --array --states=running | wc -l)" = 8 ]'
"$luthier" launch slurm study.toml --one-host --workers 8 --cancel 2>/dev/null
until_true 5 "the workers' end" no_workers
said "detached workers are cancelled"

# What cannot work is given up, with what the worker said.
if "$luthier" launch slurm study.toml --one-host --workers 2 --program /nowhere/luthier --retries 1 >/dev/null 2>"$d/err"; then
  echo "a missing program was not noticed" >&2
  exit 1
fi
grep -q 'workers are lost again and again' "$d/err" && grep -q '/nowhere/luthier' "$d/err" || { cat "$d/err" >&2; exit 1; }
if "$luthier" launch slurm study.toml --one-host --partition nowhere >/dev/null 2>"$d/err"; then exit 1; fi
grep 'error' "$d/err"
said "workers that fail at once are given up, and what Slurm refuses is said"
"$here/../postgres.sh" stop "$d/postgres"
said "done"
