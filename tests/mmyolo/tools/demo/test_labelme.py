"""labelme files."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.structures import InstanceData

from mmyolo.tools.demo.labelme_utils import LabelmeFormat

INSTANCES = InstanceData(bboxes=torch.tensor([[1.0, 2, 3.5, 4], [0, 0, 9, 8]]), labels=torch.tensor([1, 0]))


def test_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LabelmeFormat(('cat', '狗'))(INSTANCES, {'img_path': 'images/a.jpg', 'ori_shape': (10, 20)}, 'a.json')
    text = Path('a.json').read_text(encoding='utf-8')
    assert '狗' in text and text.startswith('{\n  "version"')
    assert json.loads(text) == {
        'version': '5.1.1',
        'flags': {},
        'imagePath': str(tmp_path / 'images/a.jpg'),
        'imageData': None,
        'imageHeight': 10,
        'imageWidth': 20,
        'shapes': [
            {'label': '狗', 'points': [[1, 2], [3.5, 4]], 'group_id': None, 'shape_type': 'rectangle', 'flags': {}},
            {'label': 'cat', 'points': [[0, 0], [9, 8]], 'group_id': None, 'shape_type': 'rectangle', 'flags': {}},
        ],
    }


@pytest.mark.parametrize('selected, labels', [(None, ['b', 'a']), (['a'], ['a']), ([], [])])
def test_selected_classes(tmp_path, selected, labels):
    LabelmeFormat(['a', 'b'])(INSTANCES, {'img_path': 'a.jpg', 'ori_shape': (10, 20)}, tmp_path / 'a.json', selected)
    assert [shape['label'] for shape in json.loads((tmp_path / 'a.json').read_text())['shapes']] == labels


def test_no_boxes_and_rotated_boxes(tmp_path):
    write, meta = LabelmeFormat(['a']), {'img_path': 'a.jpg', 'ori_shape': (10, 20)}
    write(InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)), meta, tmp_path / 'a.json')
    assert json.loads((tmp_path / 'a.json').read_text())['shapes'] == []
    rotated = InstanceData(bboxes=torch.zeros(1, 5), labels=torch.zeros(1, dtype=torch.long))
    with pytest.raises(ValueError, match=r'horizontal boxes \(n, 4\), got \(1, 5\)'):
        write(rotated, meta, tmp_path / 'b.json')
