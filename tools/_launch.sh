# Sourced by dist_train.sh and dist_test.sh: launch PROCESSES SCRIPT [arguments of the script].
#
# 0 processes: a single one on the CPU. 1: a single one, on the GPU where there is one. More: one per GPU, or, where
# there is none or all are hidden by CUDA_VISIBLE_DEVICES=-1, that many on the CPU.
#
# Environment: PYTHON (python3), TORCHRUN (the module torch.distributed.run), and for several machines NNODES (1),
# NODE_RANK (0), MASTER_ADDR (127.0.0.1) and PORT (29500; on a single machine any that is free).
launch() {
    local processes=$1 script=$2
    shift 2
    local python=${PYTHON:-python3} nodes=${NNODES:-1}
    if ! [[ $processes =~ ^[0-9]+$ ]]; then
        echo "The number of processes is '$processes'; it must be 0 for the CPU, or how many GPUs to use" >&2
        exit 2
    fi
    export PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}"
    # exec: signals reach Python, not a shell that waits for it, and the exit code is Python's.
    if ((processes == 0)); then
        CUDA_VISIBLE_DEVICES=-1 exec "$python" "$script" "$@"
    fi
    if ((processes * nodes == 1)); then
        exec "$python" "$script" "$@"
    fi
    local port=${PORT:-29500}
    if [[ -z ${PORT:-} && $nodes == 1 ]]; then
        port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    fi
    exec "$python" -m "${TORCHRUN:-torch.distributed.run}" \
        --nnodes "$nodes" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$processes" \
        --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "$port" \
        "$script" "$@" --launcher pytorch
}
