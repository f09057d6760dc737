"""The decisions of ymir_training.py before anything runs."""
import pytest
import torch

from ymir.errors import TaskError
from ymir.ymir_training import CPU_PROCESSES_VARIABLE, cpu_processes, find_device, find_resumption


@pytest.mark.parametrize('words, options, is_left, result', [
    ([], {}, True, (False, [])),
    (['--amp'], {}, True, (False, ['--amp'])),
    (['--resume', '--amp'], {}, True, (True, ['--resume', '--amp'])),
    (['--resume', '--amp'], {}, False, (False, ['--amp'])),
    (['--resume', '/a.pth'], {}, False, (True, ['--resume', '/a.pth'])),
    (['--resume=/a.pth'], {}, False, (True, ['--resume=/a.pth'])),
    ([], {'resume': True}, True, (True, [])),
    ([], {'resume': True}, False, (False, [])),
    ([], {'resume': True, 'load_from': '/a.pth'}, False, (True, [])),
    ([], {'load_from': '/a.pth'}, False, (False, [])),
])
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
    assert caught.value.code == 300102


@pytest.mark.parametrize('text', ['0', '-1', 'two', ''])
def test_the_number_of_cpu_processes(text, monkeypatch):
    monkeypatch.delenv(CPU_PROCESSES_VARIABLE, raising=False)
    assert cpu_processes() == 1
    monkeypatch.setenv(CPU_PROCESSES_VARIABLE, '2')
    assert cpu_processes() == 2
    monkeypatch.setenv(CPU_PROCESSES_VARIABLE, text)
    with pytest.raises(TaskError, match=CPU_PROCESSES_VARIABLE):
        cpu_processes()
