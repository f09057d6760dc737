"""What Slurm and Kubernetes start on each node, seen through stand-ins for their programs."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tmi.training.nodes import Nodes

ROOT = Path(__file__).resolve().parents[2]
# Starts its command on each of three nodes.
SRUN = """#!/bin/bash
[[ $1 == --kill-on-bad-exit=0 ]] || exit 9
shift
for SLURM_NODEID in 0 1 2; do export SLURM_NODEID; "$@" || exit 1; done
"""
SHOW = '#!/bin/bash\nenv -0 > "$FOUND/env.$NODE_RANK"\necho "$@" > "$FOUND/args.$NODE_RANK"\n'


def program(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


def found_nodes(folder, count):
    """The environment of what was started on each node."""
    for rank in range(count):
        yield dict(one.split('=', 1) for one in (folder / f'env.{rank}').read_text().split('\0') if one)


def test_slurm_starts_the_executor_on_each_node(tmp_path):
    program(tmp_path / 'srun', SRUN)
    program(tmp_path / 'scontrol', '#!/bin/bash\n[[ "$*" == "show hostnames n[4-6]" ]] && printf "n4\\nn5\\nn6\\n"\n')
    show = program(tmp_path / 'show', SHOW)
    task = tmp_path / 'task'
    task.mkdir()
    environ = dict(
        os.environ,
        PATH=f'{tmp_path}:{os.environ["PATH"]}',
        SLURM_JOB_NUM_NODES='3',
        SLURM_JOB_NODELIST='n[4-6]',
        SLURM_JOB_ID='123456',
        SLURM_SUBMIT_DIR=str(ROOT),
        FOUND=str(tmp_path),
        EXECUTOR=f'{show} a b',
    )
    script = str(ROOT / 'deploy' / 'slurm_train.sbatch')
    subprocess.run(['bash', script, str(task)], env=environ, check=True, timeout=60)
    for rank, variables in enumerate(found_nodes(tmp_path, 3)):
        assert Nodes.of(variables) == Nodes(3, rank, 'n4', 20000 + 2 * 3456)
        assert variables['DEFAULT_ENV_FILE_PATH'] == f'{task}/in/env.yaml'
        assert (tmp_path / f'args.{rank}').read_text() == 'a b\n'
    usage = subprocess.run(['bash', script], env=environ, capture_output=True, text=True, timeout=60)
    assert usage.returncode == 2 and 'TASK' in usage.stderr


@pytest.mark.parametrize('has_pet', [True, False])
def test_kubernetes_starts_the_executor_on_each_node(tmp_path, has_pet):
    job = yaml.safe_load((ROOT / 'deploy' / 'kubernetes_pytorchjob.yaml').read_text())
    assert (job['apiVersion'], job['kind']) == ('kubeflow.org/v1', 'PyTorchJob')
    replicas = job['spec']['pytorchReplicaSpecs']
    count = sum(one['replicas'] for one in replicas.values())
    assert count == 2
    show = program(tmp_path / 'start.sh', SHOW)
    for rank, kind in enumerate(['Master', 'Worker']):
        (container,) = replicas[kind]['template']['spec']['containers']
        assert container['name'] == 'pytorch'
        assert {one['mountPath'] for one in container['volumeMounts']} == {'/in', '/out', '/dev/shm'}
        *shell, text = container['command']
        assert '/usr/bin/start.sh' in text
        # As the operator sets them, an old one without those that begin with PET_.
        variables = dict(MASTER_ADDR='job-master-0', MASTER_PORT='23456', RANK=str(rank), WORLD_SIZE='2')
        if has_pet:
            variables.update(
                PET_NNODES='2', PET_NODE_RANK=str(rank), PET_MASTER_ADDR='job-master-0', PET_MASTER_PORT='23456',
                PET_NPROC_PER_NODE='8', WORLD_SIZE='16',
            )  # fmt: skip
        environ = {'PATH': os.environ['PATH'], 'FOUND': str(tmp_path), **variables}
        subprocess.run([*shell, text.replace('/usr/bin/start.sh', str(show))], env=environ, check=True, timeout=60)
    for rank, variables in enumerate(found_nodes(tmp_path, 2)):
        assert Nodes.of(variables) == Nodes(2, rank, 'job-master-0', 23456)
        assert 'RANK' not in variables and not any(name.startswith('PET_') for name in variables)
