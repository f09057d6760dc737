"""As this folder is a package, pytest puts the repository root on the path, so helpers import as ``tests.<folder>``."""

import gc
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.warm_python import leave_configs_unformatted


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files that train or infer first, so that processes that share the tests end together."""
    long = {item.path for item in items if item.get_closest_marker('integration')}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Leave what was imported and collected to no later search for garbage: each data set asks for one."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give the tests of the demos, which share a training, to one process; all others file by file."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return 'tests/demo' if nodeid.startswith('tests/demo/') else super()._split_scope(nodeid)

    return Scheduling(config, log) if config.getoption('dist') == 'loadfile' else None


@pytest.fixture(scope='session', autouse=True)
def unformatted_configs() -> Callable:
    """Tests that write configs read them by a program; gives what would format them."""
    return leave_configs_unformatted()


@pytest.fixture(autouse=True)
def own_log_level() -> None:
    """No test sees the level that a task in another test has set."""
    for package in ('tmi', 'ymir', 'pie'):
        logging.getLogger(package).setLevel(logging.NOTSET)


@pytest.fixture
def formatted_configs(unformatted_configs: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs have the text that users see."""
    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', unformatted_configs)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter and write, as the platform makes `out`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)
