"""What every test of the executor starts from."""

import pytest

from ymir.errors import MEMORY_ADVICE_VARIABLE


@pytest.fixture(autouse=True)
def no_task_before(monkeypatch):
    """A prediction of an earlier test in this process says for whom its advice on memory is; no test is to depend on it."""
    monkeypatch.delenv(MEMORY_ADVICE_VARIABLE, raising=False)
