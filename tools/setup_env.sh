#!/usr/bin/env bash
# Make the environment: bash tools/setup_env.sh [--torch VERSION] [--stack STACK]
# with OpenMMLab (--stack openmmlab, the default) or its maintained forks (onedl).
# By default in .venv of the repository; MASK_JEPA_VENV names another place, PYTHON
# another Python. FORCE_CUDA=1 or 0 decides for or against mmcv's CUDA ops where the
# choice by itself (a GPU and nvcc are there) does not fit, MAX_JOBS how many files
# are compiled at a time. Downloads and the compiled mmcv stay in uv's cache. A second
# run takes seconds, and keeps torch and stack of the first one unless told otherwise.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${MASK_JEPA_VENV:-$ROOT/.venv}
[ "${VENV#/}" != "$VENV" ] || VENV=$PWD/$VENV
STAMP=$VENV/setup.stamp
VENV_PYTHON=$VENV/bin/python
REQUIREMENTS=$ROOT/requirements
NEWEST_TORCH=2.11.0

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'Set-up stopped: %s\n' "$*" >&2
    exit 1
}

read_arguments() {
    CHOSEN_TORCH=$(cat "$VENV/setup.torch" 2>/dev/null || true)
    STACK=$(cat "$VENV/setup.stack" 2>/dev/null || echo openmmlab)
    while [ $# -gt 0 ]; do
        case $1 in
            --torch | --stack) set -- "$1=${2:-none}" "${@:3}"; continue ;;
            --torch=*) CHOSEN_TORCH=${1#*=} ;;
            --stack=*) STACK=${1#*=} ;;
            -h | --help) sed -n '2,8s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
            *) fail "there is no option $1, only --torch VERSION and --stack STACK." ;;
        esac
        shift
    done
    case $STACK in
        openmmlab) LOCK=$REQUIREMENTS/lock.txt MMCV=mmcv ;;
        onedl) LOCK=$REQUIREMENTS/lock-onedl.txt MMCV=onedl-mmcv ;;
        *) fail "there is no stack '$STACK': choose --stack openmmlab (the" \
            "default) or --stack onedl." ;;
    esac
    TORCH=${CHOSEN_TORCH:-$NEWEST_TORCH}
    case $TORCH in
        "$NEWEST_TORCH") TORCHVISION=0.26.0 ;;
        2.6.0) TORCHVISION=0.21.0 ;;
        *) fail "torch '$TORCH' is not supported: choose --torch" \
            "$NEWEST_TORCH (the default) or --torch 2.6.0." ;;
    esac
}

python_version() {  # PYTHON; nothing where it does not run
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null ||
        true
}

choose_python() {
    local candidate existing seen=
    for candidate in ${PYTHON:-"$VENV_PYTHON" python3.11 python3.10 \
        python3.12 python3}; do
        PYTHON_VERSION=$(python_version "$candidate")
        case $PYTHON_VERSION in 3.10 | 3.11 | 3.12) break ;; esac
        seen="$candidate ${PYTHON_VERSION:+is }${PYTHON_VERSION:-does not run}"
        candidate=
    done
    [ -n "$candidate" ] ||
        fail "Python 3.10, 3.11 or 3.12 is needed, and $seen: install one, or" \
            "name it with PYTHON=/path/to/python3.11."
    # Not a Python of this environment, which may have to be made anew.
    BASE_PYTHON=$("$candidate" -c 'import sys; print(sys._base_executable)')
    existing=$(python_version "$VENV_PYTHON")
    [ "${existing:-$PYTHON_VERSION}" = "$PYTHON_VERSION" ] ||
        fail "$VENV was made with Python $existing, and this is" \
            "$PYTHON_VERSION: remove it, or name another place with" \
            "MASK_JEPA_VENV."
}

missing() {  # WHAT PACKAGE
    fail "mmcv is compiled here, and that needs $1: install it (on Debian and" \
        "Ubuntu: apt-get install $2)."
}

check_prerequisites() {
    local include compiler
    include=$("$BASE_PYTHON" -c \
        'import sysconfig; print(sysconfig.get_paths()["include"])')
    [ -e "$include/Python.h" ] ||
        missing "Python's headers" "python$PYTHON_VERSION-dev"
    for compiler in ${CXX:-} c++ g++ ''; do
        ! "${compiler:-false}" -std=c++17 -fsyntax-only -x c++ - 2>/dev/null \
            <<<'int main() {}' || break
    done
    [ -n "$compiler" ] || missing 'a C++17 compiler' g++
    export MMCV_CXX=$compiler
}

is_ours() {  # not an environment that somebody made beforehand, nor a folder
    [ -e "$VENV/setup.torch" ] || [ -e "$STAMP" ]
}

prepare_place() {
    mkdir -p "$VENV" 2>/dev/null ||
        fail "$VENV cannot be made: name another place with MASK_JEPA_VENV."
    [ -z "$(ls -A "$VENV")" ] || [ -e "$VENV/pyvenv.cfg" ] || is_ours ||
        fail "$VENV holds other files: name an empty place with MASK_JEPA_VENV."
    # Two runs at a time would install over each other.
    exec 9<"$VENV"
    flock -n 9 || {
        say "Waiting for another set-up of $VENV to end."
        flock 9
    }
}

read_pip_settings() {  # uv does not: where packages come from, and how
    local key value
    while IFS='=' read -r key value; do
        value=${value:1:-1}
        value=${value//\\n/ }
        case $key in
            *.index-url) : "${UV_DEFAULT_INDEX:=$value}" ;;
            *.extra-index-url) : "${UV_INDEX:=$value}" ;;
            *.find-links) : "${UV_FIND_LINKS:=${value// /,}}" ;;
            *.trusted-host) : "${UV_INSECURE_HOST:=$value}" ;;
            *.cert) : "${SSL_CERT_FILE:=$value}" ;;
            *.proxy) : "${ALL_PROXY:=$value}" ;;
            *.timeout | *.default-timeout) : "${UV_HTTP_TIMEOUT:=$value}" ;;
            *.no-cache-dir) : "${UV_NO_CACHE:=$value}" ;;
        esac
    done < <("$VENV_PYTHON" -m pip config list)
    # As pip does, the best version of all indexes.
    : "${UV_INDEX_STRATEGY:=unsafe-best-match}"
    export ${!UV_*} SSL_CERT_FILE ALL_PROXY
}

uv_install() {
    # Compiled as pip does: not every environment lets Python write it later.
    "$VENV/bin/uv" pip install --python "$VENV_PYTHON" --compile-bytecode "$@" ||
        fail "uv could not install this: $*."
}

make_venv() {
    say "[1/4] Virtual environment with Python $PYTHON_VERSION in $VENV, some seconds"
    # Half-made by an interrupted run, or its Python is gone, or it is for another
    # torch, whose CUDA libraries share folders with those of this one, or for the
    # other stack, which has the same modules.
    if is_ours && ! { grep -qsx "torch $TORCH" "$STAMP" &&
        [ "${OLD_STACK:-openmmlab}" = "$STACK" ] &&
        "$VENV_PYTHON" -m pip --version >/dev/null 2>&1; }; then
        find "$VENV" -mindepth 1 -maxdepth 1 ! -name setup.torch \
            ! -name setup.stack -exec rm -rf {} +
    fi
    rm -f "$STAMP"
    echo "$CHOSEN_TORCH" >"$VENV/setup.torch"
    echo "$STACK" >"$VENV/setup.stack"
    "$VENV_PYTHON" -m pip --version >/dev/null 2>&1 ||
        "$BASE_PYTHON" -m venv "$VENV" ||
        fail 'the virtual environment could not be made.'
    "$VENV_PYTHON" -m pip install --disable-pip-version-check --quiet \
        --requirement <(sed -n '/^uv==/,/[^\\]$/p' "$LOCK") ||
        fail 'pip could not install uv, which installs the rest.'
    read_pip_settings
}

install_torch() {
    say "[2/4] torch $TORCH and what mmcv's build needs, about 1 minute on a" \
        "fast network (some GB)"
    uv_install --constraint "$LOCK" pip setuptools wheel \
        ninja numpy "torch==$TORCH" "torchvision==$TORCHVISION"
}

choose_kind() {  # of mmcv's ops: cuda where a GPU and its nvcc are, else cpu
    local needed nvcc
    KIND=cpu REMARK=
    # Ops with CUDA also serve a machine without a GPU (a login node, say).
    if [ "${FORCE_CUDA:-}" = 1 ] || [ "${FORCE_CUDA:-}$OLD_KIND" = cuda ]; then
        KIND=cuda
    elif [ "${FORCE_CUDA:-}" != 0 ]; then
        needed=$("$VENV_PYTHON" -c 'import torch
print(torch.cuda.is_available() and torch.version.cuda.split(".")[0] or "")')
        nvcc=$(PATH=${CUDA_HOME:-/usr/local/cuda}/bin:$PATH command -v nvcc || true)
        if [ -z "$needed" ]; then
            ! nvidia-smi -L || REMARK="There is a GPU that this torch does \
not see. If its driver is too old for it, try --torch 2.6.0."
        elif "${nvcc:-nvcc}" --version | grep "release $needed\."; then
            KIND=cuda
        else
            REMARK="There is a GPU, but no nvcc of CUDA $needed: Mask-JEPA \
trains on it, with deformable attention in triton or torch; mmdet's own \
Mask2Former needs the CUDA toolkit $needed, and then this once more."
        fi
    fi
} >/dev/null 2>&1

mmcv_works() {
    # A build without CUDA imports well beside a GPU, and fails in use.
    "$VENV_PYTHON" -c 'import sys
from mmcv.ops import get_compiling_cuda_version
sys.exit(sys.argv[1] == "cuda"
         and get_compiling_cuda_version() == "not available")' "$KIND"
}

install_locked() {
    # The setting does nothing but tell builds of mmcv apart in uv's cache.
    uv_install --no-deps --no-build-isolation \
        --config-settings-package "$MMCV:built-for=torch-$TORCH-$KIND" \
        --requirements "$LOCK" --editable "$ROOT" "$@"
}

install_packages() {
    local duration='about 1 minute on two cores'
    [ "$KIND" = cpu ] || duration='10 to 30 minutes with the CUDA ops'
    say "[3/4] mmcv's compiled ops ($KIND) and the other packages, $duration"
    # A compiler takes 1 to 2 GB.
    MAX_JOBS=${MAX_JOBS:-$(awk -v cores="$(getconf _NPROCESSORS_ONLN)" '
        /^MemAvailable/ {jobs = int($2 / 2000000)}
        END {print jobs < 1 ? 1 : jobs < cores ? jobs : cores}' /proc/meminfo)}
    # Python's own flags without debug symbols, which make the build half as long
    # again.
    export CFLAGS='-g0 -O1 -DNDEBUG' CXX=mmcv_compiler.sh MAX_JOBS MMCV_WITH_OPS=1
    export PATH=$ROOT/tools/misc:$VENV/bin:$PATH
    export FORCE_CUDA=$([ "$KIND" = cpu ]; echo $?)
    # mmcv would compile for any GPU that it sees, toolkit or not.
    [ "$KIND" = cuda ] || export CUDA_VISIBLE_DEVICES=
    # What may be installed is for another torch or device, and what uv has at hand
    # from another machine.
    mmcv_works 2>/dev/null || set -- --reinstall-package="$MMCV"
    install_locked "$@"
    mmcv_works || {
        say "      mmcv's ops do not load; building them anew, $duration"
        install_locked --reinstall-package="$MMCV" --no-cache
        mmcv_works || fail 'mmcv was built, but its ops do not load.'
    }
}

install_frameworks() {
    say '[4/4] What exports are compared with, some seconds'
    # Apart from the rest: mmpretrain does not bear transformers beside it.
    uv_install --no-deps --target "$VENV/frameworks" \
        --requirements "$REQUIREMENTS/frameworks.txt"
    "$VENV_PYTHON" -c 'import cv2, mmdet, mmpretrain, mmseg.models' ||
        fail 'the installed packages cannot be imported.'
}

fingerprint() {
    printf 'torch %s\nstack %s\npython %s\nops %s\nrepository %s\n' \
        "$TORCH" "$STACK" "$PYTHON_VERSION" "$KIND" "$ROOT"
    cat "$REQUIREMENTS"/*.txt | cksum
}

is_up_to_date() {
    [ -e "$STAMP" ] && choose_kind && [ "$(cat "$STAMP")" = "$(fingerprint)" ] &&
        mmcv_works 2>/dev/null
}

report() {
    [ -z "$REMARK" ] || say "Note: $REMARK"
    say "Ready ($1): torch $TORCH, $STACK, mmcv ops for $KIND. Activate with:" \
        ". $VENV/bin/activate"
}

read_arguments "$@"
choose_python
prepare_place
OLD_KIND=$(sed -n 's/^ops //p' "$STAMP" 2>/dev/null || true)
OLD_STACK=$(sed -n 's/^stack //p' "$STAMP" 2>/dev/null || true)
if is_up_to_date; then
    report 'nothing to do'
    exit
fi
check_prerequisites
make_venv
install_torch
choose_kind
install_packages
install_frameworks
fingerprint >"$STAMP"
report "$((SECONDS / 60)) min $((SECONDS % 60)) s"
