"""Demos on a folder in which some images cannot be read and others are as thin as a line."""

from pathlib import Path

import cv2
import mmcv
import pytest

from mmyolo.errors import UnreadableImageError
from tests.damaged_images import KINDS
from tests.demo.detector import picture

BROKEN = ('cut_half.jpg', 'wrong_crc.png', 'page.jpg', 'empty.jpg', 'floats.tiff')


@pytest.mark.parametrize(
    'demo, options', [('image_demo', ()), ('large_image_demo', ('--patch-size', 1000)), ('featmap_vis_demo', ())]
)
def test_an_odd_image_costs_only_itself(run, write_picture, capsys, demo, options):
    write_picture('in/good.png', 2, 128, 128, 2)
    for name in (*BROKEN, 'strip.png', 'pole.png', 'pixel.png'):
        Path('in', name).write_bytes(KINDS[name])
    (Path('in') / 'gone.jpg').symlink_to('nowhere.jpg')
    run(demo, 'in', *options)
    said = capsys.readouterr()
    for name in BROKEN:
        assert f'Skipped in/{name}: ' in said.err
    assert 'Skipped in/gone.jpg: No such file or directory' in said.err
    assert '6 of 10 images were skipped because they cannot be read' in said.err
    assert 'Results of 4 images' in said.out
    assert sorted(path.name for path in Path('output').iterdir()) == ['good.png', 'pixel.png', 'pole.png', 'strip.png']
    if demo != 'featmap_vis_demo':
        assert cv2.imread('output/strip.png').shape == (2, 2000, 3)


@pytest.mark.parametrize('name', ['cut_half.jpg', 'page.jpg'])
def test_nothing_that_can_be_read_is_an_error(run, tmp_path, name):
    Path(name).write_bytes(KINDS[name])
    with pytest.raises(UnreadableImageError, match=f'None of the 1 images can be read: {name}'):
        run('image_demo', name)


def test_a_frame_that_cannot_be_read_is_left_out(run, write_picture, capsys, monkeypatch):
    image = cv2.resize(picture(2, 128, 160, 2)[0], (160, 128))
    writer = cv2.VideoWriter('in.mp4', cv2.VideoWriter_fourcc(*'mp4v'), 10, (160, 128))
    for _ in range(6):
        writer.write(image)
    writer.release()
    read, calls = mmcv.VideoReader.read, []

    def read_all_but_the_third(video):
        calls.append(len(calls))
        frame = read(video)
        return None if calls[-1] == 2 else frame

    monkeypatch.setattr(mmcv.VideoReader, 'read', read_all_but_the_third)
    run('video_demo', 'in.mp4', '--out', 'out.mp4')
    assert '1 of 6 frames could not be read and are left out' in capsys.readouterr().err
    assert int(cv2.VideoCapture('out.mp4').get(cv2.CAP_PROP_FRAME_COUNT)) == 5
