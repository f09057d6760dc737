"""Readers of the annotation formats that the platform exports (contract sections c.4 to c.7)."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from .ark import ArkReader
from .coco import CocoReader
from .objects import AnnotationReader, LabelledObject
from .voc import VocReader

__all__ = [
    'AnnotationReader',
    'ArkReader',
    'CocoReader',
    'LabelledObject',
    'VocReader',
    'annotation_format',
    'make_reader',
]

_READERS = {'ark': ArkReader, 'voc': VocReader, 'coco': CocoReader}
_FORMATS = {'ark': 'ark', 'det-ark': 'ark', 'voc': 'voc', 'det-voc': 'voc', 'coco': 'coco', 'seg-coco': 'coco'}
_SUFFIXES = {'.txt': 'ark', '.xml': 'voc', '.json': 'coco'}


def annotation_format(export_format: Any, annotation_path: str = '') -> str:
    """Find the format of the annotations.

    Args:
        export_format: the hyper-parameter, ``<annotation>:<asset>`` in any case. Absent or empty, the platform writes
            voc or, before protocol 1.1.0, ark; then the ending of the file says which.
        annotation_path: one annotation file of the set.

    Returns:
        ``'ark'``, ``'voc'`` or ``'coco'``.

    Raises:
        ConfigError: another format.
    """
    word = str(export_format or '').partition(':')[0].strip().lower()
    if not word:
        suffix = annotation_path[annotation_path.rfind('.') :].lower()
        return _SUFFIXES.get(suffix, 'voc')
    if word not in _FORMATS:
        raise ConfigError(
            f'export_format in config.yaml is {export_format!r}, which gives no boxes; allowed: ark:raw, '
            'voc:raw, coco:raw'
        )
    return _FORMATS[word]


def make_reader(name: str, class_names: list[str]) -> AnnotationReader:
    """Make the reader of a format.

    Args:
        name: what :func:`annotation_format` gives.
        class_names: of config.yaml, in the order of the class index.
    """
    return _READERS[name](class_names)
