"""Checkpoints as data, and head weights class by class."""

import argparse
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from tmi.checkpoint_io import adapt_state_dict, class_names_of, load_checkpoint
from tmi.errors import TaskError
from ymir.errors import code_of


class Reduced:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def save(path, **content):
    torch.save(content, path)
    return path


def test_what_mmengine_writes_is_loaded(tmp_path):
    path = save(
        tmp_path / 'a.pth',
        state_dict={'module.w': torch.ones(2)},
        meta={'mAP': np.float64(0.5), 'seed': np.int64(3), 'dataset_meta': {'classes': ('a', 'b')}},
        message_hub={'log_scalars': {'loss': HistoryBuffer([1.0, 2.0], [1, 1])}},
    )
    checkpoint = load_checkpoint(path)
    assert list(checkpoint['state_dict']) == ['w']
    assert class_names_of(checkpoint) == ['a', 'b']
    assert checkpoint['message_hub']['log_scalars']['loss'].current() == 2.0


def test_a_bare_state_dict_is_loaded(tmp_path):
    torch.save({'w': torch.ones(1)}, tmp_path / 'a.pth')
    checkpoint = load_checkpoint(tmp_path / 'a.pth')
    assert checkpoint['state_dict']['w'].item() == 1 and class_names_of(checkpoint) is None


@pytest.mark.parametrize(
    'call', [(print, 'executed'), (eval, '1'), (getattr, HistoryBuffer, '__init__'), (getattr, {}, 'clear')]
)
def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys, call):
    path = save(tmp_path / 'a.pth', state_dict={'w': torch.ones(1)}, meta=Reduced(*call))
    with pytest.raises(TaskError, match='could run code') as caught:
        load_checkpoint(path)
    assert code_of(caught.value) == 300004
    assert 'executed' not in capsys.readouterr().out


@pytest.mark.parametrize('content', [b'', b'garbage', b'PK\x03\x04 half a zip'])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / 'a.pth'
    path.write_bytes(content)
    with pytest.raises(TaskError, match='a.pth') as caught:
        load_checkpoint(path)
    assert code_of(caught.value) == 300004


def test_a_file_without_weights_is_named(tmp_path):
    with pytest.raises(TaskError, match='holds no weights'):
        load_checkpoint(save(tmp_path / 'a.pth', epoch=3))


def rows(values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def test_rows_of_shared_classes_are_copied():
    """One block and no other rows, as in YOLOv8's branch for classes."""
    source = {'cls': rows([10, 11, 12]), 'stem': rows([1, 2])}
    initial = {'cls': rows([-1, -2]), 'stem': rows([0, 0])}
    result = adapt_state_dict(source, initial, {'cls': 1}, ['cat', 'dog', 'Bus'], ['bus', 'tree'])
    assert result.state_dict['cls'][:, 0].tolist() == [12, -2]
    assert result.state_dict['stem'][:, 0].tolist() == [1, 2]
    assert (result.loaded, result.remapped, result.fresh, result.shared_classes) == (['stem'], ['cls'], [], ['bus'])


def test_rows_in_blocks_per_anchor_are_copied():
    """Two anchors of box, objectness (5 rows) and classes, as in YOLOv5."""
    source = {'pred': rows([*range(0, 7), *range(100, 107)])}
    initial = {'pred': rows([-1] * 16)}
    result = adapt_state_dict(source, initial, {'pred': 2}, ['a', 'b'], ['b', 'c', 'a'])
    assert result.state_dict['pred'][:, 0].tolist() == [0, 1, 2, 3, 4, 6, -1, 5, 100, 101, 102, 103, 104, 106, -1, 105]


def test_the_same_number_of_classes_in_another_order_is_mapped_too():
    result = adapt_state_dict({'cls': rows([1, 2])}, {'cls': rows([0, 0])}, {'cls': 1}, ['a', 'b'], ['b', 'a'])
    assert result.state_dict['cls'][:, 0].tolist() == [2, 1]


def test_without_class_names_equal_shapes_are_taken_and_others_start_fresh():
    initial = {'cls': rows([0, 0]), 'stem': rows([0])}
    result = adapt_state_dict({'cls': rows([1, 2]), 'stem': rows([5])}, initial, {'cls': 1}, None, ['a', 'b'])
    assert result.state_dict['cls'][:, 0].tolist() == [1, 2]
    result = adapt_state_dict({'cls': rows([1, 2, 3]), 'stem': rows([5])}, initial, {'cls': 1}, None, ['a', 'b'])
    assert result.fresh == ['cls'] and result.loaded == ['stem']
    assert 'start fresh (cls)' in result.summary()


def test_rows_of_no_class_may_stand_last():
    """As the "no object" of a head that tells by softmax."""
    source = {'cls': rows([10, 11, 12, 99])}
    result = adapt_state_dict(source, {'cls': rows([-1, -2, -3])}, {'cls': 1}, ['a', 'b', 'c'], ['c', 'd'], ('cls',))
    assert result.state_dict['cls'][:, 0].tolist() == [12, -2, 99] and result.remapped == ['cls']


class CfgNode(dict):
    """Pickles as the config of yacs, a dict with attributes."""


CfgNode.__module__ = 'yacs.config'


@pytest.mark.parametrize('zipped', [True, False])
def test_the_layout_of_other_projects_is_loaded(tmp_path, zipped, monkeypatch):
    """Weights under `model`, beside an optimizer, parsed arguments and a config: nothing of it is run."""
    module = ModuleType('yacs.config')
    module.CfgNode = CfgNode
    monkeypatch.setitem(sys.modules, 'yacs', ModuleType('yacs'))
    monkeypatch.setitem(sys.modules, 'yacs.config', module)
    config = CfgNode(MODEL=CfgNode(NAME='swin'))
    config.frozen = True
    content = {
        'model': {'module.w': torch.ones(2)},
        'optimizer': {'param_groups': [{'lr': 0.1}]},
        'args': argparse.Namespace(dataset_file='coco', epochs=50),
        'config': config,
        'epoch': 49,
    }
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    checkpoint = load_checkpoint(tmp_path / 'a.pth')
    assert list(checkpoint['state_dict']) == ['w'] and 'model' not in checkpoint
    assert checkpoint['args'].dataset_file == 'coco' and checkpoint['config']['MODEL'] == {'NAME': 'swin'}


def test_code_beside_weights_of_other_projects_is_not_run(tmp_path, capsys):
    path = save(tmp_path / 'a.pth', model={'w': torch.ones(1)}, args=Reduced(print, 'executed'))
    with pytest.raises(TaskError, match='could run code') as caught:
        load_checkpoint(path)
    assert code_of(caught.value) == 300004
    assert 'executed' not in capsys.readouterr().out
