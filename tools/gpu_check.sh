#!/usr/bin/env bash
# What this project does on the GPU of this machine, in about five minutes:
#   bash tools/gpu_check.sh [OUT]               with the packages installed here
#   bash tools/gpu_check.sh --pack FOLDER       packages and images for a machine
#                                               that has torch, and no OpenMMLab
#   bash tools/gpu_check.sh --from FOLDER [OUT] with those, also without network
# Each stage writes OUT/<stage>.json (by default in work_dirs/gpu_check) before the
# next begins. STAGES="operator tests" runs only these, PYTHON names another Python,
# PACK_PYTHON=3.12 the version of the other machine's. Without a GPU everything runs
# with small sizes on the CPU.
set -euo pipefail

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHON=${PYTHON:-python3}
STAGES=${STAGES:-environment operator benchmark tests pretraining}
# Seconds after which a stage is given up, together no more than six minutes.
declare -A LIMITS=([environment]=30 [operator]=25 [benchmark]=135 [tests]=60
    [pretraining]=110)

case ${1:-} in
    -h | --help) sed -n '2,11s/^# \?//p' "$0"; exit 0 ;;
    --pack) exec "$PYTHON" "$TOOLS/misc/pack_gpu_check.py" "${2:?--pack FOLDER}" ;;
    --from)
        PACK=$(cd "${2:?--from FOLDER}" && pwd)
        export PYTHONPATH=$PACK/packages${PYTHONPATH:+:$PYTHONPATH}
        export MASK_JEPA_DATA=$PACK/data
        shift 2
        ;;
esac
OUT=${1:-work_dirs/gpu_check}
mkdir -p "$OUT"
export PYTHONUNBUFFERED=1
cd "$TOOLS/.."
case $OUT in /*) ;; *) OUT=$OLDPWD/$OUT ;; esac

has_gpu=$("$PYTHON" -c 'import torch; print(torch.cuda.is_available())')
failed=
for stage in $STAGES; do
    begin=$SECONDS
    status=0
    limit=1800  # a CPU is given the time that it needs
    [ "$has_gpu" != True ] || limit=${LIMITS[$stage]}
    timeout --kill-after=5 "$limit" \
        "$PYTHON" tools/gpu_check.py "$stage" "$OUT" || status=$?
    echo "== $stage: $((SECONDS - begin)) s, exit code $status"
    [ "$status" = 0 ] || failed="$failed $stage"
done
[ -z "$failed" ] || { echo "Failed:$failed" >&2; exit 1; }
