"""Processes of a task that are killed, or fail before they can say why: the cause is found all the same."""

import json
import os
import subprocess
import sys
import tarfile
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from process_guard.guard import processes_with
from tests.processes import is_alive, wait_until
from tmi.checkpoint_io import load_checkpoint
from tmi.errors import TaskError
from tmi.inference.plan import PredictionPlan
from tmi.inference.run import predict
from tmi.processes import ERROR_FILE_VARIABLE, read_record
from tmi.training.options import UserOptions
from ymir import ymir_training
from ymir.errors import as_task_error, code_of
from ymir.ymir_training import blame_options, train
from ymir_local.platform.package import pack

from .platform import REPOSITORY, check_result, environment, read_monitor, run_start, tiny_task

# Python imports this module at its start. It acts when a module is imported that only the process in question needs.
SITE = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        program = ' '.join(sys.orig_argv)
        if name == os.environ['AT'] and os.environ['IN'] in program and os.environ.get('RANK', '0') == os.environ['ON']:
            exec(os.environ['DO'])
sys.meta_path.insert(0, Finder())
"""
KILL = 'os.kill(os.getpid(), signal.SIGKILL)'
ILLEGAL = 'CUDA error: an illegal memory access was encountered'
BUS = 'os.kill(os.getpid(), signal.SIGBUS)'


@pytest.fixture
def plant(tmp_path):
    """Have the child processes do something at an import."""
    before = dict(os.environ)
    (tmp_path / 'site').mkdir()
    (tmp_path / 'site' / 'sitecustomize.py').write_text(SITE)
    error_file = tmp_path / 'error.json'
    os.environ.update(
        {
            'PYTHONPATH': f'{REPOSITORY}{os.pathsep}{tmp_path / "site"}',
            'DEFAULT_ENV_FILE_PATH': str(tmp_path / 'env.yaml'),
            ERROR_FILE_VARIABLE: str(error_file),
        }
    )

    def place(do, program, module, rank='0'):
        os.environ.update(DO=do, IN=program, AT=module, ON=rank)
        return str(error_file)

    yield place
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize(
    'processes, module, do, code, words',
    [
        (1, 'torch', KILL, 300103, 'samples_per_gpu'),
        (1, 'torch', BUS, 300103, 'shm_size'),
        (1, 'torch', 'raise MemoryError', 300103, 'main memory'),
        (1, 'torch', f'raise RuntimeError("{ILLEGAL}")', 300101, 'the health of the node'),
        (1, 'mmdet', 'raise ImportError("No module named spam")', 160004, 'No module named spam'),
        pytest.param(2, 'torch', KILL, 300103, 'The training process 1 was killed', marks=pytest.mark.integration),
    ],
)
def test_a_training_process(tmp_path, plant, processes, module, do, code, words):
    error_file = plant(do, 'train_process.py', module, str(processes - 1))
    task = SimpleNamespace(
        num_processes=processes, node_processes=processes, nodes=1, device='cpu', models_dir=tmp_path
    )
    run = Config({'train_cfg': {}, 'train_dataloader': {'batch_size': 4, 'num_workers': 0}, 'custom_hooks': []})
    with pytest.raises(TaskError) as caught:
        train(run, tmp_path / 'config.py', task, [])
    record = read_record(error_file)
    error = record.to_error() if record else as_task_error(caught.value)
    assert code_of(error) == code and words in error.sentence


@pytest.mark.parametrize(
    'do, code, words',
    [
        (KILL, 300103, 'The predicting process 0 was killed'),
        ('raise MemoryError', 300103, 'MemoryError'),
        (
            'raise ImportError("libx.so: failed to map segment from shared object: Cannot allocate memory")',
            300103,
            'main memory',
        ),
        (f'raise RuntimeError("{ILLEGAL}")', 300101, 'the health of the node'),
        ('raise ImportError("No module named spam")', 160004, 'No module named spam'),
    ],
)
@pytest.mark.parametrize('gpus', [[], [0]])
def test_a_predicting_process(tmp_path, plant, do, code, words, gpus):
    plant(do, 'tmi.inference.worker', 'torch')
    plan = PredictionPlan('index', 1, 'w.pth', None, ['a'], 0.1, 0.6, None, 'auto', 1, gpus, 1, 0, 1)
    with pytest.raises(Exception) as caught:
        list(predict(plan, ['a.jpg'], tmp_path / 'predictions', lambda done: None))
    error = as_task_error(caught.value)
    assert code_of(error) == code and words in error.sentence
    if code == 300103:
        assert 'img_size' in error.sentence
        assert ('samples_per_gpu' in error.sentence) == bool(gpus)


@pytest.mark.parametrize(
    'script, module',
    [('ymir_training.py', 'torch'), ('ymir_mining.py', 'ymir.params'), ('ymir_infer.py', 'ymir.params')],
)
def test_the_script_of_a_task(tmp_path, plant, script, module):
    error_file = plant('raise MemoryError', script, module)
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / 'ymir' / script)], env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 1
    record = read_record(error_file)
    assert code_of(record.to_error()) == 300103 and 'main memory' in record.sentence


# Where each process of a task is when its parent is killed: command line and a module that it imports late.
WAITING = [
    ('ymir/ymir_training.py', 'torch'),
    ('ymir/ymir_mining.py', 'ymir.params'),
    ('ymir/ymir_infer.py', 'ymir.params'),
    ('ymir/train_process.py', 'torch'),
    ('pie/train_process.py', 'torch'),
    ('pie/pixel_process.py', 'pie.pixel_training'),
    ('-m tmi.training.torchrun', 'torch'),
    ('-m tmi.inference.worker x 0', 'torch'),
    ('-m tmi.inference.engines.trial x onnxruntime 1 1', 'onnxruntime'),
]
PARENT = """
import json, os, subprocess, sys, time
for place, words, module in json.loads(sys.argv[1]):
    subprocess.Popen([sys.executable, *words.split()], env={**os.environ, 'AT': module, 'PLACE': place})
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux tells a process of the end of its parent')
def test_no_process_outlives_a_killed_parent(tmp_path, plant):
    wait = "open(os.environ['PLACE'], 'x').write(str(os.getpid())); __import__('time').sleep(600)"
    plant(wait, '', '')
    files = [tmp_path / str(place) for place in range(len(WAITING))]
    children = [(str(file), *one) for file, one in zip(files, WAITING)]
    parent = subprocess.Popen([sys.executable, '-c', PARENT, json.dumps(children)], cwd=REPOSITORY)
    wait_until(lambda: all(file.is_file() and file.read_text() for file in files))
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(is_alive(file.read_text()) for file in files))


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize('processes', ['1', '2'])
def test_no_process_outlives_a_killed_start(tmp_path, processes):
    task = tiny_task(tmp_path, max_epochs=1000)
    variables = environment(task, YMIR_CPU_PROCESSES=processes)
    with open(tmp_path / 'log.txt', 'wb') as log:
        process = subprocess.Popen(
            [sys.executable, REPOSITORY / 'ymir/start.py'], env=variables, stdout=log, stderr=log
        )
    wait_until((task.out_dir / 'models/result.yaml').exists)
    mark = f'DEFAULT_ENV_FILE_PATH={variables["DEFAULT_ENV_FILE_PATH"]}'
    assert len(processes_with(mark)) > 2
    process.kill()
    process.wait()
    wait_until(lambda: not processes_with(mark))


@pytest.mark.slow
@pytest.mark.integration
def test_a_training_that_is_killed_while_it_examines_images_leaves_its_model(tmp_path, plant):
    """The first predicting process kills the process that start.py waits for."""
    plant('os.kill(os.getppid(), signal.SIGKILL); os._exit(1)', 'tmi.inference.worker', 'torch')
    task = tiny_task(tmp_path, max_epochs=1)
    done = run_start(task, tmp_path, sys.executable)
    assert done.returncode == 1
    percent, state, code, message = read_monitor(task)
    assert percent >= 0.97 and (state, code) == (4, 300103) and 'The task was killed' in message
    assert done.stdout.splitlines()[-4] == 'code:  300103 RC_EXEC_OOM' and message in done.stdout
    stages = check_result(task)['model_stages']
    assert stages['best']['files'][0] == 'epoch_1.pth' and load_checkpoint(task.out_dir / 'models/epoch_1.pth')['meta']
    with tarfile.open(pack(task.out_dir, tmp_path / 'model.tar', task.in_dir)) as package:
        assert {'best/epoch_1.pth', 'ymir-info.yaml'} <= set(package.getnames())


@pytest.mark.parametrize(
    'text, percent, error, code',
    [
        ('cfg_options: model.backbone.depth=1', 0.0, TypeError("got an unexpected keyword argument 'depth'"), 300001),
        ('', 0.0, TypeError('ours'), 160004),
        ('cfg_options: a=1', 0.5, TypeError('much later'), 160004),
        ('cfg_options: a=1', 0.0, MemoryError(), 300103),
    ],
)
def test_a_failure_at_the_beginning_is_that_of_the_options(monkeypatch, tmp_path, text, percent, error, code):
    monkeypatch.delenv(ERROR_FILE_VARIABLE, raising=False)
    monkeypatch.setattr(ymir_training, 'read_monitor', lambda: SimpleNamespace(percent=percent))
    with pytest.raises(Exception) as caught, blame_options(UserOptions({}, [], '', text)):
        raise error
    mapped = as_task_error(caught.value)
    assert code_of(mapped) == code
    assert str(error) in mapped.sentence and (code != 300001 or text in mapped.sentence)
