#!/usr/bin/env bash
# Pretrain under Slurm:
#   GPUS=16 tools/slurm_train.sh PARTITION JOB_NAME CONFIG [train.py's options]
# GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS may be set as well. STOP_SECONDS (120)
# before its time limit the training saves, and goes on in a new job. A batch script
# that calls this asks for that itself: #SBATCH --signal=USR1@120 --requeue.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [options of tools/train.py]" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
shift 3
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}

# Some time before its limit the job is told to stop (SIGUSR1): it saves, leaves
# with this status, and goes on in another job. Who cancels it sends SIGTERM.
TOLD_IN_TIME=138

resume=()
[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || resume=(--resume)
while true; do
    status=0
    # SRUN_ARGS holds several words on purpose. One failing rank ends the job.
    # shellcheck disable=SC2086
    srun -p "$PARTITION" \
        --job-name="$JOB_NAME" \
        --gres="gpu:$GPUS_PER_NODE" \
        --ntasks="$GPUS" \
        --ntasks-per-node="$GPUS_PER_NODE" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" \
        --kill-on-bad-exit=1 \
        --signal="USR1@${STOP_SECONDS:-120}" \
        ${SRUN_ARGS:-} \
        python -u "$(dirname "$0")/train.py" "$CONFIG" --launcher slurm "$@" \
        "${resume[@]}" || status=$?
    [ "$status" = "$TOLD_IN_TIME" ] || exit "$status"
    # In a batch job, it is that which ends.
    [ -z "${SLURM_JOB_ID:-}" ] || exec scontrol requeue "$SLURM_JOB_ID"
    resume=(--resume)
done
