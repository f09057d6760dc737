"""What is wrong with the data of a training: each kind is found, named with its place, and costs only itself."""

import json
import os
import socket

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.damaged_images import KINDS, can_be_read, photo, write_damaged
from ymir_exc import dataset_convert as convert
from ymir_exc.dataset_convert import image_header
from ymir_exc.dataset_convert.image_header import ImageProblem, read_image_header
from ymir_exc.dataset_convert.image_size import any_image_size
from ymir_exc.errors import ResultError
from ymir_exc.preflight import PREFLIGHT_FILE, PreflightRow, preflight_file, read_preflight

GOOD = '0, 10, 20, 29, 39'


@pytest.fixture
def find(task):
    """Converts a data set; gives the findings as (split, file, line, kind, done), and the boxes of both sets."""

    def run(train, val=(), **options):
        task.write_index('train', train)
        task.write_index('val', val)
        found = []
        report = convert.convert_dataset_to_coco(on_finding=lambda *finding: found.append(finding), **options)
        rows = [(split, os.path.basename(one.path), one.line, one.reason, one.done) for split, one in found]
        boxes = {}
        for split, part in report.splits.items():
            content = json.loads(open(part.ann_file).read())
            names = {image['id']: os.path.basename(image['file_name']) for image in content['images']}
            boxes[split] = [
                (names[item['image_id']], item['category_id'], *item['bbox']) for item in content['annotations']
            ]
        wanted = [row for row in rows if row[3] != 'class without a box']
        return wanted, boxes, report

    return run


@pytest.mark.parametrize(
    'line, kind, done, bbox',
    [
        ('0, 1, 2, x, 4', 'invalid annotation line', 'box skipped', None),
        ('0, 1, 2, 3', 'invalid annotation line', 'box skipped', None),
        ('0, nan, 2, 3, 4', 'invalid annotation line', 'box skipped', None),
        ('0, 1, 2, inf, 4, -1.0, 0.0', 'invalid annotation line', 'box skipped', None),
        ('0, 1, 2, 1e999, 4, -1.0, 0.0', 'invalid annotation line', 'box skipped', None),
        ('nonsense', 'invalid annotation line', 'box skipped', None),
        ('3, 1, 2, 30, 40, -1.0, 0.0', 'unknown class', 'box skipped', None),
        ('-1, 1, 2, 30, 40', 'unknown class', 'box skipped', None),
        ('0.5, 1, 2, 30, 40', 'unknown class', 'box skipped', None),
        ('0, 30, 2, 3, 40', 'inverted box', 'box skipped', None),
        ('0, 30, 2, 29, 40', 'box without area', 'box skipped', None),
        ('0, 300, 2, 330, 40', 'box outside the image', 'box skipped', None),
        ('0, 99.5, 10, 120, 20', 'box thinner than one pixel within the image', 'box skipped', None),
        ('0, 90, 2, 330, 40', 'box partly outside the image', 'box clipped', (90, 2, 10, 39)),
        ('0, 1, 2, 30, 40, nan, 0', 'invalid optional value', 'value ignored', (1, 2, 30, 39)),
        ('0, 1, 2, 30, 40, -1.0, inf', 'invalid optional value', 'value ignored', (1, 2, 30, 39)),
        ('0, 5, 5, 5, 7', 'tiny box', 'kept', (5, 5, 1, 3)),
        ('0, 5, 5, 90, 7', 'narrow box', 'kept', (5, 5, 86, 3)),
    ],
)
def test_lines_of_an_annotation(task, find, line, kind, done, bbox):
    """The other lines of the file stay, before and after it."""
    rows, boxes, _ = find([task.add_image('a.jpg', f'{GOOD}\n{line}\n1, 5, 5, 9, 9, -1.0, 0.0\n')])
    assert rows == [('train', 'a.txt', '2', kind, done)]
    first, *others, last = boxes['train']
    assert (first, last) == (('a.jpg', 1, 10, 20, 20, 20), ('a.jpg', 2, 5, 5, 5, 5))
    assert [other[2:] for other in others] == ([bbox] if bbox else [])


def test_every_bad_line_is_listed(task, find):
    lines = '\n'.join(['0, 1, 2', '9, 1, 2, 3, 4', GOOD, '0, 9, 9, 3, 3'] * 50)
    rows, boxes, report = find(
        [task.add_image(f'{name}.jpg', lines, size=(100 + number, 80)) for number, name in enumerate('abc')]
    )
    assert len(rows) == 450 and len(boxes['train']) == 150
    assert [row[2] for row in rows if row[1] == 'b.txt' and row[3] == 'unknown class'] == [
        str(k) for k in range(2, 201, 4)
    ]
    assert report.splits['train'].dropped_boxes.by_reason == {
        'invalid annotation line': 150,
        'unknown class': 150,
        'inverted box': 150,
    }


def make_special(path, kind):
    """Make what is no regular file at a path."""
    path.unlink(missing_ok=True)
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'folder':
        path.mkdir()
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    else:
        place = os.getcwd()
        os.chdir(path.parent)  # names of sockets are short
        with socket.socket(socket.AF_UNIX) as stream:
            stream.bind(path.name)
        os.chdir(place)


@pytest.mark.parametrize('kind', ['pipe', 'folder', 'device', 'socket'])
def test_what_is_no_regular_file_is_not_waited_for(task, find, kind):
    lines = [task.add_image(f'{name}.jpg', GOOD, size=(100 + number, 80)) for number, name in enumerate('abc')]
    make_special(task.assets / 'b.jpg', kind)
    make_special(task.annotations / 'c.txt', kind)
    rows, boxes, _ = find(lines)
    assert rows == [
        ('train', 'b.jpg', '', 'not a regular file', 'image skipped'),
        ('train', 'c.jpg', '', 'unreadable annotation', 'image skipped'),
    ]
    assert [box[0] for box in boxes['train']] == ['a.jpg']


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {'exif': exif}


def test_images(task, find):
    lines = {
        name: task.add_image(f'{name}.jpg', GOOD) for name in ('whole', 'cut', 'empty', 'text', 'turned', 'behind')
    }
    lines['cut_png'] = task.add_image('cut_png.png', GOOD)
    lines['gone'] = f'{task.assets}/gone.jpg\t{task.annotations}/whole.txt'
    pixels = Image.fromarray(photo(100, 80))
    for name, options in (('whole', {}), ('cut', {}), ('turned', turned(6)), ('behind', {'quality': 60})):
        pixels.save(task.assets / f'{name}.jpg', **options)
    pixels.save(task.assets / 'cut_png.png')
    for name, data in (('cut.jpg', lambda data: data[:-300]), ('cut_png.png', lambda data: data[:-40])):
        (task.assets / name).write_bytes(data((task.assets / name).read_bytes()))
    (task.assets / 'empty.jpg').write_bytes(b'')
    (task.assets / 'text.jpg').write_text('no image')
    with open(task.assets / 'behind.jpg', 'ab') as stream:
        stream.write(b'what a phone adds' * 100)
    rows, boxes, report = find(lines.values(), decode=0)
    assert rows == [
        ('train', 'cut.jpg', '', 'truncated image', 'image skipped'),
        ('train', 'empty.jpg', '', 'empty image file', 'image skipped'),
        ('train', 'text.jpg', '', 'unreadable image', 'image skipped'),
        ('train', 'turned.jpg', '', 'image turned by EXIF', 'kept'),
        ('train', 'cut_png.png', '', 'truncated image', 'image skipped'),
        ('train', 'gone.jpg', '', 'missing image', 'image skipped'),
    ]
    assert [box[0] for box in boxes['train']] == ['whole.jpg', 'turned.jpg', 'behind.jpg']
    assert list(zip(report.images['train'].widths, report.images['train'].heights)) == [(100, 80), (80, 100), (100, 80)]


def test_images_that_memory_cannot_hold(task, find):
    lines = [task.add_image('a.jpg', GOOD), task.add_image('b.png', GOOD, size=(101, 100))]
    rows, boxes, report = find(lines, max_pixels=10_000)
    assert rows == [('train', 'b.png', '', 'image too large', 'image skipped')]
    assert 'at most 1048576 a side and 10000 in all, for which there is memory' in str(
        report.splits['train'].skipped_images.examples[0]
    )


def test_headers_of_odd_and_damaged_images(tmp_path):
    """Sizes are those that OpenCV loads; what ends too early is told apart from what OpenCV loads all the same."""
    found = {}
    with any_image_size():
        for name in write_damaged(tmp_path):
            path = tmp_path / name
            try:
                header = read_image_header(str(path))
            except ImageProblem as error:
                found[name] = error.kind
                assert not can_be_read(path), name
            else:
                if can_be_read(path):
                    loaded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
                    assert header[:2] == loaded.shape[1::-1], name
    cut = [name for name in KINDS if name.startswith('cut_') and not can_be_read(tmp_path / name)]
    # A TIFF, a JPEG 2000 and a WebP with a wrong length do not say at their ends that they are whole.
    late = {name for name in cut if name not in found}
    assert late <= {'cut_end.tif', 'cut_half.tif', 'cut_half.jp2'}
    assert {found[name] for name in cut if name.endswith(('.jpg', '.png')) and 'header' not in name} == {
        'truncated image'
    }
    assert found['pipe.jpg'] == found['device.jpg'] == found['folder.jpg'] == 'not a regular file'
    assert found['dangling.jpg'] == 'missing image' and found['empty.jpg'] == 'empty image file'
    assert found['huge.png'] == 'image too large' and found['page.jpg'] == 'unreadable image'


@pytest.mark.parametrize(
    'segment', [b'', b'\xff\xfe\x00\x10' + b'c' * 14, b'\xff\xe2\xff\xff' + b'\xff\xc0' * 32766 + b'x' * 1]
)
@pytest.mark.parametrize('orientation', range(1, 9))
def test_headers_of_jpegs_are_read_without_pillow(tmp_path, monkeypatch, segment, orientation):
    Image.fromarray(photo(60, 40)).save(tmp_path / 'a.jpg', **turned(orientation))
    data = (tmp_path / 'a.jpg').read_bytes()
    end = 2 + 2 + int.from_bytes(data[4:6], 'big')  # of the EXIF data
    (tmp_path / 'a.jpg').write_bytes(data[:end] + segment + data[end:])
    monkeypatch.setattr(image_header, 'image_size', lambda path: pytest.fail('Pillow was asked'))
    header = read_image_header(str(tmp_path / 'a.jpg'))
    assert header[:3] == ((40, 60) if orientation > 4 else (60, 40)) + (orientation,)


def test_images_that_occur_twice(task, find):
    for number, name in enumerate(('a', 'b', 'copy', 'like', 'dark', 'dark_too')):
        task.add_image(f'{name}.png', GOOD)
        place = task.assets / f'{name}.png'
        if 'dark' in name:
            Image.new('RGB', (100, 80), (number, number, number)).save(place)
        else:
            pixels = cv2.GaussianBlur(photo(100, 80), (0, 0), 3)
            Image.fromarray(pixels[:, ::-1] if name == 'b' else pixels).save(place)
    (task.assets / 'copy.png').write_bytes((task.assets / 'a.png').read_bytes())
    with Image.open(task.assets / 'a.png') as image:
        image.resize((90, 72)).save(task.assets / 'like.png')
    lines = {
        name: f'{task.assets}/{name}.png\t{task.annotations}/{name}.txt'
        for name in ('a', 'b', 'copy', 'like', 'dark', 'dark_too')
    }
    rows, boxes, report = find(
        [lines['a'], lines['dark'], lines['copy'], lines['a']],
        [lines['b'], lines['like'], lines['a'], lines['dark_too']],
    )
    assert rows == [
        ('train', 'copy.png', '', 'same image twice', 'kept'),
        ('train', 'a.png', '', 'same image twice', 'kept'),
        ('val', 'a.png', '', 'validation image in training set', 'kept'),
        ('val', 'like.png', '', 'validation image near-identical to training image', 'kept'),
    ]
    assert len(boxes['train']) == len(boxes['val']) == 4
    assert f'the other is {task.assets}/a.png' in str(report.splits['val'].remarks.examples[-1])


def test_of_many_images_a_part_is_compared(task, find):
    lines = [task.add_image(f'{number}.png', GOOD) for number in range(6)]
    pixels = photo(100, 80)
    for number in range(6):
        pixels[0, 0] = number
        Image.fromarray(pixels).save(task.assets / f'{number}.png')
    assert [row[1:4] for row in find(lines, decode=3 * 50_000)[0]] == [
        ('2.png', '', 'near-identical images'),
        ('4.png', '', 'near-identical images'),
    ]
    assert len(find(lines)[0]) == 5 and find(lines, decode=0)[0] == []


def test_classes_without_a_box(task):
    task.write_index('train', [task.add_image('a.jpg', GOOD)])
    task.write_index('val', [])
    remarks = convert.convert_dataset_to_coco().splits['train'].remarks
    assert [str(one) for one in remarks.examples] == ['class without a box (dog)', 'class without a box (bird)']


def test_a_validation_set_without_a_usable_image_is_an_empty_one(task, find):
    rows, boxes, report = find([task.add_image('a.jpg', GOOD)], [task.add_image('b.jpg', None)])
    assert rows == [('val', 'b.jpg', '', 'missing annotation', 'image skipped')]
    assert (report.splits['val'].num_listed, report.splits['val'].num_images, boxes['val']) == (1, 0, [])


def test_a_finding_that_looks_like_a_formula_is_text_to_spreadsheets(tmp_path):
    row = PreflightRow('training', '@a.jpg', '12', 'unknown class', '=HYPERLINK("x")', 'box skipped')
    with preflight_file(str(tmp_path)) as write:
        write(row)
    assert (tmp_path / PREFLIGHT_FILE).read_text().splitlines()[1].split(',')[1::3] == [
        "'@a.jpg",
        '"\'=HYPERLINK(""x"")"',
    ]
    assert list(read_preflight(str(tmp_path))) == [row]


def test_the_table_of_findings(tmp_path):
    rows = [
        PreflightRow('training', '/in/a, "b"\udcff.jpg', '', 'unreadable image', 'two\nlines', 'image skipped'),
        PreflightRow('validation', '/in/图.txt', '12', 'inverted box', 'x 1 to 0', 'box skipped'),
    ]
    with preflight_file(str(tmp_path)) as write:
        write(rows[0]._replace(path='/' + 'x' * 200_000, detail='a\0b'))
    (found,) = read_preflight(str(tmp_path))
    assert len(found.path) < 11_000 and found.path.startswith('/xxx') and found.detail == 'a\\0b'
    (tmp_path / PREFLIGHT_FILE).unlink()
    assert list(read_preflight(str(tmp_path))) == []
    with preflight_file(str(tmp_path)) as write:
        for row in rows:
            write(row)
    assert list(read_preflight(str(tmp_path))) == [rows[0]._replace(detail='two lines'), rows[1]]
    with pytest.raises(ZeroDivisionError), preflight_file(str(tmp_path)) as write:
        write(rows[0])
        raise ZeroDivisionError
    assert len(list(read_preflight(str(tmp_path)))) == 2


@pytest.mark.parametrize(
    'content, words',
    [
        ('kind,detail\n', 'the first line must be set,file,line,kind,detail,done'),
        ('set,file,line,kind,detail,done\na,b\n', 'line 2 is not that of a finding'),
        ('set,file,line,kind,detail,done\ntest,a,1,b,c,kept\n', 'line 2 is not that of a finding'),
        ('set,file,line,kind,detail,done\n"training\n', 'cannot be read'),
    ],
)
def test_a_table_that_is_no_table(tmp_path, content, words):
    (tmp_path / PREFLIGHT_FILE).write_text(content)
    with pytest.raises(ResultError, match=words):
        list(read_preflight(str(tmp_path)))
