#!/usr/bin/env bash
# Tests with one process per GPU: dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]; GPUS=0 is the CPU.
# See _launch.sh.
set -eu
if (($# < 3)); then
    echo "Usage: $0 CONFIG CHECKPOINT GPUS [options of test.py]" >&2
    exit 2
fi
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$tools/_launch.sh"
launch "$3" "$tools/test.py" "$1" "$2" "${@:4}"
