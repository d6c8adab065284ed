#!/usr/bin/env bash
# The C++ compiler of mmcv's build, where tools/setup_env.sh names this in CXX.
# Nearly all the time of mmcv's 77 files (78 of onedl-mmcv) goes into the same headers
# of torch. So the first three stand for all, the longest to compile first, and the
# others compile to nothing. Which go together, and in which order: bezier_align,
# roi_align and roi_align_rotated share names; cos in roi_align_rotated, which is for
# double, stands before headers with one for float; psamask, which defines min and max,
# is last.
set -euo pipefail
export LC_ALL=C
shopt -s extglob

arguments=() source=
for argument; do
    case $argument in
        */csrc/pytorch/?(cpu/)+([!/]).cpp)
            source=$argument
            arguments+=(-x c++ -) ;;
        *) arguments+=("$argument") ;;
    esac
done
[ -n "$source" ] || exec "$MMCV_CXX" "$@"

folder=${source%/csrc/*}/csrc/pytorch
cpu=$folder/cpu
case ${source#"$folder/"} in
    active_rotated_filter.cpp)
        set -- "$folder/pybind.cpp" "$cpu"/roi_align.cpp "$cpu"/[s-z]*.cpp ;;
    assign_score_withk.cpp)
        set -- "$cpu"/ro*_rotated.cpp "$cpu"/rotated_*.cpp \
            "$folder"/!(pybind).cpp ;;
    ball_query.cpp) set -- "$cpu"/[a-p]*.cpp ;;
    *) set -- ;;
esac
exec "$MMCV_CXX" "${arguments[@]}" < <(
    for file; do printf '#include "%s"\n' "$file"; done)
