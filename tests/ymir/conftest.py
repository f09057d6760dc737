"""What every test of the executor starts from."""

import pytest

from tmi.errors import MEMORY_ADVICE_VARIABLE


@pytest.fixture(autouse=True)
def no_task_before(monkeypatch):
    """Forget for whom advice on memory is, which a prediction of an earlier test in this process has set."""
    monkeypatch.delenv(MEMORY_ADVICE_VARIABLE, raising=False)
