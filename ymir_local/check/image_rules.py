"""Rules for an image and its manifest (contract sections a.3, b, b.1 and l.1)."""

import os
from collections.abc import Iterator

from ..platform.parameters import FOLDERS
from ..texts import t
from .finding import ERROR, IMAGE, WARNING, Hit, NotApplicable
from .image import MANIFEST, START_SCRIPT, ExecutorImage
from .reading import clip, short

INTERPRETERS = ('bash', 'sh', 'dash', 'zsh', 'python', 'python2', 'python3', 'ipython', 'node', 'R')


@IMAGE.rule('image/engine', 'b', ERROR)
def engine(image: ExecutorImage) -> Iterator[Hit]:
    if image.engine_problem:
        yield Hit('docker', clip(image.engine_problem))


@IMAGE.rule('image/present', 'b', ERROR)
def present(image: ExecutorImage) -> Iterator[Hit]:
    if image.absence:
        yield Hit(image.name, clip(image.absence))


@IMAGE.rule('image/cat', 'b', ERROR)
def cat(image: ExecutorImage) -> Iterator[Hit]:
    if image.settings.get('Entrypoint') and any(image.entry_point_problem):
        raise NotApplicable
    if image.cat_problem:
        yield Hit(MANIFEST, clip(image.cat_problem))


@IMAGE.rule('image/entry-point', 'a.3, b', ERROR)
def entry_point(image: ExecutorImage) -> Iterator[Hit]:
    printed, held = image.entry_point_problem
    if printed or held:
        yield Hit(MANIFEST, t('check.instead of', printed=short(printed), held=short(held)))


@IMAGE.rule('image/command', 'a.3', ERROR)
def command(image: ExecutorImage) -> Iterator[Hit]:
    settings = image.settings
    words = list(settings.get('Cmd') or [])
    alone = words[2].split() if words[:2] == ['/bin/sh', '-c'] and len(words) == 3 else words
    if not words and not settings.get('Entrypoint'):
        yield Hit('CMD', t('check.none'))
    elif len(alone) == 1 and os.path.basename(alone[0]) in INTERPRETERS and not settings.get('Entrypoint'):
        yield Hit('CMD', short(words))


@IMAGE.rule('image/start-script', 'a.3, l', WARNING)
def start_script(image: ExecutorImage) -> Iterator[Hit]:
    image.need_cat()
    answer = image.cat(START_SCRIPT)
    if answer.exit_code != 0:
        yield Hit(START_SCRIPT, clip(answer.stderr))


@IMAGE.rule('image/manifest', 'b.1', WARNING)
def manifest(image: ExecutorImage) -> Iterator[Hit]:
    document = image.manifest
    if document.problem:
        yield Hit(MANIFEST, document.detail)
    elif not isinstance(document.value, dict):
        yield Hit(MANIFEST, short(document.value))


@IMAGE.rule('image/object-type', 'b.1', ERROR)
def object_type(image: ExecutorImage) -> Iterator[Hit]:
    kind = image.object_type
    if isinstance(kind, list) and kind:
        for index, member in enumerate(kind):
            if not isinstance(member, int) or member not in FOLDERS:
                yield Hit(image.manifest.place('object_type', index), short(member))
    elif not isinstance(kind, int):
        yield Hit(image.manifest.place('object_type'), short(kind))


@IMAGE.rule('image/object-type-known', 'b.1', WARNING)
def object_type_known(image: ExecutorImage) -> Iterator[Hit]:
    kind = image.object_type
    if not isinstance(kind, int):
        raise NotApplicable
    if kind not in FOLDERS or isinstance(kind, bool):
        yield Hit(image.manifest.place('object_type'), short(kind))


@IMAGE.rule('image/flags', 'b.1', WARNING)
def flags(image: ExecutorImage) -> Iterator[Hit]:
    values = image.manifest.value if isinstance(image.manifest.value, dict) else {}
    for key in ('enable_livecode', 'is_official'):
        if key in values and not isinstance(values[key], bool):
            yield Hit(image.manifest.place(key), short(values[key]))


@IMAGE.rule('image/templates', 'b.2, l.1', ERROR)
def templates(image: ExecutorImage) -> Iterator[Hit]:
    missing = [template.document for template in image.templates if not template.document.present]
    if len(missing) == len(image.templates):
        names = ', '.join(document.name for document in missing[:3])
        yield Hit(names or '/img-man', missing[0].detail if missing else '[]')
