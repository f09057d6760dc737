"""dota_split: damaged files cost themselves only, and nothing read is an error."""

import cv2
import numpy as np
import pytest

from mmyolo.tools.converters.datasets.dota import SplitConfig, read_objects, split_dota
from mmyolo.utils.files import read_text

GOOD = '10 10 40 10 40 30 10 30 plane 0'


@pytest.fixture
def told(monkeypatch):
    """The warnings, whatever logger of mmengine is current."""
    sentences = []
    monkeypatch.setattr(
        'mmyolo.tools.converters.datasets.dota.print_log', lambda text, logger, level: sentences.append(text)
    )
    return sentences


@pytest.fixture
def dota(tmp_path):
    """Write a set `train` of images of noise and of text files, and cut it; what is None does not exist."""

    def cut(images, labels):
        for folder in 'images', 'labelTxt':
            (tmp_path / 'DOTA/train' / folder).mkdir(parents=True)
        for name, data in images.items():
            path = tmp_path / 'DOTA/train/images' / name
            path.write_bytes(data or cv2.imencode('.png', np.full((64, 64, 3), 9, np.uint8))[1].tobytes())
        for name, data in labels.items():
            (tmp_path / 'DOTA/train/labelTxt' / name).write_bytes(data)
        return split_dota(SplitConfig([64], [0]), tmp_path / 'DOTA', tmp_path / 'out', ('train',), 'labelTxt', nproc=1)

    return cut


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'gbk'])
def test_encodings(tmp_path, encoding):
    path = tmp_path / 'a.txt'
    path.write_bytes(f'imagesource:谷歌\r\ngsd:0.5\r\n{GOOD.replace("plane", "飞机")}\r\n'.encode(encoding))
    objects = read_objects(path)
    assert objects.labels == ['飞机'] and objects.corners.tolist() == [[10, 10, 40, 10, 40, 30, 10, 30]]


@pytest.mark.parametrize(
    'line',
    [
        GOOD.replace('40 30', 'nan 30'),
        GOOD.replace('40 30', 'inf 30'),
        GOOD.replace('plane 0', ''),
        '10 10 40 10 40 30 plane 0',
        GOOD.replace('10', 'x'),
        GOOD.replace(' 0', ' hard'),
        'plane',
    ],
)
def test_a_damaged_line_costs_itself(tmp_path, told, line):
    (tmp_path / 'a.txt').write_text(f'imagesource:GoogleEarth\ngsd:0.5\n\n{GOOD}\n{line}\n')
    assert read_objects(tmp_path / 'a.txt').labels == ['plane']
    assert len(told) == 1 and 'a.txt, line 5' in told[0]


def test_a_damaged_image_costs_itself(dota, tmp_path, told):
    counts = dota(
        {'a.png': None, 'b.png': b'no image', 'c.png': None}, {'a.txt': GOOD.encode(), 'c.txt': b'\xff\xff\xff'}
    )
    assert counts == {'train': (1, 1)}
    assert (tmp_path / 'out/train/annfiles/a__64__0___0.txt').read_text().split()[8:] == ['plane', '0']
    assert 'b.png is not a readable image' in '\n'.join(told) and 'c.txt is not text' in '\n'.join(told)


@pytest.mark.parametrize(
    'images, labels, said',
    [
        ({}, {'a.txt': GOOD.encode()}, 'images holds no image'),
        ({'a.tmp': b''}, {}, 'images holds no image'),
        ({'a.png': None}, {}, 'no image of .*images has a file of objects'),
        (
            {'a.png': None},
            {'b.txt': GOOD.encode()},
            r'no image of .*images has a file of objects <name of the image>\.txt in .*labelTxt',
        ),
        ({'a.png': b'no image'}, {'a.txt': GOOD.encode()}, 'no image of train can be read. The first: .*a.png'),
    ],
)
def test_nothing_read_is_an_error(dota, images, labels, said):
    with pytest.raises(ValueError, match=said):
        dota(images, labels)


def test_what_is_no_text_is_named(tmp_path):
    (tmp_path / 'a.txt').write_bytes(b'\xff\xff')
    with pytest.raises(ValueError, match=r'a\.txt is not text in UTF-8'):
        read_text(tmp_path / 'a.txt')
