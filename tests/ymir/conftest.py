"""What every test of the executor starts from."""

import pytest

from tmi.errors import MEMORY_ADVICE_VARIABLE, SETTINGS_FILE_VARIABLE
from tmi.setting_names import SETTING_NAMES_VARIABLE


@pytest.fixture(autouse=True)
def no_task_before(monkeypatch):
    """Forget what an earlier test in this process has set: for whom advice on memory is, another platform's words."""
    for name in (MEMORY_ADVICE_VARIABLE, SETTING_NAMES_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def settings_file(monkeypatch):
    """Have messages name the file of this platform, as `prepare_environment` does in each process of a task."""
    monkeypatch.setenv(SETTINGS_FILE_VARIABLE, 'config.yaml')
