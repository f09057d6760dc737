"""Every exception has a code and a sentence, and the last five lines of the log are ours."""

import json
import os
import pickle
import socket
import subprocess
import sys
import urllib.error

import cv2
import pytest
import torch
import yaml
from PIL import UnidentifiedImageError

from mmyolo.errors import ConfigConflictError, UnreadableImageError
from tmi.errors import (
    MEMORY_ADVICE_VARIABLE,
    DataError,
    GpuError,
    ModelError,
    NotFiniteError,
    TaskError,
    killed_process,
)
from tmi.processes import ERROR_FILE_VARIABLE, ErrorRecord, read_record
from ymir import start
from ymir.errors import as_task_error, code_of, report
from ymir_exc.errors import DatasetError

from .platform import REPOSITORY, environment, read_monitor, tiny_task


@pytest.mark.parametrize(
    'error, code, words',
    [
        (ModelError('a\tb\nc'), 300004, 'a b c'),
        (DatasetError('line 3 of x'), 300002, 'line 3 of x'),
        (torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 20 GiB'), 300103, 'samples_per_gpu'),
        (MemoryError(), 300103, 'main memory'),
        (ValueError('Expected more than 1 value per channel when training, got input size'), 300001, 'img_size'),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 300103, 'main memory'),
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Bus error. It is possible'), 300103, 'shm_size'),
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. '), 300103, 'workers_per_gpu'),
        (RuntimeError('DataLoader worker (pid(s) 7, 8) exited unexpectedly'), 300103, 'workers_per_gpu'),
        (RuntimeError('unable to write to file </torch_1_2_3>: No space left on device (28)'), 300103, 'shm_size'),
        (
            RuntimeError('unable to allocate shared memory(shm) for file </torch_1_2_3>: Success (0)'),
            300103,
            'shm_size',
        ),
        (
            RuntimeError('unable to open shared memory object </torch_1_2> in read-write mode: No space left (28)'),
            300103,
            'shm_size',
        ),
        (
            RuntimeError('unable to resize file </torch_1_2_3> to the right size: Invalid argument (22)'),
            300103,
            'shm_size',
        ),
        (
            RuntimeError(
                'Unexpected bus error encountered in worker. This might be caused by insufficient shared memory'
            ),
            300103,
            'shm_size',
        ),
        (RuntimeError("It is possible that dataloader's workers are out of shared memory."), 300103, 'shm_size'),
        (OSError(28, 'No space left on device', '/dev/shm/x'), 300103, 'shm_size'),
        (
            RuntimeError(
                'unable to open shared memory object </torch_1_2> in read-write mode: Too many open files (24)'
            ),
            300103,
            'nofile',
        ),
        (OSError(24, 'Too many open files'), 300103, 'nofile'),
        (RuntimeError('$ Torch: unable to mmap memory: you tried to mmap 4GB.'), 300103, 'main memory'),
        (RuntimeError('std::bad_alloc'), 300103, 'main memory'),
        (RuntimeError("can't start new thread"), 300103, 'main memory'),
        (
            RuntimeError('[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried'),
            300103,
            'main memory',
        ),
        (
            cv2.error('OpenCV(4.9.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes'),
            300103,
            'main memory',
        ),
        (
            ImportError('libx.so: failed to map segment from shared object: Cannot allocate memory'),
            300103,
            'main memory',
        ),
        (OSError(12, 'Cannot allocate memory'), 300103, 'main memory'),
        (subprocess.CalledProcessError(-9, ['python', 'train.py']), 300103, 'was killed'),
        (subprocess.CalledProcessError(137, ['bash']), 300103, 'was killed'),
        (subprocess.CalledProcessError(-7, ['python']), 300103, 'shm_size'),
        (subprocess.CalledProcessError(-11, ['python']), 160004, 'crashed (SIGSEGV)'),
        (subprocess.CalledProcessError(134, ['bash']), 160004, 'crashed (SIGABRT)'),
        (OSError(36, 'File name too long', 'x' * 300), 300001, 'Correct this path'),
        (ValueError('embedded null byte'), 300001, 'Correct this path'),
        (RuntimeError('No CUDA GPUs are available'), 300102, 'gpu_count'),
        (RuntimeError('CUDA error: device-side assert triggered'), 300101, 'driver'),
        (RuntimeError('cuDNN error: CUDNN_STATUS_NOT_INITIALIZED'), 300101, 'driver'),
        (torch.distributed.DistBackendError('NCCL error in: x'), 300101, 'driver'),
        (FloatingPointError('loss is nan'), 300201, 'learning_rate'),
        (UnidentifiedImageError("cannot identify image file '/in/a.jpg'"), 300003, '/in/a.jpg'),
        (
            UnreadableImageError('3 images of the training set were tried and none can be read: /in/a.jpg (cut)'),
            300003,
            '(cut)',
        ),
        (pickle.UnpicklingError('bad'), 300004, 'weight file'),
        (RuntimeError('Error(s) in loading state_dict for YOLO:'), 300004, 'weight file'),
        (yaml.YAMLError('line 3'), 300001, 'line 3'),
        (ConfigConflictError('num_classes is 2'), 300001, 'num_classes is 2'),
        (urllib.error.URLError('timed out'), 300301, 'downloaded'),
        (socket.gaierror(-3, 'Temporary failure'), 300301, 'downloaded'),
        (OSError(28, 'No space left on device', '/out/x'), 160004, 'No space'),
        (KeyError('who knows'), 160004, "KeyError: 'who knows'"),
        (ZeroDivisionError(), 160004, 'ZeroDivisionError'),
    ],
)
def test_mapping(error, code, words):
    mapped = as_task_error(error)
    assert code_of(mapped) == code
    assert words in mapped.sentence
    assert '\n' not in mapped.sentence and '\t' not in mapped.sentence


def test_full_semaphores_are_shared_memory():
    scope = {}
    exec(
        compile(
            "def f():\n    raise OSError(28, 'No space left on device')", '/lib/multiprocessing/synchronize.py', 'exec'
        ),
        scope,
    )
    with pytest.raises(OSError) as caught:
        scope['f']()
    mapped = as_task_error(caught.value)
    assert code_of(mapped) == 300103 and 'shm_size' in mapped.sentence


def test_advice_for_memory_fits_the_task(monkeypatch):
    assert 'samples_per_gpu' in as_task_error(MemoryError()).sentence
    monkeypatch.setenv(MEMORY_ADVICE_VARIABLE, 'cpu prediction')
    for error in (as_task_error(MemoryError()), killed_process('The process', -9)):
        assert code_of(error) == 300103 and 'img_size' in error.sentence and 'YMIR_CPU_PROCESSES' in error.sentence
        assert 'samples_per_gpu' not in error.sentence and 'workers_per_gpu' not in error.sentence
    assert killed_process('The process', -15) is None and killed_process('The process', 1) is None


def test_a_known_error_is_found_below_others():
    try:
        try:
            raise DataError('the cause')
        except TaskError as error:
            raise RuntimeError('CUDA error: a consequence') from error
    except RuntimeError as error:
        assert as_task_error(error).sentence == 'the cause'


def test_the_words_of_a_loader_worker_are_its_last_line():
    text = (
        'Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n'
        '  File "x.py", line 1, in f\nValueError: image 7 is odd\n'
    )
    assert as_task_error(ValueError(text)).sentence == 'ValueError: image 7 is odd'


def test_the_first_record_wins(tmp_path, monkeypatch, capsys):
    path = tmp_path / 'error.json'
    monkeypatch.setenv(ERROR_FILE_VARIABLE, str(path))
    monkeypatch.setenv('RANK', '0')
    report(NotFiniteError('first'), 'rank 1')
    report(GpuError('second'), 'rank 0')
    record = read_record(str(path))
    assert (code_of(record.to_error()), record.sentence, record.process) == (300201, 'first', 'rank 1')
    assert os.listdir(tmp_path) == ['error.json']


def test_a_record_cut_short_is_no_record(tmp_path):
    path = tmp_path / 'error.json'
    assert read_record(str(path)) is None
    path.write_text(json.dumps({'cause': 'GpuError'})[:5])
    assert read_record(str(path)) is None


def test_the_trace_fits_what_the_platform_reads():
    def deep(level):
        if level:
            deep(level - 1)
        raise ValueError('x')

    try:
        deep(200)
    except ValueError as error:
        assert len(ErrorRecord.of(as_task_error(error), 'p').trace) <= 99


def fail(task, code):
    """Run Python code with the environment of a task, both streams in one."""
    return subprocess.run(
        [sys.executable, '-c', code],
        env=environment(task),
        cwd=REPOSITORY,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_the_outermost_process_speaks_last(tmp_path):
    task = tiny_task(tmp_path, 1, 1)
    code = (
        'from ymir.errors import run_task\nprint("no newline", end="")\n'
        'def main():\n    raise MemoryError\nrun_task("training", main)'
    )
    done = fail(task, code)
    assert done.returncode == 1
    lines = done.stdout.splitlines()[-5:]
    assert lines[0].endswith('---- the task failed ----')
    assert lines[1] == 'code:  300103 RC_EXEC_OOM'
    assert 'main memory' in lines[2] and 'training' in lines[3]
    assert '\x1b' not in done.stdout
    percent, state, code, message = read_monitor(task)
    assert (state, code) == (4, 300103) and 'main memory' in message
    assert 'MemoryError' in task.monitor_file.read_text()


@pytest.mark.parametrize(
    'status, name', [(-15, 'SIGTERM'), (143, 'SIGTERM'), (-2, 'SIGINT'), (130, 'SIGINT'), (1, None)]
)
def test_a_task_that_was_stopped_says_so(status, name):
    failure = subprocess.CalledProcessError(status, ['bash', 'dist_train.sh'])
    error = as_task_error(failure)
    assert code_of(error) == 160004
    assert (start._describe_exit(failure).sentence == error.sentence) == bool(name)
    assert (f'stopped from outside ({name})' in error.sentence) if name else 'dist_train.sh' in error.sentence
