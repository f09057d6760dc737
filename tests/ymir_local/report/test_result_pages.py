import base64
import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.ymir_local.report import runs
from tests.ymir_local.report.reader import report
from ymir_local.platform.labels import Dataset, LabelledBox, LabelledImage
from ymir_local.report import pictures
from ymir_local.report.pictures import ABSENT, BROKEN, LEFT_OUT, LINE, Album, Mark, _cut
from ymir_local.texts import Text


def test_perfect_predictions(inference, tmp_path, images, class_names):
    page = report(inference, tmp_path, labels=runs.dataset(images, class_names))
    count = [sum(box.class_index == k for image in images for box in image.boxes) for k in range(3)]
    rows = page.table('class')
    assert rows[0] == [
        'class',
        'objects',
        'found',
        'precision',
        'recall',
        'AP50',
        'AP50:95',
        'best threshold',
        'F1 there',
    ]
    for row, name, num in zip(rows[1:], class_names, count):
        assert row == (
            [name, str(num), str(num), *['1.000'] * 4, '0.900', '1.000'] if num else [name, '0', '0', *['–'] * 6]
        )
    assert '<dd id="map">1.000</dd>' in page.html
    assert 'There are no mistakes' in page.html
    assert 'Images with most mistakes' not in page.html and 'id="gaps"' not in page.html


def test_numbers_by_hand(tmp_path, images):
    """Two images: one box found, one missed, one invented."""
    names = ['a', 'b']
    labelled = [
        LabelledImage(images[0].path, 64, 64, (LabelledBox(0, 0, 0, 20, 20), LabelledBox(1, 30, 30, 20, 20))),
        LabelledImage(images[1].path, 64, 64, (LabelledBox(0, 5, 5, 20, 20),)),
    ]
    task = runs.candidates(tmp_path / 'infer', [image.path for image in labelled], names)
    runs.write_detections(task, [[('a', 0.8, 0, 0, 20, 20), ('b', 0.4, 0, 40, 8, 8)], [('a', 0.6, 40, 40, 10, 10)]])
    runs.finish(task)
    page = report(task, tmp_path, labels=runs.dataset(labelled, names))
    # F1: at 0.8 2*1/(1+3) = 0.5, lower scores add only mistakes
    assert page.table('class')[1:] == [
        ['a', '2', '1', '1.000', '0.500', '0.505', '0.505', '0.800', '0.667'],
        ['b', '1', '0', '–', '0.000', '0.000', '0.000', '–', '0.000'],
    ]
    assert '<dd id="map50">0.252</dd>' in page.html
    assert re.search(r'Missed</span>.*?class="count">2<', page.html, re.S)


def test_labels_are_found_by_source_by_hash_and_by_name(inference, tmp_path, images, class_names):
    copies = []
    for k, image in enumerate(images):
        copies.append(LabelledImage(tmp_path / f'copy{k}.jpg', image.width, image.height, image.boxes))
        copies[-1].path.write_bytes(image.path.read_bytes())
    assert '<dd id="map">1.000</dd>' in report(inference, tmp_path, labels=runs.dataset(copies, class_names)).html
    (inference.in_dir / 'candidate-src-index.tsv').unlink()
    page = report(
        inference,
        tmp_path,
        labels=Dataset(
            ('star', 'TARGET ', 'crate', 'bird'),
            {
                'all': tuple(
                    LabelledImage(
                        i.path,
                        i.width,
                        i.height,
                        tuple(LabelledBox((box.class_index + 1) % 3, box.x, box.y, box.w, box.h) for box in i.boxes),
                    )
                    for i in images
                )
            },
        ),
    )
    assert '<dd id="map">1.000</dd>' in page.html  # classes are joined by name


def test_annotations_of_the_run_serve_as_labels(inference, tmp_path, images):
    for asset, image in zip((inference.in_dir / 'candidate-index.tsv').read_text().split(), images):
        (inference.in_dir / 'annotations' / f'{Path(asset).stem}.txt').write_text(
            ''.join(
                f'{b.class_index}, {b.x}, {b.y}, {b.x + b.w - 1}, {b.y + b.h - 1}, -1.0, 0.0\n' for b in image.boxes
            )
        )
    assert '<dd id="map">1.000</dd>' in report(inference, tmp_path).html


def test_without_labels(inference, tmp_path, images, class_names):
    page = report(inference, tmp_path)
    boxes = [box.class_index for image in images for box in image.boxes]
    for row, name, k in zip(page.table('class')[1:], class_names, range(3)):
        assert row[:2] == [name, str(boxes.count(k))] and row[3] == ('0.900' if k in boxes else '–')
    assert 'No labels are known' in page.html and 'id="map"' not in page.html


def test_nothing_found(tmp_path, images, class_names):
    task = runs.candidates(tmp_path / 'infer', [image.path for image in images], class_names)
    runs.write_detections(task, [[]] * len(images))
    runs.finish(task)
    page = report(task, tmp_path, labels=runs.dataset(images, class_names))
    assert 'Nothing was found' in page.html and '<dd id="map">0.000</dd>' in page.html
    assert 'Images without boxes' in report(task, tmp_path).html


@pytest.mark.parametrize('num_classes', [1, 80, 150])
def test_any_number_of_classes_and_any_name(tmp_path, images, num_classes):
    names = ['猫 🐈 <b>"&\'', *(f'class {k} 类别' for k in range(1, num_classes))]
    labelled = [
        LabelledImage(
            image.path,
            image.width,
            image.height,
            tuple(LabelledBox(k % num_classes, k % 40, k % 40, 20, 20) for k in range(n * 30, n * 30 + 30)),
        )
        for n, image in enumerate(images)
    ]
    task = runs.candidates(tmp_path / 'infer', [image.path for image in images], names)
    runs.write_detections(task, runs.jittered(labelled, names))
    runs.finish(task)
    page = report(task, tmp_path, labels=runs.dataset(labelled, names))
    assert len(page.table('class')) == num_classes + 1
    assert page.table('class')[1][0] == names[0] and '<b>"&' not in page.html
    assert len(page.html) < 8_000_000
    assert ('heat-map' in page.html.partition('<body>')[2]) == (num_classes <= 100)


def test_odd_images(tmp_path, class_names):
    tiny, large, broken, empty = (tmp_path / name for name in ('一 tiny.png', 'large.jpg', 'broken.jpg', 'empty.jpg'))
    cv2.imencode('.png', np.zeros((1, 1, 3), np.uint8))[1].tofile(tiny)
    cv2.imencode('.jpg', np.full((6000, 8000, 3), 90, np.uint8))[1].tofile(large)
    broken.write_bytes(b'\xff\xd8\xff broken')
    empty.write_bytes(b'')
    paths = [tiny, large, broken, empty]
    task = runs.candidates(tmp_path / 'infer', paths, class_names)
    runs.write_detections(
        task, [[('star', 0.5, 0, 0, 1, 1)], [('star', 0.9, -50, 4000, 3000, 9000)], [('crate', 0.4, 1, 1, 2, 2)], []]
    )
    runs.finish(task)
    assert report(task, tmp_path).html.count('class="no-picture"') == 2
    labels = runs.dataset([LabelledImage(path, 1, 1, (LabelledBox(0, 0, 0, 1, 1),)) for path in paths], class_names)
    page = report(task, tmp_path, labels=labels)
    assert BROKEN.en in page.html and len(page.html) < 2_000_000


def test_turned_by_exif(tmp_path):
    """Boxes are in pixels of the image as the executor reads it, which is as EXIF says."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 60:] = 255  # at the right; after a quarter turn clockwise at the bottom
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(pixels).save(tmp_path / 'turned.jpg', exif=exif)
    picture = Album().whole(tmp_path / 'turned.jpg', 80)
    assert (picture.width, picture.height) == (40, 80)
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(picture.address.partition(',')[2]), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[:2] == (80, 40) and shown[70:].mean() > 250 and shown[:50].mean() < 5


@pytest.mark.parametrize('shape', [(1, 3000), (3000, 1), (3000, 12)])
def test_a_thin_image_is_shown_whole(tmp_path, shape):
    pixels = np.zeros(shape, np.uint8)
    pixels[-len(pixels) // 10 :] = 255  # the last tenth, or the only row
    cv2.imwrite(str(tmp_path / 'thin.png'), pixels)
    picture = Album().whole(tmp_path / 'thin.png', 260)
    assert picture.problem is None and max(picture.width, picture.height) == 260
    assert min(picture.width, picture.height) == 1
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(picture.address.partition(',')[2]), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[:2] == (picture.height, picture.width)
    assert shown[-1].mean() > 240
    assert len(shown) == 1 or shown[: round(picture.height * 0.85)].mean() < 15


def test_names_cover_each_other_nowhere(tmp_path, images):
    """The most important box, the last, has its name above it; others go where there is room, or are left out."""
    marks = [Mark((10, 30, 30, 20), 'at', 'plain', f' {k:02}') for k in range(12)]
    svg = ElementTree.fromstring(Album().whole(images[0].path, 96).svg(Text('a', 'a'), marks))
    texts = [(text.text, float(text.get('x')), float(text.get('y'))) for text in svg.iter('text')]
    box = svg.find('rect[@class="box plain"]')
    assert texts[0][0] == 'at 11' and texts[0][1] == pytest.approx(float(box.get('x')) + 1, abs=0.1)
    assert texts[0][2] == pytest.approx(float(box.get('y')) - 4, abs=0.1) and 2 < len(texts) < 12
    for k, (_, x, y) in enumerate(texts):
        assert all(abs(y - other) >= LINE or abs(x - left) >= 40 for _, left, other in texts[k + 1 :])
    assert [title.text for title in svg.iter('title')] == [f'at {k:02}' for k in range(12)]


@pytest.mark.parametrize(
    'text, room, tail, expected',
    [
        ('crate', 90, ' 0.50', 'crate 0.50'),
        ('a long name', 80, ' 0.50', 'a lo… 0.50'),
        ('很长的类别名称', 75, '', '很长的类…'),
        ('name', 1, ' 0.50', 'n… 0.50'),
        ('', 50, ' 0.50', ' 0.50'),
    ],
)
def test_long_names_are_cut_and_scores_are_not(text, room, tail, expected):
    assert _cut(text, room, tail)[0] == expected


def test_album(tmp_path, images):
    album = Album()
    whole = album.whole(images[0].path, 32)
    assert max(whole.width, whole.height) == 32
    assert album.whole(images[0].path, 32) is whole and len(album.pictures) == 1
    assert album.whole(tmp_path / 'no.jpg', 32).problem == ABSENT == album.whole(None, 32).problem
    small = Album(max_bytes=10)
    assert small.whole(images[0].path, 32).problem == LEFT_OUT
    # a box of 10 x 10 in the middle, shown with half as much again on each side
    cv2.imwrite(str(tmp_path / 'grey.png'), np.zeros((100, 100, 3), np.uint8))
    crop = album.crop(tmp_path / 'grey.png', (45, 45, 10, 10), 100)
    assert crop.origin == (40, 40) and crop.scale == pytest.approx(100 / 21)


def test_pictures_stay_within_their_allowance(inference, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, 'MAX_BYTES', 6000)
    monkeypatch.setattr(pictures.Album.__init__, '__defaults__', (6000,))
    page = report(inference, tmp_path)
    assert sum(len(address) for address in page.addresses if address.startswith('data:')) <= 6000
    assert LEFT_OUT.en in page.html
