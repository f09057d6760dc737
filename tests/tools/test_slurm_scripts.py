"""slurm_train.sh and slurm_test.sh hand over what they should, seen through a stand-in for srun."""

import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


@pytest.fixture
def run(tmp_path):
    """Runs a script where `srun` prints its arguments one per line and fails with 7."""
    stand_in = tmp_path / 'srun'
    stand_in.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\necho "PYTHONPATH=$PYTHONPATH"\nexit 7\n')
    stand_in.chmod(0o755)

    def start(script, *args, **variables):
        environment = {key: value for key, value in os.environ.items() if key not in ('PYTHON', 'PYTHONPATH')}
        environment.update(variables, PATH=f'{tmp_path}:{environment["PATH"]}')
        done = subprocess.run(
            ['bash', str(TOOLS / script), *args], env=environment, capture_output=True, text=True, timeout=30
        )
        return done.returncode, done.stdout.splitlines(), done.stderr

    return start


def test_train(run):
    code, lines, _ = run('slurm_train.sh', 'gpu', 'my job', 'a config.py', 'work dir', '--cfg-options', 'a="b c"')
    assert code == 7
    assert lines == [
        '-p',
        'gpu',
        '--job-name=my job',
        '--gres=gpu:8',
        '--ntasks=8',
        '--ntasks-per-node=8',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        'python3',
        '-u',
        str(TOOLS / 'train.py'),
        'a config.py',
        '--work-dir=work dir',
        '--cfg-options',
        'a="b c"',
        '--launcher=slurm',
        f'PYTHONPATH={TOOLS.parent}',
    ]


def test_test_with_every_variable(run):
    _, lines, _ = run(
        'slurm_test.sh',
        'gpu',
        'job',
        'config.py',
        'model.pth',
        '--out',
        'a.pkl',
        GPUS='16',
        GPUS_PER_NODE='4',
        CPUS_PER_TASK='2',
        SRUN_ARGS='--quotatype=auto -x bad',
        PYTHON='python',
        PYTHONPATH='/there',
    )
    assert lines == [
        '-p',
        'gpu',
        '--job-name=job',
        '--gres=gpu:4',
        '--ntasks=16',
        '--ntasks-per-node=4',
        '--cpus-per-task=2',
        '--kill-on-bad-exit=1',
        '--quotatype=auto',
        '-x',
        'bad',
        'python',
        '-u',
        str(TOOLS / 'test.py'),
        'config.py',
        'model.pth',
        '--out',
        'a.pkl',
        '--launcher=slurm',
        f'PYTHONPATH={TOOLS.parent}:/there',
    ]


def test_fewer_gpus_than_a_node_has(run):
    _, lines, _ = run('slurm_train.sh', 'gpu', 'job', 'config.py', 'work', GPUS='2')
    assert lines[3:6] == ['--gres=gpu:2', '--ntasks=2', '--ntasks-per-node=2']


@pytest.mark.parametrize('script', ['slurm_train.sh', 'slurm_test.sh'])
def test_too_few_arguments(run, script):
    code, lines, error = run(script, 'gpu', 'job', 'config.py')
    assert code == 2 and not lines and 'Usage' in error
