#!/usr/bin/env bash
# Checks what `luthier launch kubernetes --print` prints against the schema that Kubernetes publishes, in several versions
# and with unknown fields refused:  scripts/engines/kubernetes.sh VENV [LUTHIER]
# The schema comes with the package kubernetes-validate, which is installed in VENV where it is missing. No cluster is
# needed, and none is tried.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$(realpath -m "${1:?a virtual environment of Python, made where it is missing}")
luthier=$(realpath "${2:-$here/../../target/release/luthier}")
if [ ! -x "$venv/bin/kubernetes-validate" ]; then
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet kubernetes-validate
fi
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
. "$here/study.sh"
write_study "$d/study.toml" 10
cd "$d"
printed() {
  LUTHIER_STORAGE=postgres://me:secret@db.example/studies "$luthier" launch kubernetes study.toml --image me/luthier:1 \
    --workers 64 --print "$@" 2>/dev/null
}
printed >plain.json
printed --gpus-per-worker 2 --memory-per-worker 4G --time 24h --namespace vision --cpus-per-worker 4 \
  --option 'spec.template.spec.nodeSelector={"gpu":"a100"}' \
  --option 'spec.template.spec.volumes=[{"name":"data","persistentVolumeClaim":{"claimName":"data"}}]' \
  --option 'spec.template.spec.containers.0.volumeMounts=[{"name":"data","mountPath":"/data"}]' >full.json
printed --option 'spec.backofLimitPerIndex=3' >misspelt.json
printed --option 'spec.completions="many"' >mistyped.json
if grep -l secret@ ./*.json; then echo "a manifest shows the password" >&2; exit 1; fi
for version in 1.29.0 1.33.0 1.37.0; do
  for manifest in plain full; do
    "$venv/bin/kubernetes-validate" --strict --kubernetes-version $version $manifest.json
  done
  # The check itself has to find what is wrong.
  for manifest in misspelt mistyped; do
    if "$venv/bin/kubernetes-validate" --strict --kubernetes-version $version $manifest.json >/dev/null 2>&1; then
      echo "a $manifest manifest passes in $version" >&2
      exit 1
    fi
  done
done
echo "the manifests are valid, and broken ones are not"
