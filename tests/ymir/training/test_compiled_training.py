"""Trainings with `compile: true`, as the platform starts them: with a compiler, without one, in several processes."""

import re
import shutil
import sys

import pytest

from tests.ymir.log_lines import noise
from tmi.checkpoint_io import load_checkpoint

from .platform import check_result, run_start, tiny_task

pytestmark = [pytest.mark.integration, pytest.mark.slow]

HAS_COMPILER = any(map(shutil.which, ('g++', 'clang++')))
COMPILED = re.compile(r'compile: the network was compiled in \d+ s\.')
WITHOUT = re.compile(r'compile: the network cannot be compiled, the training goes on without \((.+)\)\.')


def weights(task):
    """The weights after the last epoch."""
    models = task.out_dir / 'models'
    return load_checkpoint(models / check_result(task)['model_stages']['last']['files'][0])['state_dict']


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    """A training without."""
    folder = tmp_path_factory.mktemp('plain')
    task = tiny_task(folder, 8, 2)
    done = run_start(task, folder)
    assert done.returncode == 0, done.stdout
    return weights(task)


def differences(task, expected):
    """How much weights differ, each as a share of its largest value."""
    return [
        float((value.float() - expected[name].float()).abs().max() / expected[name].float().abs().max().clamp(min=1e-3))
        for name, value in weights(task).items()
    ]


def test_a_compiled_training_learns_what_one_without_learns(tmp_path, plain):
    task = tiny_task(tmp_path, 8, 2, compile=True)
    done = run_start(task, tmp_path, sys.executable, TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stdout
    assert bool(COMPILED.search(done.stdout)) == HAS_COMPILER and bool(WITHOUT.search(done.stdout)) != HAS_COMPILER
    assert [line for line in noise(done.stdout) if 'compile: ' not in line] == []
    assert max(differences(task, plain)) < 0.02


def test_a_training_without_a_compiler_says_so_and_goes_on(tmp_path, plain):
    task = tiny_task(tmp_path, 8, 2, compile=True)
    done = run_start(task, tmp_path, sys.executable, CXX='/nonexistent/c++', TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stdout
    assert 'compiler' in WITHOUT.search(done.stdout).group(1)
    assert max(differences(task, plain)) == 0


@pytest.mark.parametrize('broken', [(), ('1',), ('0', '1')], ids=['none', 'one', 'both'])
def test_processes_agree_on_the_compiler(tmp_path, broken):
    """A process whose rank is in `broken` has no compiler."""
    task = tiny_task(tmp_path, 16, 2, max_epochs=1, compile=True)
    wrapper = tmp_path / 'c++'
    wrapper.write_text(f'#!/bin/sh\ncase " {" ".join(broken)} " in *" $RANK "*) exit 1;; esac\nexec c++ "$@"\n')
    wrapper.chmod(0o755)
    done = run_start(
        task,
        tmp_path,
        sys.executable,
        YMIR_CPU_PROCESSES='2',
        CXX=str(wrapper),
        TORCHINDUCTOR_CACHE_DIR=str(tmp_path / 'cache'),
    )
    assert done.returncode == 0, done.stdout
    is_compiled = HAS_COMPILER and not broken
    assert bool(COMPILED.search(done.stdout)) == is_compiled and bool(WITHOUT.search(done.stdout)) != is_compiled
    check_result(task)
