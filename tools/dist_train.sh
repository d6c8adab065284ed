#!/usr/bin/env bash
# Pretrain in several processes: tools/dist_train.sh CONFIG GPUS [train.py's options]
# Without a GPU the processes share the CPU (gloo). Several machines: set NNODES,
# NODE_RANK, MASTER_ADDR and PORT. The exit status is that of the tool.
set -euo pipefail

# dist_test.sh starts another tool the same way.
TOOL=${MASK_JEPA_TOOL:-train.py}
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/$TOOL]" >&2
    exit 2
fi

# More threads than cores make every process crawl.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec python "$(dirname "$0")/misc/launch.py" \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$2" \
    "$(dirname "$0")/$TOOL" "$1" --launcher pytorch "${@:3}"
