#!/usr/bin/env bash
# Trains under Slurm: slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]. See _slurm.sh.
set -eu
if (($# < 4)); then
    echo "Usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]" >&2
    exit 2
fi
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$tools/_slurm.sh"
launch "$1" "$2" "$tools/train.py" "$3" --work-dir="$4" "${@:5}"
