"""Draws docs/architecture.svg from the table of rooms in docs/architecture.md: `python docs/architecture_svg.py`.

Where a room stands and what is written into it is below; the arrows come from the table, and which rooms are in the
image from ymir/Dockerfile. An arrow that has no way here, and a room that has no place, is an error.
"""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / 'docs/architecture.md'
PICTURE = ROOT / 'docs/architecture.svg'
WIDTH, HEIGHT = 1100, 800
GREY, LINE = '#57606a', 18


class Room(NamedTuple):
    """A box.

    Args:
        x: Left side.
        y: Upper side.
        width: In pixels, as the others.
        height: In pixels.
        fill: Colour.
        stroke: Colour of the border.
        text: Lines below the name.
    """

    x: int
    y: int
    width: int
    height: int
    fill: str
    stroke: str
    text: tuple[str, ...]


BLUE, GREEN, YELLOW, PURPLE = (
    ('#ddf4ff', '#54aeff'),
    ('#dafbe1', '#4ac26b'),
    ('#fff8c5', '#d4a72c'),
    ('#fbefff', '#c297ff'),
)
PINK, PLAIN = ('#ffeff7', '#ff80c8'), ('#f6f8fa', '#afb8c1')
PLACES = {
    'benchmarks': Room(20, 20, 1060, 66, *PLAIN, ()),  # its text is made of the table
    'tools/dataset_converters': Room(32, 150, 226, 68, *PLAIN, ('data sets to COCO',)),
    'tools': Room(32, 232, 226, 68, *PLAIN, ('train, test, export, analyse',)),
    'demo': Room(32, 314, 226, 68, *PLAIN, ('images, videos, feature maps',)),
    'ymir_local': Room(
        320, 140, 220, 104, *PINK, ('YMIR on one machine:', 'command ymir, data sets,', 'check, report, demo')
    ),
    'report_pages': Room(600, 130, 190, 62, *PINK, ('what reports share',)),
    'process_guard': Room(600, 202, 190, 62, *PINK, ('leaves no process behind',)),
    'pie_local': Room(
        850, 140, 230, 104, *PINK, ('PIE-Engine AI on one machine:', 'command pie, S3 server,', 'judge, report, demo')
    ),
    'ymir': Room(320, 330, 220, 86, *YELLOW, ('the executor: /in, /out,', 'a code for each cause')),
    'ymir_exc': Room(600, 330, 190, 86, *YELLOW, ('SDK: each file of the', 'contract read and written')),
    'pie': Room(850, 330, 230, 86, *PURPLE, ('scripts of PIE-Engine AI:', 'parameters, S3, results')),
    'tmi': Room(320, 484, 600, 68, *GREEN, ('families, training, evaluation, inference, mining, labels; no platform',)),
    'mmyolo/tools': Room(90, 484, 160, 104, *BLUE, ('analysis, export,', 'drawing: not', 'while it trains')),
    'vidt': Room(320, 610, 220, 68, *BLUE, ('ViDT, the second family',)),
    'configs': Room(600, 610, 190, 68, *PLAIN, ('one folder per family: data',)),
    'mmyolo': Room(20, 720, 1060, 66, *BLUE, ('the library: models, data sets, transforms, hooks, evaluation',)),
}
# Rooms of which all may import the same: one arrow for all of them begins at their frame.
FRAME = (20, 116, 250, 284)
FRAMED = ('tools/dataset_converters', 'tools', 'demo')
FRAME_NAME = 'command lines'
WAYS = {
    (FRAME_NAME, 'mmyolo/tools'): 'M170 400 V482',
    (FRAME_NAME, 'mmyolo'): 'M50 400 V718',
    ('tools', 'vidt'): 'M258 266 H295 V644 H318',
    ('tools/dataset_converters', 'ymir_local'): 'M258 184 H318',
    ('mmyolo/tools', 'mmyolo'): 'M170 588 V718',
    ('ymir_local', 'report_pages'): 'M540 161 H598',
    ('ymir_local', 'process_guard'): 'M540 222 H598',
    ('ymir_local', 'ymir_exc'): 'M480 244 C480 300 640 270 650 328',
    ('pie_local', 'report_pages'): 'M850 161 H792',
    ('pie_local', 'process_guard'): 'M850 222 H792',
    ('ymir', 'ymir_exc'): 'M540 373 H598',
    ('ymir', 'tmi'): 'M430 416 V482',
    ('pie', 'tmi'): 'M885 416 V482',
    ('pie', 'mmyolo'): 'M1000 416 V718',
    ('tmi', 'vidt'): 'M430 552 V608',
    ('tmi', 'mmyolo'): 'M570 552 V718',
    ('tmi', 'mmyolo/tools'): 'M320 518 H252',
}
STARTED = {
    'M370 244 V328': (378, 'starts it; files', 'in /in and /out'),
    'M965 244 V328': (973, 'starts it; S3', 'and files'),
}


def rooms(document: Path = DOCUMENT) -> dict[str, tuple[str, ...]]:
    """Return the table: room -> rooms that it may import."""
    rows = re.findall(r'^\| `([\w/]+)/` \|.*\| ([^|]*) \|$', document.read_text(encoding='utf-8'), re.MULTILINE)
    return {room: tuple(re.findall(r'`([\w/]+)/`', allowed)) for room, allowed in rows}


def in_the_image() -> set[str]:
    """Return the folders that the image is made of."""
    lines = (ROOT / 'ymir/Dockerfile').read_text(encoding='utf-8').splitlines()
    return {line.split()[1] for line in lines if line.startswith('COPY')}


def arrows(table: dict[str, tuple[str, ...]]) -> set[tuple[str, str]]:
    """Return what is drawn: (from, to); the benchmarks say in words what they may import."""
    shared = set.intersection(*(set(table[room]) for room in FRAMED))
    single = {(room, other) for room, others in table.items() if room != 'benchmarks' for other in others}
    return {one for one in single if one[0] not in FRAMED or one[1] not in shared} | {
        (FRAME_NAME, other) for other in shared
    }


def draw(table: dict[str, tuple[str, ...]]) -> str:
    """Return the picture.

    Args:
        table: Of `rooms`.

    Raises:
        ValueError: A room has no place, or an arrow no way.
    """
    if set(table) != set(PLACES) or arrows(table) != set(WAYS):
        raise ValueError(
            f'The table differs from this file: rooms {sorted(set(table) ^ set(PLACES))}, '
            f'arrows {sorted(arrows(table) ^ set(WAYS))}'
        )
    image = in_the_image()
    others = [room for room in table if room not in (*table['benchmarks'], 'benchmarks')]
    text = {'benchmarks': (f'speed, memory and learning; may import all but {", ".join(others)}',)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="Segoe UI, Helvetica, Arial, sans-serif" role="img">',
        '<title>Rooms of the repository; an arrow leads from a room to one that it may import</title>',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 10 5 0 10z" fill="{GREY}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        '<rect x="{}" y="{}" width="{}" height="{}" rx="12" fill="none" stroke="#afb8c1"/>'.format(*FRAME),
        _note(FRAME[0] + 14, FRAME[1] + 22, FRAME_NAME),
        _note(20, 106, 'solid border: in the image det/mmyolo:tmi; dashed: not in it'),
    ]
    parts += [_box(name, room, text.get(name, room.text), name.split('/')[0] in image) for name, room in PLACES.items()]
    line = f'fill="none" stroke="{GREY}" stroke-width="1.6" marker-end="url(#head)"'
    parts += [f'<path d="{way}" {line}/>' for way in WAYS.values()]
    for way, (x, *lines) in STARTED.items():
        parts += [f'<path d="{way}" {line} stroke-dasharray="5 4"/>']
        parts += [_note(x, 278 + LINE * number, words) for number, words in enumerate(lines)]
    return '\n'.join([*parts, '</svg>', ''])


def _box(name: str, room: Room, text: tuple[str, ...], solid: bool) -> str:
    middle = room.x + room.width / 2
    size = 16 if len(name) < 20 else 15
    dash = '' if solid else ' stroke-dasharray="6 4"'
    lines = [
        f'<rect x="{room.x}" y="{room.y}" width="{room.width}" height="{room.height}" rx="8" fill="{room.fill}" '
        f'stroke="{room.stroke}" stroke-width="1.5"{dash}/>',
        f'<text x="{middle:g}" y="{room.y + 27}" text-anchor="middle" font-size="{size}" font-weight="600" '
        f'fill="#1f2328">{name}/</text>',
    ]
    for number, words in enumerate(text):
        lines.append(
            f'<text x="{middle:g}" y="{room.y + 49 + LINE * number}" text-anchor="middle" font-size="13" '
            f'fill="#424a53">{words}</text>'
        )
    return '\n'.join(lines)


def _note(x: int, y: int, words: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="12.5" fill="{GREY}" font-style="italic">{words}</text>'


if __name__ == '__main__':
    PICTURE.write_text(draw(rooms()), encoding='utf-8')
