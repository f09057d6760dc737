"""Exit statuses and names in words."""

import pytest

from ymir_exc.exit_status import signal_of
from ymir_exc.near_names import near_name


@pytest.mark.parametrize(
    'status, name', [(-9, 'SIGKILL'), (137, 'SIGKILL'), (143, 'SIGTERM'), (0, None), (1, None), (128, None)]
)
def test_signal_of(status, name):
    assert signal_of(status) == name


def test_near_name():
    assert near_name('max_epoch', ['lr', 'max_epochs']) == 'max_epochs'
    assert near_name('max_iter', ['val_interval']) == '' == near_name('lr', [])
