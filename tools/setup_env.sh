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
VENV_PYTHON=$VENV/bin/python
REQUIREMENTS=$ROOT/requirements
NEWEST_TORCH=2.11.0
HEARTBEAT_SECONDS=15
JOB=
HEADERS=

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'Set-up stopped: %s\n' "$*" >&2
    exit 1
}

fail_with_log() {
    printf '\n--- the last lines of %s ---\n%s\n---\n' \
        "$LOG" "$(tail -n 30 "$LOG")" >&2
    fail "$* The whole output is in $LOG."
}

read_arguments() {
    CHOSEN_TORCH=$(cat "$VENV/setup.torch" 2>/dev/null || true)
    case ${1:-} in
        --torch) CHOSEN_TORCH=${2:-none} ;;
        --torch=*) CHOSEN_TORCH=${1#*=} ;;
        -h | --help) sed -n '2,7s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
        ?*) fail "there is no option $1; the only one is --torch VERSION." ;;
    esac
    TORCH=${CHOSEN_TORCH:-$NEWEST_TORCH}
    case $TORCH in
        "$NEWEST_TORCH") TORCHVISION=0.26.0 ;;
        2.5.1) TORCHVISION=0.20.1 ;;
        *) fail "torch '$TORCH' is not supported: choose --torch" \
            "$NEWEST_TORCH (the default) or --torch 2.5.1." ;;
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
    "$BASE_PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "this Python cannot make virtual environments: install its venv" \
            "package (on Debian and Ubuntu: apt-get install" \
            "python$PYTHON_VERSION-venv)."
    include=$("$BASE_PYTHON" -c \
        'import sysconfig; print(sysconfig.get_paths()["include"])')
    [ -e "$include/Python.h" ] ||
        missing "Python's headers" "python$PYTHON_VERSION-dev"
    for compiler in ${CXX:-} c++ g++ ''; do
        ! "${compiler:-false}" -std=c++17 -fsyntax-only -x c++ - 2>/dev/null \
            <<<'int main() {}' || break
    done
    [ -n "$compiler" ] || missing 'a C++17 compiler' g++
    export CXX=$compiler
}

prepare_place() {
    mkdir -p "$VENV" 2>/dev/null ||
        fail "$VENV cannot be made: name another place with MASK_JEPA_VENV."
    [ -z "$(ls -A "$VENV")" ] || [ -e "$VENV/pyvenv.cfg" ] || [ -e "$LOG" ] ||
        fail "$VENV holds other files: name an empty place with MASK_JEPA_VENV."
    # Two runs at a time would install over each other.
    exec 9<"$VENV"
    flock -n 9 || {
        say "Waiting for another set-up of $VENV to end."
        flock 9
    }
    touch "$LOG"
}

clean_up() {
    # The job's whole process group: pip's compilers would go on without it.
    [ -z "$JOB" ] || kill -- "-$JOB" 2>/dev/null || true
    [ -z "$HEADERS" ] || rm -rf "$HEADERS"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

run() {  # COMMAND...; its output goes to the log, a sign of life to the screen
    local begin=$SECONDS elapsed status=0
    printf '\n$ %s\n' "$*" >>"$LOG"
    set -m
    "$@" >>"$LOG" 2>&1 </dev/null &
    JOB=$!
    set +m
    while kill -0 "$JOB" 2>/dev/null; do
        sleep 1
        elapsed=$((SECONDS - begin))
        [ $((elapsed % HEARTBEAT_SECONDS)) -ne 0 ] || [ "$elapsed" -eq 0 ] ||
            printf '      ... %d:%02d\n' $((elapsed / 60)) $((elapsed % 60))
    done
    wait "$JOB" || status=$?
    JOB=
    return "$status"
}

pip_install() {
    run "$VENV_PYTHON" -m pip install --disable-pip-version-check "$@" ||
        fail_with_log "pip could not install this: $*."
}

make_venv() {
    say "[1/4] Virtual environment with Python $PYTHON_VERSION in $VENV, some seconds"
    [ -z "$CHOSEN_TORCH" ] || echo "$CHOSEN_TORCH" >"$VENV/setup.torch"
    local installed
    installed=$(cd "$VENV" && echo lib/python*/site-packages/torch-*.dist-info)
    case $installed in *'*'* | */"torch-$TORCH"[.+]*)
        if "$VENV_PYTHON" -m pip --version >/dev/null 2>&1; then
            # pip takes a package for complete whose installation was killed
            # before its last file, the RECORD.
            find "$VENV"/lib/python*/site-packages -maxdepth 1 -name \
                '*.dist-info' ! -exec test -e '{}/RECORD' \; -exec rm -rf {} +
            return
        fi ;;
    esac
    # Half-made by an interrupted run, or its Python is gone, or it is for another
    # torch, whose CUDA libraries share folders with those of this one.
    find "$VENV" -mindepth 1 -maxdepth 1 ! -name 'setup.*' -exec rm -rf {} +
    run "$BASE_PYTHON" -m venv "$VENV" ||
        fail_with_log 'the virtual environment could not be made.'
}

install_torch() {
    say "[2/4] torch $TORCH and what mmcv's build needs, about 1 minute on a" \
        "fast network (some GB)"
    pip_install --constraint "$REQUIREMENTS/lock.txt" pip setuptools wheel \
        ninja numpy "torch==$TORCH" "torchvision==$TORCHVISION"
    run "$VENV_PYTHON" -c 'import torch, torchvision' ||
        fail_with_log "torch $TORCH was installed but cannot be imported:" \
            "remove $VENV and run this again, or choose another with --torch."
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
not see. If its driver is too old for it, try --torch 2.5.1."
        elif "${nvcc:-nvcc}" --version | grep "release $needed\."; then
            KIND=cuda
        else
            REMARK="There is a GPU, but no nvcc of CUDA $needed: Mask-JEPA \
trains on it, with deformable attention in triton or torch; mmdet's own \
Mask2Former needs the CUDA toolkit $needed, and then this once more."
        fi
    fi
} >>"$LOG" 2>&1

mmcv_works() {
    # A build without CUDA imports well beside a GPU, and fails in use.
    "$VENV_PYTHON" -c 'import sys
from mmcv.ops import get_compiling_cuda_version
sys.exit(sys.argv[1] == "cuda"
         and get_compiling_cuda_version() == "not available")' \
        "$KIND" >>"$LOG" 2>&1
}

# Parsing torch's headers is most of the work for each of some eighty files. g++
# parses as before what it cannot take from here.
precompile_headers() {
    local folders
    case $("$CXX" --version) in *clang*) return ;; esac
    mapfile -t folders < <("$VENV_PYTHON" -c 'import sysconfig
from torch.utils.cpp_extension import include_paths
for folder in [*include_paths(), sysconfig.get_paths()["include"]]:
    print(f"-I{folder}")' 2>>"$LOG")
    HEADERS=$(mktemp -d)
    echo '#include <torch/types.h>' >"$HEADERS/torch.h"
    run "$CXX" $CFLAGS -DTORCH_API_INCLUDE_EXTENSION_H "${folders[@]}" \
        -x c++-header "$HEADERS/torch.h" -o "$HEADERS/torch.h.gch" ||
        return 0
    CFLAGS="$CFLAGS -include $HEADERS/torch.h"
}

install_packages() {
    local mmcv duration='about 2 minutes on two cores'
    mmcv=$(grep '^mmcv==' "$REQUIREMENTS/lock.txt")
    [ "$KIND" = cpu ] || duration='10 to 30 minutes with the CUDA ops'
    say "[3/4] mmcv's compiled ops ($KIND) and the other packages, $duration"
    # Instead of Python's own flags, whose debug symbols make the build half as
    # long again. What the headers need as well, in the same way, is here.
    CFLAGS="-g0 -O1 -std=c++17 -fPIC -D_GLIBCXX_USE_CXX11_ABI=$("$VENV_PYTHON" \
        -c 'import torch; print(int(torch.compiled_with_cxx11_abi()))')"
    # A compiler takes 1 to 2 GB.
    MAX_JOBS=${MAX_JOBS:-$(awk -v cores="$(getconf _NPROCESSORS_ONLN)" '
        /^MemAvailable/ {jobs = int($2 / 2000000)}
        END {print jobs < 1 ? 1 : jobs < cores ? jobs : cores}' /proc/meminfo)}
    export CFLAGS MAX_JOBS MMCV_WITH_OPS=1
    export FORCE_CUDA=$([ "$KIND" = cpu ]; echo $?)
    mmcv_works || "$VENV_PYTHON" -m pip cache list mmcv 2>/dev/null |
        grep mmcv- >/dev/null || precompile_headers
    pip_install --no-deps --no-build-isolation -r "$REQUIREMENTS/lock.txt"
    mmcv_works && return
    # pip's cache tells builds for another torch, or without CUDA, not apart.
    say "      The mmcv that pip had at hand is for another torch or device;" \
        "building it anew, $duration"
    precompile_headers
    pip_install --no-deps --no-build-isolation --no-cache-dir \
        --force-reinstall "$mmcv"
    mmcv_works || fail_with_log 'mmcv was built, but its ops do not load.'
}

install_project() {
    say '[4/4] What exports are compared with, and Mask-JEPA itself, some seconds'
    # Apart from the rest: mmpretrain does not bear transformers beside it.
    pip_install --no-deps --upgrade --target "$VENV/frameworks" \
        -r "$REQUIREMENTS/frameworks.txt"
    pip_install --no-deps --no-build-isolation --editable "$ROOT"
    run "$VENV_PYTHON" -c 'import cv2, mmdet, mmpretrain, mmseg.models' ||
        fail_with_log 'the installed packages cannot be imported.'
}

fingerprint() {
    printf 'torch %s\npython %s\nops %s\nrepository %s\n' \
        "$TORCH" "$PYTHON_VERSION" "$KIND" "$ROOT"
    cat "$REQUIREMENTS"/*.txt | cksum
}

is_up_to_date() {
    [ -e "$STAMP" ] && choose_kind && [ "$(cat "$STAMP")" = "$(fingerprint)" ] &&
        mmcv_works
}

report() {
    [ -z "$REMARK" ] || say "Note: $REMARK"
    say "Ready ($1): torch $TORCH, mmcv ops for $KIND. Activate with:" \
        ". $VENV/bin/activate"
}

read_arguments "$@"
choose_python
prepare_place
OLD_KIND=$(sed -n 's/^ops //p' "$STAMP" 2>/dev/null || true)
if is_up_to_date; then
    report 'nothing to do'
    exit
fi
check_prerequisites
rm -f "$STAMP"
: >"$LOG"
make_venv
install_torch
choose_kind
install_packages
install_project
fingerprint >"$STAMP"
report "$((SECONDS / 60)) min $((SECONDS % 60)) s"
