"""dist_train.sh and dist_test.sh hand over what they should, seen through a stand-in for Python."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
SPACED = 'a.b="two words"'


@pytest.fixture
def python(tmp_path):
    """A `python` that prints its arguments one per line and what it sees; run with -c it is the real one."""
    stand_in = tmp_path / 'my python'
    stand_in.write_text(f"""#!/bin/bash
if [[ $1 == -c ]]; then exec {sys.executable} "$@"; fi
printf '%s\\n' "$@"
echo "CUDA=${{CUDA_VISIBLE_DEVICES-unset}}"
echo "PYTHONPATH=$PYTHONPATH"
exit 7
""")
    stand_in.chmod(0o755)
    return str(stand_in)


def run(script, *args, **variables):
    environment = {key: value for key, value in os.environ.items() if key not in ('CUDA_VISIBLE_DEVICES', 'PYTHONPATH')}
    done = subprocess.run(
        ['bash', str(TOOLS / script), *args],
        env=dict(environment, **variables),
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_zero_is_one_process_without_gpu(python):
    code, lines, _ = run('dist_train.sh', 'my config.py', '0', '--cfg-options', SPACED, PYTHON=python)
    assert code == 7  # the exit code of Python
    assert lines[:4] == [str(TOOLS / 'train.py'), 'my config.py', '--cfg-options', SPACED]
    assert lines[4:] == ['CUDA=-1', f'PYTHONPATH={TOOLS.parent}']


def test_one_is_one_process_that_sees_what_the_caller_sees(python):
    for variables, seen in ({}, 'unset'), ({'CUDA_VISIBLE_DEVICES': '3'}, '3'):
        _, lines, _ = run('dist_train.sh', 'config.py', '1', PYTHON=python, PYTHONPATH='/there', **variables)
        assert lines == [str(TOOLS / 'train.py'), 'config.py', f'CUDA={seen}', f'PYTHONPATH={TOOLS.parent}:/there']


def test_others_may_be_run_instead(python):
    _, lines, _ = run(
        'dist_train.sh', 'config.py', '2', PYTHON=python, TRAIN_SCRIPT='/my/train.py', TORCHRUN='my.torchrun'
    )
    assert lines[:2] == ['-m', 'my.torchrun'] and '/my/train.py' in lines and str(TOOLS / 'train.py') not in lines


def test_more_go_through_torchrun(python):
    code, lines, _ = run('dist_train.sh', 'config.py', '4', '--cfg-options', SPACED, PYTHON=python)
    port = lines.pop(lines.index('--master_port') + 1)
    assert code == 7 and 1024 < int(port) < 65536
    assert lines[:-2] == [
        '-m',
        'torch.distributed.run',
        '--nnodes',
        '1',
        '--node_rank',
        '0',
        '--nproc_per_node',
        '4',
        '--master_addr',
        '127.0.0.1',
        '--master_port',
        str(TOOLS / 'train.py'),
        'config.py',
        '--cfg-options',
        SPACED,
        '--launcher',
        'pytorch',
    ]


def test_machines_are_named_by_variables(python):
    _, lines, _ = run(
        'dist_train.sh', 'config.py', '1', PYTHON=python, NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1'
    )
    assert lines[2:12] == [
        '--nnodes',
        '2',
        '--node_rank',
        '1',
        '--nproc_per_node',
        '1',
        '--master_addr',
        '10.0.0.1',
        '--master_port',
        '29500',
    ]
    _, lines, _ = run('dist_train.sh', 'config.py', '2', PYTHON=python, PORT='1234')
    assert lines[lines.index('--master_port') + 1] == '1234'


def test_test_has_a_checkpoint(python):
    _, lines, _ = run('dist_test.sh', 'config.py', 'model.pth', '0', '--out', 'a b.pkl', PYTHON=python)
    assert lines[:5] == [str(TOOLS / 'test.py'), 'config.py', 'model.pth', '--out', 'a b.pkl']


@pytest.mark.parametrize(
    'args, said',
    [
        (['dist_train.sh', 'config.py'], 'Usage'),
        (['dist_test.sh', 'config.py', 'model.pth'], 'Usage'),
        (['dist_train.sh', 'config.py', '--amp'], "'--amp'; it must be 0"),
        (['dist_train.sh', 'config.py', ''], "''; it must be 0"),
    ],
)
def test_wrong_use_is_said(args, said, python):
    code, lines, error = run(*args, PYTHON=python)
    assert code == 2 and not lines and said in error


def test_a_signal_reaches_python(tmp_path):
    """The shell is replaced, so the process that a caller knows is the one that works."""
    stand_in = tmp_path / 'python'
    stand_in.write_text(f"""#!{sys.executable}
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
print('ready', flush=True)
time.sleep(30)
""")
    stand_in.chmod(0o755)
    started = subprocess.Popen(
        ['bash', str(TOOLS / 'dist_train.sh'), 'config.py', '0'],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHON=str(stand_in)),
    )
    assert started.stdout.readline() == 'ready\n'
    begin = time.monotonic()
    started.send_signal(signal.SIGTERM)
    assert started.wait(10) == 9
    assert time.monotonic() - begin < 5
    started.stdout.close()
