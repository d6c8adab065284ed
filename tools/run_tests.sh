#!/usr/bin/env bash
# Set up, lint, test: bash tools/run_tests.sh [pytest's options]
set -euo pipefail

ROOT=$(cd "$(dirname "$0")/.." && pwd)
bash "$ROOT/tools/setup_env.sh"
PYTHON=$(cd "${MASK_JEPA_VENV:-$ROOT/.venv}" && pwd)/bin/python
cd "$ROOT"
SOURCES=(setup.py configs projects tests tools)
shopt -s nullglob
DOCUMENTS=(*.md docs/*.md)

# Threads that wait for a busy core make a step ten times slower.
export OMP_NUM_THREADS=1

say() {
    printf '\n== %s\n' "$*"
}

say 'flake8'
"$PYTHON" -m flake8 "${SOURCES[@]}"
say 'isort'
"$PYTHON" -m isort --check-only --diff --quiet "${SOURCES[@]}"
say 'codespell'
"$PYTHON" -m codespell_lib "${SOURCES[@]}" "${DOCUMENTS[@]}"
say 'pytest'
# The tests of a file share what is slow to make.
exec "$PYTHON" -m pytest --numprocesses auto --maxprocesses 8 \
    --dist loadfile "$@"
