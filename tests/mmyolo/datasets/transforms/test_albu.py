import logging

import pytest
from mmdet.registry import TRANSFORMS as MMDET_TRANSFORMS

from mmyolo.datasets.transforms import albu
from mmyolo.registry import TRANSFORMS

CONFIG = {
    'transforms': [{'type': 'Blur', 'p': 0.01}, {'type': 'CLAHE', 'p': 0.01}],
    'bbox_params': {
        'type': 'BboxParams',
        'format': 'pascal_voc',
        'label_fields': ['gt_bboxes_labels', 'gt_ignore_flags'],
    },
    'keymap': {'img': 'image', 'gt_bboxes': 'bboxes'},
}


@pytest.mark.skipif(albu.albumentations is not None, reason='albumentations is installed')
@pytest.mark.parametrize(
    'registry, name', [(TRANSFORMS, 'mmdet.Albu'), (TRANSFORMS, 'Albu'), (MMDET_TRANSFORMS, 'Albu')]
)
def test_public_configs_build_without_albumentations(registry, name):
    transform = registry.build(dict(type=name, **CONFIG))
    results = {'img': object()}
    assert transform(results) is results and results.keys() == {'img'}


def test_says_once_what_is_skipped(monkeypatch):
    told = []
    monkeypatch.setattr(albu, 'print_log', lambda message, logger, level: told.append((level, message)))
    monkeypatch.setattr(albu.SkippedAlbu, '_told', False)
    for _ in range(2):
        albu.SkippedAlbu(**CONFIG)
    assert told == [(logging.INFO, 'albumentations is not installed, so these rare effects are skipped: Blur, CLAHE')]
