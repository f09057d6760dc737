"""demo/video_demo.py without a window."""

import cv2
import numpy as np
import pytest

from tests.demo.detector import ROOT, picture


def frames(path):
    video = cv2.VideoCapture(str(path))
    images = []
    while True:
        more, image = video.read()
        if not more:
            return images, video.get(cv2.CAP_PROP_FPS)
        images.append(image)


def test_every_frame_is_drawn_on(run):
    image, boxes = picture(2, 128, 160, 2)
    writer = cv2.VideoWriter('in.mp4', cv2.VideoWriter_fourcc(*'mp4v'), 10, (160, 128))
    for shift in range(4):
        writer.write(np.roll(image, shift, axis=1))
    writer.release()
    run('video_demo', 'in.mp4', '--out', 'new/out.mp4')
    (before, _), (after, fps) = frames('in.mp4'), frames('new/out.mp4')
    assert len(after) == 4 and fps == 10
    for shift, (old, new) in enumerate(zip(before, after)):
        changed = np.abs(old.astype(int) - new).max(2) > 60
        for _, x1, y1, x2, y2 in boxes:
            assert changed[y1 - 4 : y2 + 4, x1 + shift - 4 : x2 + shift + 4].sum() > 20


def test_the_video_of_the_folder_is_read():
    images, fps = frames(ROOT / 'demo/demo.mp4')
    assert len(images) == 24 and images[0].shape == (240, 320, 3) and fps == 12


def test_wrong_use(run, capsys):
    with pytest.raises(SystemExit):
        run('video_demo', 'in.mp4')
    assert '--out FILE.mp4, --show or both' in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match='There is no file in.mp4'):
        run('video_demo', 'in.mp4', '--out', 'out.mp4')
    with open('text.mp4', 'w') as file:
        file.write('no video')
    with pytest.raises(ValueError, match='no frame in text.mp4'):
        run('video_demo', 'text.mp4', '--out', 'out.mp4')
