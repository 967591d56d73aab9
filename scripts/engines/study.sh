# For the scripts beside it, which source it: a study, and what has to be true of it when its workers have ended.

# Some seconds of work for eight workers: trials of up to 27 epochs in eight slots:  write_study FILE TRIALS
write_study() {
  cat >"$1" <<T
[study]
name = "placed by an engine"

[data]
source = { classification = { samples = 20000, features = 20, informative = 8, redundant = 4, class_sep = 0.7, seed = 1 } }

[model]
layers = [{ dense = { int = [32, 256], log = true }, activation = { choice = ["relu", "tanh"] } }]

[train]
epochs = 27
batch_size = { choice = [16, 32] }
optimizer = { kind = "adam", learning_rate = { float = [1e-4, 1e-1], log = true } }

[search]
trials = $2
pruner = "asha"
slots = 8
parallel = 1
T
}

# The trials of a study and its winner, without times:  trials_of STUDY STORAGE
trials_of() {
  "$luthier" trials "$1" --storage "$2" --json | grep -v '"seconds"\|"began_ms"\|"ended_ms"\|_seconds"'
  "$luthier" best "$1" --storage "$2" --model "$d/model" >/dev/null
  sha256sum <"$d/model"
}

# Nobody is left of the workers.
no_workers() { ! pgrep -f "worker --parallel" >/dev/null; }

# Kills one of eight workers in the midst of their work:  kill_one STORAGE
kill_one() {
  eight() { [ "$(pgrep -cf "worker --parallel")" = 8 ]; }
  until_true 60 "eight workers" eight
  begun() { [ "$("$luthier" trials "placed by an engine" --storage "$1" --json | grep -c '"trial":')" -ge 30 ]; }
  until_true 60 "thirty trials" begun "$1"
  local worker
  worker=$(pgrep -f "worker --parallel" | head -n 1)
  said "$(pgrep -cf "worker --parallel") workers; one of them is killed, process $worker"
  kill -9 "$worker"
}

# What a launch has come to is what one process comes to, although a worker was lost:  compare_with_calm STORAGE
compare_with_calm() {
  grep '^workers: ' "$d/launched.err"
  grep -q '^workers: .* lost' "$d/launched.err" || { echo "nothing was said of a lost worker" >&2; return 1; }
  grep -q '^workers: .* submitted again' "$d/launched.err" || { echo "no worker was submitted again" >&2; return 1; }
  trials_of "placed by an engine" "$1" >"$d/launched.json"
  diff "$d/calm.json" "$d/launched.json"
  # What is printed in the end, but for the time and for the storage's name.
  diff <(tail -n +2 "$d/calm.txt" | grep -v luthier) <(tail -n +2 "$d/launched.txt" | grep -v luthier)
  "$luthier" verify "placed by an engine" --storage "$1"
  said "trials, winner and its values on the test examples are those of one process"
}
