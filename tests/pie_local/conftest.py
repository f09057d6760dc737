"""One S3 server for the tests of the platform's part, with a small data set that was drawn."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pie_local.draw import draw_data_set
from pie_local.platform import Platform, ServedData, start_platform
from pie_local.run import STANDIN


@pytest.fixture(scope='session')
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with start_platform(tmp_path_factory.mktemp('s3')) as running:
        yield running


@pytest.fixture(scope='session')
def ships(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('ships')
    draw_data_set(folder, 'detection', 6, 64)
    return folder


@pytest.fixture(scope='session')
def served(platform: Platform, ships: Path) -> ServedData:
    return platform.add_data(ships, 'detection')


@pytest.fixture
def aiutils(platform: Platform, served: ServedData, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The stand-in, imported as scripts do."""
    monkeypatch.syspath_prepend(str(STANDIN))
    for name, value in platform.environment(served.dataset_id).items():
        monkeypatch.setitem(os.environ, name, value)
    forget_modules()  # a test before this one may have imported another
    from aiUtils import aiUtils

    yield aiUtils
    forget_modules()


def forget_modules() -> None:
    """Let the next import of aiUtils look for it again."""
    for name in [name for name in sys.modules if name.split('.')[0] == 'aiUtils']:
        del sys.modules[name]


@pytest.fixture(scope='session')
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    path = tmp_path_factory.mktemp('weights') / 'untrained.th'
    torch.save({'layer.weight': torch.ones(2, 3), 'layer.count': torch.tensor(1)}, path)
    return path
