"""What a training needs is compared with what there is: warnings, and a stop where it cannot succeed."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from tmi.errors import InsufficientMemoryError, SettingError
from tmi.training import needs
from tmi.training.needs import Resources, available_resources, check_needs, number_of_weights, shortages
from tmi.zoo.models import find_model

MEGABYTE, GIGABYTE = 1024**2, 1024**3
WEIGHTS = 3_200_000  # 12.2 MB
ENOUGH = Resources(GIGABYTE, 10 * GIGABYTE, 64 * GIGABYTE, 24 * GIGABYTE)
BATCH = 8 * 3 * 640 * 640  # 9.4 MB


def training(workers=4, optimizer='SGD', precision='fp16', batch=8):
    loader = {'num_workers': workers, 'batch_size': batch}
    run = Config({'train_dataloader': loader, 'optim_wrapper': {'optimizer': {'type': optimizer}}})
    return SimpleNamespace(run=run, img_size=(640, 640), precision=precision)


def task(processes=1, kept=1, device='cuda'):
    params = SimpleNamespace(max_keep_checkpoints=kept)
    return SimpleNamespace(
        num_processes=processes,
        node_processes=processes,
        nodes=1,
        device=device,
        params=params,
        models_dir=Path('/out/models'),
    )


@pytest.mark.parametrize(
    'changes, of_training, of_task, words, error',
    [
        ({}, {}, {}, None, None),
        ({'shared_memory': 64 * MEGABYTE}, {}, {}, '4 loader workers hand over up to 112 MB', None),
        ({'shared_memory': 64 * MEGABYTE}, {'workers': 0}, {}, None, None),
        ({'shared_memory': 64 * MEGABYTE}, {'workers': 2}, {}, None, None),
        ({'shared_memory': 64 * MEGABYTE}, {'workers': 2}, {'processes': 2}, '4 loader workers', None),
        ({'shared_memory': BATCH - 1}, {'workers': 1}, {}, 'has 9 MB free: set shm_size', InsufficientMemoryError),
        ({'disk': 98 * MEGABYTE}, {}, {}, None, None),
        ({'disk': 97 * MEGABYTE}, {}, {}, r'up to 98 MB to .* \(2 weight files of 12 MB, and twice 37 MB', None),
        ({'disk': 110 * MEGABYTE}, {}, {'kept': 3}, '4 weight files', None),
        ({'disk': 110 * MEGABYTE}, {'optimizer': 'AdamW'}, {}, 'twice 49 MB', None),
        ({'disk': 12 * MEGABYTE}, {}, {}, 'where 12 MB are free: free some', SettingError),
        ({'memory': 3 * GIGABYTE}, {}, {}, r'4.0 GB of main memory \(1 training and 4 loader processes\)', None),
        ({'memory': 3 * GIGABYTE}, {'workers': 0}, {}, None, None),
        ({'memory': 3 * GIGABYTE}, {}, {'device': 'cpu'}, None, None),
        ({'gpu': 1.7 * GIGABYTE}, {}, {}, 'roughly 1.8 GB of GPU memory with 8 images of 640x640', None),
        ({'gpu': 1.7 * GIGABYTE}, {'batch': 4}, {}, None, None),
        ({'gpu': 2 * GIGABYTE}, {'precision': 'fp32'}, {}, 'roughly 2.9 GB', None),
        (dict.fromkeys(Resources._fields), {}, {}, None, None),
    ],
)
def test_shortages(changes, of_training, of_task, words, error):
    found = list(shortages(training(**of_training), task(**of_task), ENOUGH._replace(**changes), WEIGHTS))
    assert len(found) == (words is not None)
    for shortage in found:
        assert re.search(words, shortage.sentence)
        assert shortage.error is error


def test_what_there_is(tmp_path, monkeypatch):
    found = available_resources(tmp_path, 2, lambda number: (5 - number) * GIGABYTE)
    assert found.gpu == 4 * GIGABYTE and all(value > 0 for value in found)
    monkeypatch.setattr(needs, 'SHARED_MEMORY', tmp_path / 'none')
    assert available_resources(tmp_path / 'none', 1)[:2] == (None, None)


def test_weights_are_counted_without_memory_for_them():
    config = Config.fromfile(find_model('yolov8_n').config)
    assert number_of_weights(config) == 3_167_833


def test_a_warning_and_a_stop(monkeypatch, caplog):
    monkeypatch.setattr(needs, 'number_of_weights', lambda run: WEIGHTS)
    seen = ENOUGH._replace(disk=97 * MEGABYTE)
    monkeypatch.setattr(needs, 'available_resources', lambda *arguments: seen)
    with caplog.at_level(logging.WARNING, 'tmi'):
        check_needs(training(), task())
    assert 'The training will write up to 98 MB' in caplog.text
    seen = ENOUGH._replace(disk=1000)
    with pytest.raises(SettingError, match='The training will write up to 98 MB to /out/models'):
        check_needs(training(), task())
