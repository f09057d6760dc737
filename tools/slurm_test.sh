#!/usr/bin/env bash
# Tests under Slurm: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]. See _slurm.sh.
set -eu
if (($# < 4)); then
    echo "Usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]" >&2
    exit 2
fi
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$tools/_slurm.sh"
launch "$1" "$2" "$tools/test.py" "$3" "$4" "${@:5}"
