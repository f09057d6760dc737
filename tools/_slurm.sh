# Sourced by slurm_train.sh and slurm_test.sh: launch PARTITION JOB_NAME SCRIPT [arguments of the script].
#
# Environment: GPUS (8), how many in all, one process each; GPUS_PER_NODE (8), lowered to GPUS; CPUS_PER_TASK (5);
# SRUN_ARGS, further options of srun, separated by spaces; PYTHON (python3).
launch() {
    local partition=$1 job=$2 script=$3
    shift 3
    local gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8} further=()
    ((per_node <= gpus)) || per_node=$gpus
    read -r -a further <<< "${SRUN_ARGS:-}" || true
    export PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}"
    # exec: signals reach srun, and the exit code is srun's.
    exec srun -p "$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$gpus" \
        --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
        ${further[@]+"${further[@]}"} \
        "${PYTHON:-python3}" -u "$script" "$@" --launcher=slurm
}
