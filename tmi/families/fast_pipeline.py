"""The pipeline of a training config in its fast form: one transform in place of the public ones that it stands for.

That is FastMosaic, FastImage (the last epochs) or FastCrop (PPYOLOE). The arguments of the public transforms stay as
they are. A pipeline that none of them can stand for is left alone.
"""

import importlib.util
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

logger = logging.getLogger('tmi')

Step = dict[str, Any]

MOSAICS = ('Mosaic', 'Mosaic9')
AFFINES = ('YOLOv5RandomAffine', 'RandomAffine')
RESIZES = ('YOLOv5KeepRatioResize', 'Resize', 'LetterResize')
CROP = ('PPYOLOERandomDistort', 'Expand', 'PPYOLOERandomCrop')
# Without effect on what the fast transforms do, so they may come after them.
MOVABLE = ('RemoveDataElement',)
# Transforms of mmdet of which mmyolo has one that does the same in less time, or leaves it to the device.
FASTER = {f'mmdet.{name}': name for name in ('YOLOXHSVRandomAug', 'RandomFlip', 'PackDetInputs')}
COLOURS = ('YOLOv5HSVRandomAug', 'YOLOXHSVRandomAug')


def has_albumentations() -> bool:
    """Return whether albumentations is installed, without the time that importing it or any data set takes."""
    return importlib.util.find_spec('albumentations') is not None


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
        New configs that begin with a fast transform.

    Raises:
        NotFast: It has none.
    """
    steps = [
        dict(step, type=FASTER.get(step['type'], step['type']))
        for step in pipeline
        if has_albumentations() or _kind(step) != 'Albu'
    ]
    _check_loading(steps)
    kinds = [_kind(step) for step in steps]
    if kinds[2:5] == list(CROP):
        _check_boxes_only(steps[0])
        fast = {'type': 'FastCrop', 'pre_transform': steps[:2]}
        fast.update(zip(('distort', 'expand', 'crop'), steps[2:5]))
        return [fast, *_colour_and_flip(fast, steps[5:])]
    if kinds[2:3] and kinds[2] in (*RESIZES, 'RandomResize'):
        _check_boxes_only(steps[0])
        moving, rest = _moving(steps[2:])
        fast = {'type': 'FastImage', 'pre_transform': _unscaled(steps[:2]), 'steps': moving}
        return [fast, *_colour_and_flip(fast, rest)]
    return _fast_mosaic(steps)


def use_fast_pipelines(pipelines: Sequence[tuple[str, list[Step]]], form: str) -> list[list[Step]]:
    """Choose the form of pipelines, and log in one line what each one's is.

    Args:
        pipelines: When each is used, and its configs as of `fast_pipeline`.
        form: 'fast' or 'public'.

    Returns:
        The pipelines to use.
    """
    used, told = [], []
    for when, pipeline in pipelines:
        try:
            used.append(pipeline if form == 'public' else fast_pipeline(pipeline))
        except NotFast as reason:
            used.append(pipeline)
            message = f'{when} public, not fast: the augmentation of this model has no fast form, since {reason}'
            told.append(message.strip())
        else:
            told.append(f'{when} {form}'.strip())
    logger.info('pipeline: %s', '; '.join(told))
    return used


def _fast_mosaic(steps: list[Step]) -> list[Step]:
    load, mosaics, probs, rest = _head(steps)
    fast: Step = {'type': 'FastMosaic', 'pre_transform': load, 'mosaics': mosaics}
    if probs is not None:
        fast['probs'] = probs
    if all(mosaic[0].get('use_cached') for mosaic in mosaics):
        fast['buffer_images'] = 0  # the mosaic itself keeps images
    later = _take_while(rest, MOVABLE)
    if rest and not rest[0].get('use_cached'):
        if _kind(rest[0]) == 'YOLOv5MixUp':
            fast['mixup'] = _mixup(rest.pop(0), _Head(load, mosaics, probs, []))
        elif _kind(rest[0]) == 'YOLOXMixUp':
            fast['mixup'] = mixup = rest.pop(0)
            if mixup.pop('pre_transform', None) != steps[:2]:
                raise NotFast('the second image of YOLOXMixUp is loaded in another way than the first')
    later += _take_while(rest, MOVABLE)
    return [fast, *later, *_colour_and_flip(fast, rest)]


def _head(steps: list[Step]) -> _Head:
    """Read loading, mosaic and warp."""
    _check_loading(steps)
    load, rest = steps[:2], steps[2:]
    probs = None
    if rest and _kind(rest[0]) == 'RandomChoice':
        choice = rest.pop(0)
        lists, probs = [list(one) for one in choice['transforms']], choice.get('prob')
    else:
        moving, rest = _moving(rest[1:])
        lists = [[*steps[2:3], *(moving or rest[:1])]]  # the check says what follows instead
    return _Head(_unscaled(load), [_check_mosaic(one, load) for one in lists], probs, rest)


def _check_mosaic(steps: list[Step], load: list[Step]) -> list[Step]:
    """Check a mosaic and what follows it, and return them without their `pre_transform`."""
    if not steps or _kind(steps[0]) not in MOSAICS:
        raise NotFast('it has no mosaic')
    name, mosaic = _kind(steps[0]), dict(steps[0])
    moving, rest = _moving(steps[1:])
    if not moving or rest or _kind(moving[0]) in RESIZES:
        following = rest or moving
        raise NotFast(f'{name} is followed by {_kind(following[0]) if following else "nothing"}')
    if _kind(moving[0]) not in AFFINES:
        _check_boxes_only(load[0])
    if mosaic.get('prob', 1.0) < 1:
        raise NotFast(f'{name} is left out at times (prob)')
    if mosaic.pop('pre_transform', None) != load and not mosaic.get('use_cached'):
        raise NotFast(f'the pre_transform of {name} loads further images in another way')
    return [mosaic, *moving]


def _moving(steps: Sequence[Step]) -> tuple[list[Step], list[Step]]:
    """Split off what moves pixels: resizes that a padding may follow, then an affine, or RandomResize and RandomCrop.

    Returns:
        These, and the others.

    Raises:
        NotFast: An argument of them has no fast form.
    """
    rest = list(steps)
    moving = _take_while(rest, RESIZES)
    if moving and not any(_kind(step) == 'LetterResize' for step in moving):
        moving += _take_while(rest[:1], ('Pad',))
        rest = rest[1:] if _kind(moving[-1]) == 'Pad' else rest
    for expected in (AFFINES, ('RandomResize',), ('RandomCrop',)):
        if rest and _kind(rest[0]) in expected:
            moving.append(rest.pop(0))
            if expected == AFFINES:
                break
    for step, following in zip(moving, [*moving[1:], None]):
        kind = _kind(step)
        if kind in RESIZES and not step.get('scale'):
            raise NotFast(f'{kind} has no scale')
        if kind == 'LetterResize' and following is not None and _kind(following) in RESIZES:
            raise NotFast(f'LetterResize is followed by {_kind(following)}')
        if kind == 'Pad' and step.get('padding_mode', 'constant') != 'constant':
            raise NotFast('Pad repeats pixels (padding_mode)')
        if kind == 'RandomResize' and step.get('resize_type', 'Resize') not in ('Resize', 'mmdet.Resize'):
            raise NotFast(f'RandomResize is one by {step["resize_type"]}')
        if kind == 'RandomCrop' and step.get('recompute_bbox'):
            raise NotFast('RandomCrop takes boxes from masks (recompute_bbox)')
    return moving, rest


def _check_loading(steps: list[Step]) -> None:
    if [_kind(step) for step in steps[:2]] != ['LoadAnnotations', 'LoadCachedImage']:
        raise NotFast('it does not begin with LoadAnnotations and LoadCachedImage')


def _check_boxes_only(load: Step) -> None:
    for key in ('with_mask', 'with_seg', 'with_keypoints'):
        if load.get(key):
            raise NotFast(f'there are not only boxes to be moved ({key})')


def _unscaled(load: list[Step]) -> list[Step]:
    return [load[0], dict(load[1], scale_annotations=False)]


def _mixup(step: Step, head: _Head) -> Step:
    """Check that the second image is made like the first, and return the step without its `pre_transform`."""
    mixup = dict(step)
    other = [dict(one) for one in mixup.pop('pre_transform', None) or [] if _kind(one) not in MOVABLE]
    if not other or _head(other) != head:
        raise NotFast('the second image of YOLOv5MixUp is made in another way than the first')
    return mixup


def _colour_and_flip(fast: Step, steps: list[Step]) -> list[Step]:
    """Add colour and flip to a fast transform where they stand next, and return what is left."""
    rest = list(steps)
    if rest and rest[0]['type'] in COLOURS and fast['type'] != 'FastCrop':
        fast['hsv'] = rest.pop(0)
    if rest and rest[0]['type'] == 'RandomFlip':
        fast['flip'] = rest.pop(0)
    return rest


def _take_while(steps: list[Step], kinds: Sequence[str]) -> list[Step]:
    taken = []
    while steps and _kind(steps[0]) in kinds:
        taken.append(steps.pop(0))
    return taken


def _kind(step: Step) -> str:
    """Return the name of a transform without its scope."""
    return step['type'].rsplit('.', 1)[-1]
