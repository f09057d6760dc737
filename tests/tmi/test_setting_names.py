"""What the settings of the core are called, where a platform has other words for them or lacks some."""

import pytest

from tmi.setting_names import SETTING_NAMES_VARIABLE, advice, setting_name, write_setting_names

WAYS = ('set {samples_per_gpu|workers_per_gpu|img_size} lower', 'keep nothing ({cache}: off)', 'buy more')


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    monkeypatch.setenv(SETTING_NAMES_VARIABLE, '')


def test_names_of_the_core():
    assert setting_name('img_size') == 'img_size'
    assert advice(*WAYS) == (
        'set samples_per_gpu, workers_per_gpu or img_size lower, keep nothing (cache: off), or buy more'
    )


def test_names_of_a_platform():
    write_setting_names({'samples_per_gpu': 'batch', 'img_size': 'side'})
    assert (setting_name('img_size'), setting_name('cache')) == ('side', '')
    assert advice(*WAYS) == 'set batch or side lower, or buy more'
    assert advice(WAYS[2]) == 'buy more' and advice(WAYS[1]) == '' and advice() == ''
