import resource

import pytest

from mmyolo.utils import free_memory
from mmyolo.utils.free_memory import available_memory

MEGABYTE = 1024**2


def write_group(folder, names, limit, used, droppable):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(names, (limit, used, f'cache 1\n{names[3]} {droppable}\n'), strict=False):
        (folder / name).write_text(str(text))


def test_of_this_machine_is_plausible():
    assert 2**20 < available_memory() < 2**50


@pytest.mark.parametrize(
    'names, mount, line', [(free_memory._V2, '', '0::{}'), (free_memory._V1, 'memory', '4:cpu,memory:{}')]
)
def test_the_tightest_group_around_this_process_counts(tmp_path, names, mount, line):
    root, own = tmp_path / mount, tmp_path / 'own'
    write_group(root / 'task/rank', names, 50 * MEGABYTE, 30 * MEGABYTE, 5 * MEGABYTE)
    write_group(root / 'task', names, 40 * MEGABYTE, 32 * MEGABYTE, 4 * MEGABYTE)
    write_group(root, names, 90 * MEGABYTE, 1 * MEGABYTE, 0)
    write_group(root / 'other', names, MEGABYTE, MEGABYTE, 0)
    own.write_text(f'9:pids:/other\n{line.format("/task/rank")}\n')
    assert available_memory(tmp_path, own) == 12 * MEGABYTE
    own.write_text(line.format('/'))
    assert available_memory(tmp_path, own) == 89 * MEGABYTE
    own.write_text(line.format('/path/of/the/host'))  # seen from inside a container
    assert available_memory(tmp_path, own) == 89 * MEGABYTE


def test_no_limit_and_no_group(tmp_path):
    write_group(tmp_path, free_memory._V2, 'max', 1, 0)
    unlimited = available_memory(tmp_path, tmp_path / 'absent')
    assert unlimited == pytest.approx(available_memory(tmp_path / 'absent', tmp_path / 'absent'), rel=0.3)


def test_the_limit_of_addresses_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(resource, 'getrlimit', lambda kind: (2**62, -1) if kind == resource.RLIMIT_AS else (-1, -1))
    assert available_memory() < 2**50
    monkeypatch.setattr(resource, 'getrlimit', lambda kind: (MEGABYTE, -1))
    assert available_memory() == 0
