#!/usr/bin/env bash
# Set up, lint, test: bash tools/run_tests.sh [--fast] [pytest's options]
# With --fast: the models, losses, hooks and data sets, and one whole training.
set -euo pipefail

ROOT=$(cd "$(dirname "$0")/.." && pwd)
bash "$ROOT/tools/setup_env.sh"
PATH=$(cd "${MASK_JEPA_VENV:-$ROOT/.venv}" && pwd)/bin:$PATH
cd "$ROOT"
# Threads that wait for a busy core make a step ten times slower.
export OMP_NUM_THREADS=1

printf '\n== linters\n'
pre-commit run --all-files

if [ "${1:-}" = --fast ]; then
    shift
    set -- -m 'not slow' tests/test_{models,losses,hooks,datasets} \
        tests/test_tools/test_train.py::test_train_resume_init_and_test "$@"
fi
printf '\n== tests\n'
# The tests of a file share what is slow to make.
exec python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile "$@"
