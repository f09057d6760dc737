"""The decisions of ymir_training.py before anything runs."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tmi.devices import CPU_PROCESSES_VARIABLE, cpu_processes, find_device
from tmi.errors import SettingError, TaskError
from tmi.processes import ERROR_FILE_VARIABLE
from tmi.training.launch import SPINS, Kept, find_resumption, read_kept, training_command
from ymir import ymir_training
from ymir.errors import code_of


@pytest.mark.parametrize(
    'words, options, is_left, result',
    [
        ([], {}, True, (False, [])),
        (['--amp'], {}, True, (False, ['--amp'])),
        (['--resume', '--amp'], {}, True, (True, ['--resume', '--amp'])),
        (['--resume', '--amp'], {}, False, (False, ['--amp'])),
        (['--resume', '/a.pth'], {}, False, (True, ['--resume', '/a.pth'])),
        (['--resume=/a.pth'], {}, False, (True, ['--resume=/a.pth'])),
        (['--resume', 'auto'], {}, True, (True, ['--resume', 'auto'])),
        (['--resume', 'auto', '--amp'], {}, False, (False, ['--amp'])),
        (['--resume=auto'], {}, False, (False, [])),
        ([], {'resume': True}, True, (True, [])),
        ([], {'resume': True}, False, (False, [])),
        ([], {'resume': True, 'load_from': '/a.pth'}, False, (True, [])),
        ([], {'load_from': '/a.pth'}, False, (False, [])),
    ],
)
def test_resuming_needs_something_to_go_on_from(tmp_path, words, options, is_left, result):
    if is_left:
        (tmp_path / 'last_checkpoint').write_text('x')
    assert find_resumption(words, options, tmp_path) == result


def test_the_device_is_what_the_platform_gave(monkeypatch):
    assert find_device(0) == 'cpu'
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    assert find_device(1) == 'cuda'
    with pytest.raises(TaskError, match='given 2 GPUs, torch .* sees 1') as caught:
        find_device(2)
    assert code_of(caught.value) == 300102


@pytest.mark.parametrize('text', ['0', '-1', 'two', '²', '٣', '1.5', '9' * 5000])
def test_the_number_of_cpu_processes(text, monkeypatch):
    for unset in (None, ''):
        monkeypatch.delenv(CPU_PROCESSES_VARIABLE, raising=False)
        if unset is not None:
            monkeypatch.setenv(CPU_PROCESSES_VARIABLE, unset)
        assert cpu_processes(1) == 1 and cpu_processes(8) == 8
    monkeypatch.setenv(CPU_PROCESSES_VARIABLE, '2')
    assert cpu_processes(8) == 2
    monkeypatch.setenv(CPU_PROCESSES_VARIABLE, text)
    with pytest.raises(TaskError, match=CPU_PROCESSES_VARIABLE) as caught:
        cpu_processes(1)
    assert code_of(caught.value) == 300001


@pytest.mark.parametrize(
    'optimizer, meta, found',
    [
        (torch.optim.SGD, {}, Kept('SGD')),
        (torch.optim.AdamW, {'meta': {'samples_per_gpu': 8, 'epoch': 3}}, Kept('AdamW', 8, epochs=3)),
        (torch.optim.SGD, {'meta': {'samples_per_gpu': 0}}, Kept('SGD')),
        (torch.optim.SGD, {'meta': 'unknown'}, Kept('SGD')),
    ],
)
@pytest.mark.parametrize('way', ['last_checkpoint', 'auto', '--resume', '--resume=', 'load_from'])
def test_a_resumed_training_keeps_its_optimizer_and_its_batch(tmp_path, optimizer, meta, found, way):
    file = tmp_path / 'resume.pth'
    state = optimizer([torch.nn.Parameter(torch.zeros(1))], lr=0.1).state_dict()
    torch.save({'state_dict': {}, 'optimizer': state, **meta}, file)
    (tmp_path / 'last_checkpoint').write_text(str(file) if way in ('last_checkpoint', 'auto') else '/missing.pth')
    arguments = {
        'auto': ['--resume', 'auto'],
        '--resume': ['--resume', str(file)],
        '--resume=': ['--amp', f'--resume={file}'],
    }.get(way, ['--resume'])
    options = {'load_from': str(file)} if way == 'load_from' else {}
    assert read_kept(arguments, options, tmp_path) == found
    file.write_bytes(b'broken')
    assert read_kept(arguments, options, tmp_path) == Kept()


@pytest.mark.parametrize('device, own, expected', [('cpu', None, SPINS), ('cpu', '7', '7'), ('cuda', None, None)])
def test_threads_that_wait_leave_their_core(device, own, expected, monkeypatch):
    monkeypatch.delenv('GOMP_SPINCOUNT', raising=False)
    if own:
        monkeypatch.setenv('GOMP_SPINCOUNT', own)
    task = SimpleNamespace(num_processes=1, node_processes=1, nodes=1, device=device, models_dir=Path('/out/models'))
    assert training_command(Path('run.py'), task, Path('train.py'), [])[1].get('GOMP_SPINCOUNT') == expected


@pytest.mark.parametrize(
    'end, cause', [(None, ''), (SystemExit(1), 'UnknownError'), (SettingError('x'), 'SettingError')]
)
def test_other_nodes_learn_how_the_task_ended(monkeypatch, end, cause):
    def run(link):
        if end is not None:
            raise end

    said = {}
    link = contextlib.nullcontext(SimpleNamespace(say=said.update))
    monkeypatch.delenv(ERROR_FILE_VARIABLE, raising=False)
    monkeypatch.setattr(ymir_training.Nodes, 'of', lambda: SimpleNamespace(count=2))
    monkeypatch.setattr(ymir_training, 'NodeLink', lambda nodes: link)
    monkeypatch.setattr(ymir_training, 'run', run)
    with contextlib.nullcontext() if end is None else pytest.raises(type(end)):
        ymir_training.main()
    assert said['ended']['cause'] == cause
