#!/usr/bin/env bash
# Make the environment: bash tools/setup_env.sh [--torch VERSION]
# By default in .venv of the repository; MASK_JEPA_VENV names another place, PYTHON
# another Python. FORCE_CUDA=1 or 0 decides for or against mmcv's CUDA ops where the
# choice by itself (a GPU and nvcc are there) does not fit, MAX_JOBS how many files
# are compiled at a time. A second run takes seconds, and keeps the torch of the
# first one unless --torch names another.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${MASK_JEPA_VENV:-$ROOT/.venv}
[ "${VENV#/}" != "$VENV" ] || VENV=$PWD/$VENV
LOG=$VENV/setup.log
STAMP=$VENV/setup.stamp
CHOSEN_TORCH=$VENV/setup.torch
VENV_PYTHON=$VENV/bin/python
REQUIREMENTS=$ROOT/requirements
HEARTBEAT_SECONDS=15
RUNNING_JOB=

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'Set-up stopped: %s\n' "$*" >&2
    exit 1
}

fail_with_log() {
    {
        printf '\n--- the last lines of %s ---\n' "$LOG"
        tail -n 30 "$LOG"
        printf -- '---\n'
    } >&2
    fail "$* The whole output is in $LOG."
}

# ---------------------------------------------------------------- arguments

pinned_version() {  # PACKAGE FILE
    sed -n "s/^$1==\([^ ;]*\).*/\1/p" "$REQUIREMENTS/$2" | head -n 1
}

read_arguments() {
    local default_torch
    default_torch=$(pinned_version torch build.txt)
    TORCH_IS_CHOSEN=
    TORCH=$(cat "$CHOSEN_TORCH" 2>/dev/null || echo "$default_torch")
    while [ $# -gt 0 ]; do
        case $1 in
            --torch) TORCH=${2:-}; TORCH_IS_CHOSEN=1; shift ;;
            --torch=*) TORCH=${1#*=}; TORCH_IS_CHOSEN=1 ;;
            -h | --help) sed -n '2,7s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
            *) fail "there is no option $1; the only one is --torch VERSION." ;;
        esac
        [ $# -eq 0 ] || shift
    done
    case $TORCH in
        "$default_torch") TORCHVISION=$(pinned_version torchvision build.txt) ;;
        2.5.1) TORCHVISION=0.20.1 ;;
        *) fail "torch '$TORCH' is not supported: choose --torch" \
            "$default_torch (the default) or --torch 2.5.1." ;;
    esac
}

# ------------------------------------------------------------ prerequisites

python_version() {  # PYTHON; nothing where it does not run
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null ||
        true
}

is_supported() {  # VERSION; as python_requires in setup.cfg
    case $1 in
        3.10 | 3.11 | 3.12) return 0 ;;
        *) return 1 ;;
    esac
}

choose_python() {
    local candidate seen=
    for candidate in ${PYTHON:-"$VENV_PYTHON" python3.11 python3.10 \
        python3.12 python3}; do
        PYTHON_VERSION=$(python_version "$candidate")
        if is_supported "$PYTHON_VERSION"; then
            # Not a Python of this environment, which may have to be made anew.
            BASE_PYTHON=$("$candidate" -c \
                'import sys; print(sys._base_executable)')
            return
        fi
        seen="$candidate ${PYTHON_VERSION:+is }${PYTHON_VERSION:-does not run}"
    done
    fail "Python 3.10, 3.11 or 3.12 is needed, and $seen: install one, or name" \
        "it with PYTHON=/path/to/python3.11."
}

check_same_python() {
    local version
    version=$(python_version "$VENV_PYTHON")
    [ -z "$version" ] || [ "$version" = "$PYTHON_VERSION" ] ||
        fail "$VENV was made with Python $version, and this is" \
            "$PYTHON_VERSION: remove it, or name another place with" \
            "MASK_JEPA_VENV."
}

check_venv_module() {
    "$BASE_PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "this Python cannot make virtual environments: install its venv" \
            "package (on Debian and Ubuntu: apt-get install" \
            "python$PYTHON_VERSION-venv)."
}

check_headers() {
    "$BASE_PYTHON" -c 'import os, sys, sysconfig
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
sys.exit(not os.path.exists(header))' ||
        fail "mmcv is compiled here, and that needs Python's headers: install" \
            "them (on Debian and Ubuntu: apt-get install" \
            "python$PYTHON_VERSION-dev)."
}

check_compiler() {
    local compiler
    for compiler in ${CXX:-} c++ g++; do
        if printf 'int main() {}' |
            "$compiler" -std=c++17 -fsyntax-only -x c++ - 2>/dev/null; then
            export CXX=$compiler
            return
        fi
    done
    fail "mmcv is compiled here, and no C++17 compiler was found: install g++" \
        "(on Debian and Ubuntu: apt-get install g++)."
}

# ------------------------------------------------------------------- stages

stop_running_job() {
    # The job's whole process group: pip's compilers would go on without it.
    [ -z "$RUNNING_JOB" ] || kill -- "-$RUNNING_JOB" 2>/dev/null || true
}
trap stop_running_job EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

run_with_heartbeat() {  # COMMAND...; its output goes to the log
    local begin=$SECONDS next=$HEARTBEAT_SECONDS elapsed status=0
    printf '\n$ %s\n' "$*" >>"$LOG"
    set -m
    "$@" >>"$LOG" 2>&1 </dev/null &
    RUNNING_JOB=$!
    set +m
    while kill -0 "$RUNNING_JOB" 2>/dev/null; do
        sleep 1
        elapsed=$((SECONDS - begin))
        if [ "$elapsed" -ge "$next" ]; then
            printf '      ... %d:%02d\n' $((elapsed / 60)) $((elapsed % 60))
            next=$((elapsed + HEARTBEAT_SECONDS))
        fi
    done
    wait "$RUNNING_JOB" || status=$?
    RUNNING_JOB=
    return "$status"
}

pip_install() {
    run_with_heartbeat "$VENV_PYTHON" -m pip install \
        --disable-pip-version-check "$@"
}

venv_works() {
    "$VENV_PYTHON" -m pip --version >/dev/null 2>&1
}

make_venv() {
    say "[1/4] Virtual environment with Python $PYTHON_VERSION in $VENV, some seconds"
    if venv_works; then
        return
    fi
    # Half-made by an interrupted run, or its Python is gone.
    find "$VENV" -mindepth 1 -maxdepth 1 ! -name 'setup.*' -exec rm -rf {} +
    run_with_heartbeat "$BASE_PYTHON" -m venv "$VENV" ||
        fail_with_log 'the virtual environment could not be made.'
}

forget_half_installed() {
    # pip takes a package for complete whose installation was killed before its
    # last file, the RECORD.
    local site_packages folder
    site_packages=$("$VENV_PYTHON" -c \
        'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    for folder in "$site_packages"/*.dist-info; do
        if [ -d "$folder" ] && [ ! -e "$folder/RECORD" ]; then
            rm -rf "$folder"
        fi
    done
}

remove_other_torch() {
    # The CUDA libraries of two torch versions share folders.
    local packages
    packages=$("$VENV_PYTHON" - "$TORCH" <<'PY'
import importlib.metadata as metadata
import re
import sys

names = {item.metadata['Name']: item.version for item in metadata.distributions()}
if names.get('torch', sys.argv[1]).split('+')[0] != sys.argv[1]:
    print(*(name for name in names if re.match(
        'torch$|torchvision$|triton$|nvidia-|cuda-', name)))
PY
    )
    [ -z "$packages" ] || run_with_heartbeat \
        "$VENV_PYTHON" -m pip uninstall --yes $packages ||
        fail_with_log 'the torch that was there could not be removed.'
}

install_torch() {
    say "[2/4] torch $TORCH and what mmcv's build needs, about 1 minute on a" \
        "fast network (some GB)"
    remove_other_torch
    sed -e "s/^torch==.*/torch==$TORCH/" \
        -e "s/^torchvision==.*/torchvision==$TORCHVISION/" \
        "$REQUIREMENTS/build.txt" >"$VENV/build.txt"
    pip_install -r "$VENV/build.txt" ||
        fail_with_log "torch $TORCH could not be installed."
    local reason
    reason=$("$VENV_PYTHON" -c 'import torch, torchvision' 2>&1) ||
        fail "torch $TORCH was installed but cannot be imported" \
            "($(printf '%s' "$reason" | tail -n 1)): remove $VENV and run" \
            "this again, or choose another with --torch."
}

# What the compiled ops are wanted for: cpu, or cuda and the reason against it.
wanted_kind() {
    "$VENV_PYTHON" - <<'PY'
import os
import re
import shutil
import subprocess

import torch
from torch.utils.cpp_extension import CUDA_HOME


def nvcc_version():
    nvcc = os.path.join(CUDA_HOME or '', 'bin', 'nvcc')
    if not os.access(nvcc, os.X_OK):
        return None
    output = subprocess.run([nvcc, '--version'], capture_output=True, text=True)
    found = re.search(r'release (\d+)\.', output.stdout)
    return found and found.group(1)


def kind():
    forced = os.environ.get('FORCE_CUDA')
    if forced in ('0', '1'):
        return 'cuda' if forced == '1' else 'cpu'
    if not torch.cuda.is_available():
        if shutil.which('nvidia-smi') and not subprocess.run(
                ['nvidia-smi', '-L'], capture_output=True).returncode:
            return ('cpu There is a GPU that this torch does not see. If its '
                    'driver is too old for it, try --torch 2.5.1.')
        return 'cpu'
    needed = (torch.version.cuda or '').split('.')[0]
    found = nvcc_version()
    if found == needed:
        return 'cuda'
    return (f'cpu There is a GPU, but {"nvcc is of CUDA " + found if found else "no nvcc"}'
            ': Mask-JEPA trains on it, with deformable attention in triton or '
            'torch; mmdet\'s own Mask2Former needs the CUDA toolkit '
            f'{needed}, and then this once more.')


print(kind())
PY
}

choose_kind() {
    local answer
    answer=$(wanted_kind 2>>"$LOG") || return 1
    KIND=${answer%% *}
    KIND_WARNING=
    [ "$KIND" = "$answer" ] || KIND_WARNING=${answer#* }
}

mmcv_works() {
    # A build without CUDA imports well beside a GPU, and fails in use.
    "$VENV_PYTHON" - "$KIND" <<'PY' >>"$LOG" 2>&1
import sys

from mmcv.ops import get_compiling_cuda_version

sys.exit(sys.argv[1] == 'cuda'
         and get_compiling_cuda_version() == 'not available')
PY
}

compile_jobs() {
    local cores memory
    cores=$(getconf _NPROCESSORS_ONLN)
    # A compiler takes 1 to 2 GB.
    memory=$(awk '/^MemAvailable/ {print int($2 / 2000000)}' /proc/meminfo \
        2>/dev/null || true)
    memory=${memory:-$cores}
    [ "$memory" -ge 1 ] || memory=1
    echo $((cores < memory ? cores : memory))
}

install_openmmlab() {
    local duration='about 4 minutes on two cores'
    local force_cuda=0
    if [ "$KIND" = cuda ]; then
        force_cuda=1
        duration='10 to 30 minutes with the CUDA ops'
    fi
    # Without -g0, Python's own flags make the build half as long again.
    export CFLAGS=-g0 CXXFLAGS=-g0 MMCV_WITH_OPS=1 FORCE_CUDA=$force_cuda
    export MAX_JOBS=${MAX_JOBS:-$(compile_jobs)}
    say "[3/4] mmcv's compiled ops ($KIND) and the OpenMMLab packages, $duration"
    pip_install --no-build-isolation -r "$REQUIREMENTS/mm.txt" ||
        fail_with_log "the OpenMMLab packages could not be installed."
    if mmcv_works; then
        return
    fi
    # pip's cache tells builds for another torch, or without CUDA, not apart.
    say "      The mmcv that pip had at hand is for another torch or device;" \
        "building it anew, $duration"
    pip_install --no-build-isolation --no-cache-dir --force-reinstall \
        --no-deps "mmcv==$(pinned_version mmcv mm.txt)" ||
        fail_with_log 'mmcv could not be built.'
    mmcv_works || fail_with_log "mmcv was built, but its ops do not load."
}

install_project() {
    say '[4/4] Test tools and Mask-JEPA itself, some seconds'
    pip_install -r "$REQUIREMENTS/tests.txt" ||
        fail_with_log 'the test tools could not be installed.'
    pip_install --no-deps -r "$REQUIREMENTS/mim.txt" ||
        fail_with_log 'mim could not be installed.'
    # Apart from the rest: mmpretrain does not bear transformers beside it.
    pip_install --no-deps --upgrade --target "$VENV/frameworks" \
        -r "$REQUIREMENTS/frameworks.txt" ||
        fail_with_log 'transformers and timm could not be installed.'
    pip_install --no-deps --no-build-isolation --editable "$ROOT" ||
        fail_with_log 'Mask-JEPA could not be installed.'
    run_with_heartbeat "$VENV_PYTHON" -c \
        'import cv2, mmcv.ops, mmdet, mmpretrain, mmseg.models' ||
        fail_with_log 'the installed packages cannot be imported.'
}

# --------------------------------------------------------------- idempotence

fingerprint() {  # KIND
    cat "$REQUIREMENTS"/*.txt | cksum
    printf 'torch %s\npython %s\nops %s\nrepository %s\n' \
        "$TORCH" "$PYTHON_VERSION" "$1" "$ROOT"
}

is_up_to_date() {
    [ -f "$STAMP" ] && [ "$(python_version "$VENV_PYTHON")" = \
        "$PYTHON_VERSION" ] || return 1
    local stamp
    stamp=$(cat "$STAMP")
    # Ops with CUDA also serve a machine without a GPU (a login node, say).
    if [ -z "${FORCE_CUDA:-}" ] && [ "$stamp" = "$(fingerprint cuda)" ]; then
        KIND=cuda
        KIND_WARNING=
    else
        choose_kind || return 1
        [ "$stamp" = "$(fingerprint "$KIND")" ] || return 1
    fi
    mmcv_works
}

prepare_place() {
    mkdir -p "$VENV" 2>/dev/null ||
        fail "$VENV cannot be made: name another place with MASK_JEPA_VENV."
    if [ -n "$(ls -A "$VENV")" ] && [ ! -e "$VENV/pyvenv.cfg" ] &&
        [ ! -e "$LOG" ]; then
        fail "$VENV holds other files: name an empty place with MASK_JEPA_VENV."
    fi
    # Two runs at a time would install over each other.
    exec 9<"$VENV"
    if command -v flock >/dev/null && ! flock -n 9; then
        say "Waiting for another set-up of $VENV to end."
        flock 9 || true
    fi
    touch "$LOG"
}

report() {
    [ -z "$KIND_WARNING" ] || printf 'Note: %s\n' "$KIND_WARNING"
    say "Ready ($1): torch $TORCH, mmcv ops for $KIND. Activate with:" \
        ". $VENV/bin/activate"
}

main() {
    read_arguments "$@"
    choose_python
    check_same_python
    prepare_place
    if is_up_to_date; then
        report 'nothing to do'
        return
    fi
    check_venv_module
    check_headers
    check_compiler
    rm -f "$STAMP"
    : >"$LOG"
    [ -z "$TORCH_IS_CHOSEN" ] || echo "$TORCH" >"$CHOSEN_TORCH"
    make_venv
    forget_half_installed
    install_torch
    choose_kind ||
        fail_with_log "torch $TORCH cannot be asked for a GPU: remove $VENV and" \
            "run this again."
    install_openmmlab
    install_project
    fingerprint "$KIND" >"$STAMP"
    report "$((SECONDS / 60)) min $((SECONDS % 60)) s"
}

main "$@"
