"""demo/featmap_vis_demo.py, and the maps it draws."""

import cv2
import numpy as np
import pytest


def test_one_map_per_output(run, write_picture):
    write_picture('a.png', 12, 90, 128, 3)
    run('featmap_vis_demo', 'a.png')  # backbone: three levels, two in a row
    picture = cv2.imread('output/a.png')
    assert picture.shape == (180, 256, 3)
    assert (picture[90:, 128:] == 255).all() and not (picture[:90] == 255).all()


def test_several_channels(run, write_picture):
    write_picture('in/a.png', 12, 90, 128, 3)
    run(
        'featmap_vis_demo',
        'in',
        '--target-layers',
        'model.backbone.stage2',
        'neck.out_layers[0]',
        '--channel-reduction',
        'None',
        '--topk',
        3,
        '--arrangement',
        1,
        3,
        '--out-dir',
        'out',
    )
    assert cv2.imread('out/a.png').shape == (90, 2 * 3 * 128, 3)


def test_the_map_lies_over_the_object(run, write_picture):
    """A wide picture is padded above and below; the map must not be squeezed by that."""
    image = np.zeros((40, 128, 3), np.uint8)
    image[5:35, 80:110] = (40, 60, 230)
    cv2.imwrite('a.png', image)
    run(
        'featmap_vis_demo',
        'a.png',
        '--target-layers',
        'backbone.stem',
        '--score-thr',
        1,
        '--channel-reduction',
        'squeeze_mean',
    )
    heat = cv2.imread('output/a.png').astype(int)
    ground = heat[:5, :70].mean((0, 1))
    strange = np.abs(heat - ground).sum(2) > 60
    rows, columns = np.nonzero(strange)
    assert abs(rows.min() - 5) <= 3 and abs(rows.max() - 34) <= 3
    assert abs(columns.min() - 80) <= 3 and abs(columns.max() - 109) <= 3


def test_options_of_the_config_reach_the_model(run, write_picture, capsys):
    write_picture('a.png', 12, 90, 128, 3)
    run('featmap_vis_demo', 'a.png', '--preview-model', '--cfg-options', 'model.backbone.act_cfg.type=ReLU')
    shown = capsys.readouterr().out
    assert 'YOLODetector' in shown and 'ReLU' in shown


@pytest.mark.parametrize(
    'options, message',
    [
        (('--target-layers', 'backbone.stage9'), r"'\.?stage9' is not to be found after 'backbone"),
        (('--target-layers', '__import__("os")'), "no layer '__import__"),
        (('--target-layers', 'bbox_head.loss_cls'), 'put out no feature maps'),
        (('--channel-reduction', 'sum'), "'squeeze_mean', 'select_max' or None"),
    ],
)
def test_wrong_use(run, write_picture, options, message):
    write_picture('a.png', 12, 90, 128, 3)
    with pytest.raises(ValueError, match=message):
        run('featmap_vis_demo', 'a.png', *options)
