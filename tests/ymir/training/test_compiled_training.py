"""Trainings with `compile: true`, as the platform starts them: with a compiler, without one, in several processes."""

import re
import shutil
import sys

import pytest

from tests.ymir.log_lines import noise
from tmi.checkpoint_io import load_checkpoint

from .platform import TINY, check_result, run_start, tiny_task

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(2000)]

TIMEOUT = 1800  # a compiler of C++ takes seconds for each kernel

SMALL = TINY['cfg_options']
HAS_COMPILER = any(map(shutil.which, ('g++', 'clang++')))
COMPILED = re.compile(r'compile: the network was compiled in \d+ s\.')
WITHOUT = re.compile(r'compile: the network cannot be compiled, the training goes on without \((.+)\)\.')


def train(folder, python='', broken='', processes=1, **edits):
    """Run a training of the tiny family.

    Args:
        folder: Of its files.
        python: That runs start.py.
        broken: Ranks of processes that have no compiler.
        processes: That train together.
        **edits: Of the parameters.

    Returns:
        Its task, and its log.
    """
    edits = {'model_name': 'grid', 'cfg_options': '', 'num_train': 8, 'num_val': 2, **edits}
    task = tiny_task(folder, **edits)
    compiler, cache = folder / 'c++', folder / 'cache'
    compiler.write_text(f'#!/bin/sh\ncase "{broken}" in *"${{RANK:-0}}"*) exit 1;; esac\nexec c++ "$@"\n')
    compiler.chmod(0o755)
    cache.mkdir()
    done = run_start(
        task,
        folder,
        python,
        TIMEOUT,
        CXX=str(compiler),
        TORCHINDUCTOR_CACHE_DIR=str(cache),
        TMI_FAMILIES='tests.tiny_family.family:GridFamily',
        YMIR_CPU_PROCESSES=str(processes),
    )
    assert done.returncode == 0, done.stdout
    return task, done.stdout


def weights(task):
    """The weights after the last epoch."""
    models = task.out_dir / 'models'
    return load_checkpoint(models / check_result(task)['model_stages']['last']['files'][0])['state_dict']


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    """The weights of a training without."""
    return weights(train(tmp_path_factory.mktemp('plain'))[0])


def difference(found, expected):
    """The largest difference of weights, as a share of the largest value of their tensor."""
    return max(
        float((value.float() - expected[name].float()).abs().max() / expected[name].float().abs().max().clamp(min=1e-3))
        for name, value in found.items()
    )


def check_log(log, is_compiled):
    assert bool(COMPILED.search(log)) == is_compiled and bool(WITHOUT.search(log)) != is_compiled, log
    assert 'recompile_limit' not in log


def test_a_compiled_training_learns_what_one_without_learns(tmp_path, plain):
    task, log = train(tmp_path, sys.executable, compile=True)
    check_log(log, HAS_COMPILER)
    assert difference(weights(task), plain) < 0.01


def test_a_training_without_a_compiler_says_so_and_goes_on(tmp_path, plain):
    task, log = train(tmp_path, sys.executable, compile=True, broken='0')
    check_log(log, False)
    assert difference(weights(task), plain) == 0


@pytest.mark.parametrize('broken', ['', '1', '01'], ids=['all have one', 'one has none', 'none has one'])
def test_processes_agree_on_the_compiler(tmp_path, broken):
    task, log = train(tmp_path, sys.executable, compile=True, broken=broken, processes=2)
    check_log(log, HAS_COMPILER and not broken)
    check_result(task)


def test_a_network_of_yolov8_is_compiled(tmp_path):
    task, log = train(tmp_path, sys.executable, compile=True, model_name='yolov8_n', cfg_options=SMALL)
    check_log(log, HAS_COMPILER)
    assert noise(log) == []
    check_result(task)
