"""Mining and inference write the same files, byte for byte, however their work is shared and batched."""

import itertools
import os
import subprocess
from dataclasses import replace

import pytest

from tests.warm_python import warm_python
from tmi.inference.worker import predict_shard
from ymir import ymir_infer, ymir_mining

from .sandbox import PROJECT_ROOT, Task

pytestmark = [pytest.mark.integration, pytest.mark.slow]
FILES = ('infer-result.json', 'result.tsv', 'mining-summary.json', 'skipped-images.tsv')


@pytest.fixture
def run(tmp_path, model_files, images, monkeypatch):
    """Mine and infer in this process; gives the bytes of the files."""

    def run(algorithm: str, processes: int, workers: int, batch_size: int) -> list[bytes]:
        def predict(plan, folder, on_progress):
            assert plan.world_size == processes
            for rank in range(processes):
                predict_shard(replace(plan, workers=workers), folder, rank)

        folder = tmp_path / f'{processes}-{workers}-{batch_size}'
        bad = tmp_path / 'text.jpg'
        bad.write_text('this is text')
        paths = [*images[:9], bad, *images[9:22], images[0]]
        task = Task(
            folder,
            paths,
            model_files,
            ('mining', 'infer'),
            samples_per_gpu=batch_size,
            workers_per_gpu=workers,
            mining_algorithm=algorithm,
        )
        monkeypatch.setattr(os, 'environ', dict(os.environ, YMIR_CPU_PROCESSES=str(processes)))
        monkeypatch.setattr('ymir_exc.settings.DEFAULT_ENV_FILE_PATH', str(task.env_file))
        monkeypatch.setattr('tmi.inference.run._run_processes', predict)
        ymir_mining.main()
        ymir_infer.main()
        return [(task.out / name).read_bytes() for name in FILES]

    return run


@pytest.mark.parametrize('algorithm', ['hybrid', 'cald'])
def test_the_same_files(run, algorithm):
    first, *others = [run(algorithm, *shared) for shared in itertools.product((1, 2, 3), (0, 4), (1, 16))]
    assert b'"score"' in first[0] and first[1].count(b'\n') == 24
    for other in others:
        assert other == first


def test_the_same_files_of_real_processes(tmp_path, images, model_files):
    """With the threads that they have; more cores than processes must not change a digit."""
    found = {}
    for processes in (1, 2, 3):
        task = Task(tmp_path / str(processes), images[:23], model_files, ('mining', 'infer'))
        environ = dict(os.environ, DEFAULT_ENV_FILE_PATH=str(task.env_file), YMIR_CPU_PROCESSES=str(processes))
        environ.pop('OMP_NUM_THREADS', None)
        subprocess.run([warm_python(), 'ymir/start.py'], cwd=PROJECT_ROOT, env=environ, check=True)
        found[processes] = [(task.out / name).read_bytes() for name in FILES[:3]]
    assert b'"score"' in found[1][0]
    assert found[1] == found[2] == found[3]
