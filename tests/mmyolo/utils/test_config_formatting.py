"""The text of a config is mmengine's, formatted once until it changes."""

import copy
import pickle

import pytest
from mmengine.config import Config
from yapf.yapflib import yapf_api

from mmyolo.utils.config_formatting import FormattedOnce

TEXT = "model = dict(type='A', widths=[1, 2], scale=(64, 64), names={'a b': None})\nwork_dir = 'somewhere'\n"


@pytest.fixture
def formatted(formatted_configs, monkeypatch):
    """The texts that are formatted."""
    texts, format_code = [], yapf_api.FormatCode

    def record(text, *args, **kwargs):
        texts.append(text)
        return format_code(text, *args, **kwargs)

    monkeypatch.setattr(yapf_api, 'FormatCode', record)
    return texts


def test_the_text_is_formatted_once_and_again_when_it_changes(formatted, tmp_path):
    plain = Config.fromstring(TEXT, '.py')
    expected = plain.pretty_text
    config = FormattedOnce(Config.fromstring(TEXT, '.py'))
    formatted.clear()
    assert config.pretty_text == config.pretty_text == expected
    copied = copy.deepcopy(config)
    copied.dump(tmp_path / 'copy.py')
    assert (tmp_path / 'copy.py').read_text() == copy.copy(config).pretty_text == expected
    assert pickle.loads(pickle.dumps(config)).to_dict() == plain.to_dict()
    assert len(formatted) == 1

    plain.model.widths = copied.model.widths = [3]
    assert copied.pretty_text == plain.pretty_text != expected == config.pretty_text


def test_a_config_that_is_not_to_be_formatted(formatted):
    plain = Config(Config.fromstring(TEXT, '.py').to_dict(), format_python_code=False)
    assert FormattedOnce(plain).pretty_text == plain.pretty_text
    assert formatted == []
