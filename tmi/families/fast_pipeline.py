"""The pipeline of a training config in its fast form: FastMosaic in place of the public transforms that it stands for.

The arguments of the public transforms stay as they are. A pipeline that FastMosaic cannot stand for is left alone.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mmyolo.datasets.transforms.albu import albumentations

logger = logging.getLogger('tmi')

Step = dict[str, Any]

MOSAICS = ('Mosaic', 'Mosaic9')
AFFINES = ('YOLOv5RandomAffine', 'RandomAffine')
# Without effect on what FastMosaic does, so they may come after it.
MOVABLE = ('RemoveDataElement',)
FILL = 114  # default of pad_val and border_val


class NotFast(Exception):
    """A pipeline has no fast form; the message says why, as the end of a sentence."""


class _Head(NamedTuple):
    """The beginning of a pipeline, up to and including the warp, and what follows."""

    load: list[Step]
    mosaics: list[list[Step]]
    probs: Sequence[float] | None
    rest: list[Step]


def fast_pipeline(pipeline: Sequence[Step]) -> list[Step]:
    """Write a pipeline in its fast form.

    Args:
        pipeline: Configs of public transforms, images loaded by LoadCachedImage behind LoadAnnotations.

    Returns:
        New configs that begin with FastMosaic.

    Raises:
        NotFast: It has none.
    """
    steps = [dict(step) for step in pipeline if albumentations is not None or _kind(step) != 'Albu']
    load, mosaics, probs, rest = _head(steps)
    fast: Step = {'type': 'FastMosaic', 'pre_transform': load, 'mosaics': mosaics}
    if probs is not None:
        fast['probs'] = probs
    later = _take_while(rest, MOVABLE)
    if rest and _kind(rest[0]) == 'YOLOv5MixUp':
        fast['mixup'] = _mixup(rest.pop(0), _Head(load, mosaics, probs, []))
    later += _take_while(rest, MOVABLE)
    for name, kind in (('hsv', 'YOLOv5HSVRandomAug'), ('flip', 'RandomFlip')):
        if rest and rest[0]['type'] == kind and (name == 'hsv' or 'hsv' in fast):
            fast[name] = rest.pop(0)
    return [fast, *later, *rest]


def use_fast_pipeline(pipeline: list[Step], form: str) -> list[Step]:
    """Choose the form of a pipeline, and log where there is no fast one.

    Args:
        pipeline: As of `fast_pipeline`.
        form: 'fast' or 'public'.

    Returns:
        The pipeline to use.
    """
    if form == 'public':
        return pipeline
    try:
        return fast_pipeline(pipeline)
    except NotFast as reason:
        logger.info('pipeline: public, not fast: the augmentation of this model has no fast form, since %s', reason)
        return pipeline


def _head(steps: list[Step]) -> _Head:
    """Read loading, mosaic and warp."""
    load = steps[:2]
    if [_kind(step) for step in load] != ['LoadAnnotations', 'LoadCachedImage']:
        raise NotFast('it does not begin with LoadAnnotations and LoadCachedImage')
    rest = steps[2:]
    probs = None
    if rest and _kind(rest[0]) == 'RandomChoice':
        choice = rest.pop(0)
        pairs, probs = choice['transforms'], choice.get('prob')
    else:
        pairs, rest = [rest[:2]], rest[2:]
    mosaics = [_pair(list(pair), load) for pair in pairs]
    fills = {
        value
        for mosaic, affine in mosaics
        for value in (mosaic.get('pad_val', FILL), *np.ravel(affine.get('border_val', FILL)).tolist())
    }
    if len(fills) > 1:
        raise NotFast(f'pad_val and border_val of its transforms differ: {sorted(fills)}')
    return _Head([load[0], dict(load[1], scale_annotations=False)], mosaics, probs, rest)


def _pair(pair: list[Step], load: list[Step]) -> list[Step]:
    """Check a mosaic and its warp, and return them without their `pre_transform`."""
    kinds = [_kind(step) for step in pair]
    if not kinds or kinds[0] not in MOSAICS:
        raise NotFast('it has no mosaic')
    if len(kinds) != 2 or kinds[1] not in AFFINES:
        raise NotFast(f'{kinds[0]} is followed by {kinds[1] if len(kinds) > 1 else "nothing"}')
    mosaic, affine = map(dict, pair)
    if mosaic.get('use_cached'):
        raise NotFast(f'{kinds[0]} has a cache of its own (use_cached)')
    if mosaic.get('prob', 1.0) < 1:
        raise NotFast(f'{kinds[0]} is left out at times (prob)')
    if mosaic.pop('pre_transform', None) != load:
        raise NotFast(f'the pre_transform of {kinds[0]} loads further images in another way')
    return [mosaic, affine]


def _mixup(step: Step, head: _Head) -> Step:
    """Check that the second image is made like the first, and return the step without its `pre_transform`."""
    mixup = dict(step)
    other = [dict(one) for one in mixup.pop('pre_transform', None) or [] if _kind(one) not in MOVABLE]
    if mixup.get('use_cached') or not other or _head(other) != head:
        raise NotFast('the second image of YOLOv5MixUp is made in another way than the first')
    return mixup


def _take_while(steps: list[Step], kinds: Sequence[str]) -> list[Step]:
    taken = []
    while steps and _kind(steps[0]) in kinds:
        taken.append(steps.pop(0))
    return taken


def _kind(step: Step) -> str:
    """Return the name of a transform without its scope."""
    return step['type'].rsplit('.', 1)[-1]
