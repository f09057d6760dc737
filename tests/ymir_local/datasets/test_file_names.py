"""Names in files of labels that differ from those of the files as they do after copying between machines."""

import json
import unicodedata

import pytest

from tests.ymir_local.datasets.test_layouts import VOC, YOLO, coco_of
from ymir_exc.errors import DatasetError
from ymir_local.datasets import read_dataset
from ymir_local.platform.labels import LabelledBox

BOX = LabelledBox(0, 16, 12, 32, 24)
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, 'caféÅ 안.jpg') for form in ('NFC', 'NFD'))
# what is written: the file, what the note says
NAMES = [
    ('IMG_0.JPG', 'IMG_0.jpg', 'capital letters'),
    ('img_0.jpg', 'IMG_0.JPG', 'capital letters'),
    (COMPOSED, DECOMPOSED, 'the form of its accents'),
    (DECOMPOSED, COMPOSED, 'the form of its accents'),
    ('my%20image.jpg', 'my image.jpg', None),
    ('my image.jpg', 'my%20image.jpg', 'blanks or %-escapes'),
    ('1.jpg ', '1.jpg', 'blanks or %-escapes'),
    (' 1.jpg', '1.jpg', 'blanks or %-escapes'),
    ('1.jpeg', '1.jpg', 'its ending'),
    ('1.png', '1.JPG', 'its ending'),
    ('1.jpg', '1.png', 'its ending'),
    ('C:\\Users\\me\\set\\IMG_0.JPG', 'IMG_0.jpg', 'capital letters'),
    ('https://host.example/a/1.jpg?token=1', '1.jpg', None),
    ('/data/local-files/?d=set%2F1.jpg', '1.jpg', None),
    ('ftp://host.example/my%20image.jpg', 'my image.jpg', None),
    ('..\\images\\1.jpg', '1.jpg', None),
    ('D:\\set\\1.jpg', '1.jpg', None),
    ('1', '1.jpg', None),  # without its ending
    ('IMG_0', 'img_0.jpg', 'capital letters'),
]


def read_one(folder, format, note):
    """The only image of a data set; what it warns of is the note."""
    dataset = read_dataset(folder, format)
    (image,) = dataset.images()
    assert image.boxes == (BOX,) and not dataset.unlabelled
    notes = [text for text in dataset.warnings if 'is taken for' in text]
    assert len(notes) == (note is not None), dataset.warnings
    if note:
        assert notes[0].endswith(f'no other file has that name but for {note}') and image.path.name in notes[0]
    return image


@pytest.mark.parametrize('written, file, note', NAMES)
def test_coco(tmp_path, draw, put, written, file, note):
    draw(f'images/{file}')
    put('a.json', coco_of(written))
    assert read_one(tmp_path, 'coco', note).path.samefile(tmp_path / 'images' / file)


@pytest.mark.parametrize('written, file, note', NAMES)
def test_voc_file_name(tmp_path, draw, put, written, file, note):
    """The ending is none of the name there, and the name of the XML file says nothing."""
    draw(f'JPEGImages/{file}')
    put('Annotations/x.xml', VOC.replace('<object>', f'<filename>{written}</filename><object>', 1))
    image = read_dataset(tmp_path, 'voc').images()[0]
    assert (image.path.name, image.boxes) == (file, (BOX,))


@pytest.mark.parametrize(
    'format, image, labels',
    [
        ('voc', 'JPEGImages/IMG_0.JPG', 'Annotations/img_0.xml'),
        ('voc', f'JPEGImages/{DECOMPOSED}', f'Annotations/{COMPOSED[:-4]}.xml'),
        ('yolo', 'images/IMG_0.JPG', 'labels/img_0.txt'),
        ('yolo', 'images/img_0.jpg', 'labels/IMG_0.TXT'),
        ('yolo', f'images/{DECOMPOSED}', f'labels/{COMPOSED[:-4]}.txt'),
        ('yolo', f'images/{COMPOSED}', f'labels/{DECOMPOSED[:-4]}.txt'),
        ('yolo', 'images/train/a.jpg', 'labels/Train/a.txt'),
        ('yolo', 'images/my image.jpg', 'labels/my%20image.txt'),
    ],
)
def test_file_of_labels(tmp_path, draw, put, format, image, labels):
    draw(image)
    put(labels, VOC if format == 'voc' else YOLO)
    put('classes.txt', 'cat')
    dataset = read_dataset(tmp_path, format)
    assert [image.boxes for image in dataset.images()] == [(BOX,)]
    assert 'labels/Train' in labels or [text for text in dataset.warnings if 'is taken for' in text]


@pytest.mark.parametrize(
    'listed', ['IMG_0.jpg', 'Images/IMG_0.jpg', 'X:\\set\\images\\img_0.JPG', 'IMG_0.png', 'img_0', 'images/img_0']
)
def test_yolo_list(tmp_path, draw, put, listed):
    draw('images/img_0.jpg')
    put('labels/img_0.txt', YOLO)
    put('classes.txt', 'cat')
    put('train.txt', f'{listed}\n')
    dataset = read_dataset(tmp_path, 'yolo')
    assert [(split, image.boxes) for split, images in dataset.splits.items() for image in images] == [('train', (BOX,))]


@pytest.mark.parametrize('entry', ['Images/Train', 'images/TRAIN', 'D:\\set\\Images\\train'])
def test_yolo_folder(tmp_path, draw, put, entry):
    draw('images/train/1.jpg')
    put('labels/train/1.txt', YOLO)
    put('data.yaml', f'train: {entry}\nnames: [cat]\n')
    assert [image.boxes for image in read_dataset(tmp_path, 'yolo').images()] == [(BOX,)]


def test_voc_list_of_names(tmp_path, draw, put):
    draw('JPEGImages/img_0.jpg')
    put('Annotations/img_0.xml', VOC)
    put('ImageSets/Main/train.txt', 'IMG_0\n')
    assert [image.boxes for image in read_dataset(tmp_path, 'voc').splits['train']] == [(BOX,)]


@pytest.mark.parametrize(
    'written, files, found',
    [
        ('1.jpg', ['pictures/2024/1.jpg'], 'pictures/2024/1.jpg'),
        ('a/1.JPG', ['pictures/1.jpg'], 'pictures/1.jpg'),
        ('IMG.jpg', ['x/IMG.jpg', 'y/img.jpg'], 'x/IMG.jpg'),
        ('1.jpg', ['x/1.jpg', 'y/1.jpg'], None),
    ],
)
def test_an_image_in_another_folder(tmp_path, draw, put, written, files, found):
    for file in files:
        draw(file)
    put('a.json', coco_of(written))
    if found:
        dataset = read_dataset(tmp_path, 'coco')
        assert dataset.images()[0].path == tmp_path / found and 'the only image of that name' in dataset.warnings[0]
    else:
        with pytest.raises(DatasetError, match='both could be meant'):
            read_dataset(tmp_path, 'coco')


@pytest.mark.parametrize('labels', ['Annotations/1.xml', 'Annotations/sub/1.xml', 'xml/x.xml'])
def test_an_image_of_voc_in_another_folder(tmp_path, draw, put, labels):
    draw('pictures/2024/1.JPG')
    put(labels, VOC.replace('<object>', '<filename>1.jpg</filename><object>', 1))
    dataset = read_dataset(tmp_path, 'voc')
    assert [image.boxes for image in dataset.images()] == [
        (BOX,)
    ] and 'the only image of that name' in dataset.warnings[0]
    draw('pictures/2025/1.jpg')
    with pytest.raises(DatasetError, match='does not exist'):
        read_dataset(tmp_path, 'voc')


@pytest.mark.parametrize('files', [('img_0.jpg', 'Img_0.jpg'), ('1.jpg', '1.png')])
def test_two_files_that_fit_are_named_and_none_is_taken(tmp_path, draw, put, files):
    for file in files:
        draw(file)
    written = 'IMG_0.JPG' if 'img_0.jpg' in files else '1.bmp'
    put('a.json', coco_of(written))
    with pytest.raises(DatasetError, match='the image does not exist') as caught:
        read_dataset(tmp_path, 'coco')
    assert ' and '.join(sorted(files)) in str(caught.value) and 'both could be meant' in str(caught.value)


def test_an_exact_name_keeps_its_file(tmp_path, draw, put):
    """Neither an image nor a file of labels is taken for two."""
    draw('a.jpg')
    put('a.json', coco_of('a.jpg', 'A.JPG'))
    dataset = read_dataset(tmp_path, 'coco')
    assert [image.boxes for image in dataset.images()] == [(BOX,)]
    assert "the image 'A.JPG' does not exist" in '\n'.join(dataset.warnings)
    for name in ('A.jpg', 'a.png'):
        draw(f'yolo/images/{name}')
    put('yolo/labels/a.txt', YOLO)
    put('yolo/classes.txt', 'cat')
    boxes = {image.path.name: image.boxes for image in read_dataset(tmp_path / 'yolo', 'yolo').images()}
    assert boxes == {'A.jpg': (), 'a.png': (BOX,)}
    draw('voc/a.jpg')
    put('voc/a.xml', VOC)
    put('voc/A.xml', VOC)
    assert len(read_dataset(tmp_path / 'voc', 'voc').images()) == 1


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'gbk', 'utf-16'])
def test_encodings_of_coco(tmp_path, draw, put, encoding):
    draw('图.jpg')
    content = json.loads(coco_of('图.jpg'))
    content['categories'][0]['name'] = '安全帽'
    put('a.json', '').write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ('安全帽',) and dataset.images()[0].boxes == (BOX,)
