"""demo/image_demo.py on a file, a folder and an address; as pictures and as labelme files."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.demo.detector import CLASSES


def labelme(path):
    """Boxes of a labelme file by class and place."""
    shapes = json.loads(Path(path).read_text())['shapes']
    return sorted((CLASSES.index(shape['label']), *sum(shape['points'], [])) for shape in shapes)


def assert_found(found, boxes, tolerance=6):
    assert [box[0] for box in found] == [box[0] for box in boxes]
    np.testing.assert_allclose(np.array(found), np.array(boxes), atol=tolerance)


@pytest.mark.parametrize('options', [(), ('--deploy',), ('--tta',)], ids=['plain', 'deploy', 'tta'])
def test_finds_the_objects_of_a_folder(run, write_picture, options, capsys):
    boxes = {
        name: sorted(write_picture(f'in/{name}', seed, 128, 128, 2)) for seed, name in ((2, 'a.png'), (4, 'deep/b.JPG'))
    }
    Path('in/notes.txt').write_text('no image')
    run('image_demo', 'in', '--to-labelme', '--out-dir', 'out', '--score-thr', 0.5, *options)
    assert sorted(path.name for path in Path('out').iterdir()) == ['a.json', 'deep_b.json']
    assert_found(labelme('out/a.json'), boxes['a.png'])
    assert_found(labelme('out/deep_b.json'), boxes['deep/b.JPG'])
    assert json.loads(Path('out/deep_b.json').read_text())['imagePath'] == str(Path('in/deep/b.JPG').absolute())
    assert 'Results of 2 images' in capsys.readouterr().out


def test_draws_boxes_on_a_file(run, write_picture):
    boxes = write_picture('a.png', 2, 128, 128, 2)
    run('image_demo', 'a.png')
    before, after = cv2.imread('a.png'), cv2.imread('output/a.png')
    assert after.shape == before.shape
    changed = (after != before).any(2)
    for _, x1, y1, x2, y2 in boxes:
        assert changed[y1 - 4 : y2 + 4, x1 - 4 : x2 + 4].any()
    colours = {tuple(pixel) for pixel in after[changed]}
    assert (60, 20, 220) in colours or (80, 160, 0) in colours  # the palette of the config, BGR


def test_class_name_selects(run, write_picture):
    boxes = write_picture('a.png', 19, 128, 128, 3)
    assert {label for label, *_ in boxes} == {0, 1}
    run('image_demo', 'a.png', '--to-labelme', '--class-name', 'disc', '--score-thr', 0.4)
    assert {label for label, *_ in labelme('output/a.json')} == {1}


def test_address(run, write_picture, monkeypatch):
    write_picture('server/a.png', 2, 128, 128, 2)
    source = Path('server/a.png').absolute()
    monkeypatch.setattr('torch.hub.download_url_to_file', lambda url, file: shutil.copy(source, file))
    run('image_demo', 'https://example.com/a.png?size=big', '--to-labelme', '--score-thr', 0.5)
    assert len(labelme('output/a.json')) == 2


def test_unknown_class(run, write_picture, capsys):
    write_picture('a.png', 2, 64, 64, 1)
    with pytest.raises(RuntimeError, match='--class-name cat: not a class of this detector'):
        run('image_demo', 'a.png', '--class-name', 'disc', 'cat')
    assert 'square' in capsys.readouterr().out


def test_labelme_and_show(run):
    with pytest.raises(RuntimeError, match='--to-labelme writes files and --show draws'):
        run('image_demo', 'a.png', '--to-labelme', '--show')


def test_a_config_of_the_package_and_a_missing_gpu(run, write_picture, monkeypatch, capsys):
    """Seeded weights find nothing; the point is where the config comes from, and the one message."""
    import torch
    from mmengine.registry import MODELS

    from mmyolo.tools.demo.inference import read_detector_config
    from mmyolo.utils.device import choose_device

    name = 'mmyolo::yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'
    torch.save({'state_dict': MODELS.build(read_detector_config(name).model).state_dict()}, 'random.pth')
    write_picture('a.png', 2, 64, 64, 1)
    import runpy
    import sys

    from tests.demo.detector import ROOT

    monkeypatch.setattr(sys, 'argv', ['image_demo.py', 'a.png', name, 'random.pth', '--score-thr', '0.99'])
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    runpy.run_path(str(ROOT / 'demo/image_demo.py'), run_name='__main__')
    assert capsys.readouterr().out.count('There is no CUDA device for --device cuda:0: running on the CPU') == 1
    assert (cv2.imread('output/a.png') == cv2.imread('a.png')).all()
    assert choose_device('cpu') == 'cpu'
