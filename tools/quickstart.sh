#!/usr/bin/env bash
# From nothing to a fine-tuned Mask2Former: set up, pretrain, export, fine-tune,
# test, pictures. Usage: bash tools/quickstart.sh [DATA]
# DATA is a folder of images to pretrain on, or one laid out as docs/configs.md says. By
# default the small real sets are used where they are found, else nuclei that come along.
set -euo pipefail

ROOT=$(cd "$(dirname "$0")/.." && pwd)
bash "$ROOT/tools/setup_env.sh"
exec "${MASK_JEPA_VENV:-$ROOT/.venv}/bin/python" -u "$ROOT/tools/quickstart.py" "$@"
