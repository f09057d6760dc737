"""What every test of the executor starts from."""

import pytest

from tmi.errors import MEMORY_ADVICE_VARIABLE, SETTINGS_FILE_VARIABLE


@pytest.fixture(autouse=True)
def no_task_before(monkeypatch):
    """Forget for whom advice on memory is, which a prediction of an earlier test in this process has set."""
    monkeypatch.delenv(MEMORY_ADVICE_VARIABLE, raising=False)


@pytest.fixture(autouse=True)
def settings_file(monkeypatch):
    """Have messages name the file of this platform, as `prepare_environment` does in each process of a task."""
    monkeypatch.setenv(SETTINGS_FILE_VARIABLE, 'config.yaml')
