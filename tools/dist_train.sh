#!/usr/bin/env bash
# Trains with one process per GPU: dist_train.sh CONFIG GPUS [options of train.py]; GPUS=0 is the CPU. See _launch.sh.
# TRAIN_SCRIPT in the environment is run instead of train.py, with the same options.
set -eu
if (($# < 2)); then
    echo "Usage: $0 CONFIG GPUS [options of train.py]" >&2
    exit 2
fi
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$tools/_launch.sh"
launch "$2" "${TRAIN_SCRIPT:-$tools/train.py}" "$1" "${@:3}"
