#!/usr/bin/env bash
# Test in several processes: tools/dist_test.sh CONFIG CHECKPOINT GPUS [test.py's options]
# The environment variables are those of dist_train.sh.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
export MASK_JEPA_TOOL=test.py
exec bash "$(dirname "$0")/dist_train.sh" "$1" "$3" "$2" "${@:4}"
