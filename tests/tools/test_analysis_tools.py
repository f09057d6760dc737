"""tools/analysis_tools on small generated data: what each command line writes, number for number."""

import json
import logging
import pickle
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_data import BOXES, HEIGHT, WIDTH, write_coco, write_images

from mmyolo.registry import MODELS
from mmyolo.tools.analysis import confusion_matrix
from tests.tools.running import ROOT, load_tool, run_tool

CLASSES = ('螺栓', 'nut')


@pytest.fixture(autouse=True)
def without_display(monkeypatch):
    for name in 'DISPLAY', 'WAYLAND_DISPLAY':
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Four images of two objects each; the last has no annotations."""
    root = tmp_path_factory.mktemp('analysis')
    write_coco(root / 'all.json', write_images(root / 'images'), CLASSES)
    return root


@pytest.fixture
def config(data, tmp_path):
    """Writes a config of the repository with the small data set."""

    def write(base='yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py', further=''):
        path = tmp_path / 'small.py'
        path.write_text(
            f'_base_ = {str(ROOT / "configs" / base)!r}\n'
            f'data = dict(data_root={str(data)!r}, ann_file="all.json", data_prefix=dict(img="images/"),\n'
            f'            metainfo=dict(classes={CLASSES!r}))\n'
            'train_dataloader = dict(dataset=data)\nval_dataloader = dict(dataset=data)\n'
            f'test_dataloader = val_dataloader\n{further}'
        )
        return str(path)

    return write


def size_of(path):
    return cv2.imread(str(path)).shape[1::-1]


@pytest.mark.parametrize('algorithm', ['k-means', 'DE', 'v5-k-means'])
def test_optimize_anchors(config, tmp_path, capsys, algorithm):
    # the boxes of an image are 60 x 70 and 90 x 55; the input is four times as wide as the images
    path = config(further='model = dict(bbox_head=dict(prior_generator=dict(base_sizes=[[(10, 13)], [(30, 61)]])))')
    load_tool('analysis_tools/optimize_anchors').main(
        [
            path,
            '--algorithm',
            algorithm,
            '--iters',
            '200',
            '--seed',
            '0',
            '--out-dir',
            str(tmp_path / 'out'),
            '--device',
            'cuda:99' if not torch.cuda.is_available() else 'cpu',
        ]
    )
    found = json.loads((tmp_path / 'out' / 'anchor_optimize_result.json').read_text())
    assert np.abs(np.array(found) - [[[240, 280]], [[360, 220]]]).max() < 2
    areas = [level[0][0] * level[0][1] for level in found]
    assert areas == sorted(areas) and np.shape(found) == (2, 1, 2)
    said = capsys.readouterr().out
    assert 'Anchors for 6 boxes in 640 x 640 pixels' in said and '10x13' in said
    if not torch.cuda.is_available():
        assert 'There is no CUDA device for --device cuda:99: running on the CPU' in said


def test_optimize_anchors_v5_is_exact(config, tmp_path):
    path = config(further='model = dict(bbox_head=dict(prior_generator=dict(base_sizes=[[(10, 13)], [(30, 61)]])))')
    load_tool('analysis_tools/optimize_anchors').main(
        [path, '--algorithm', 'v5-k-means', '--iters', '5', '--input-shape', '160', '--out-dir', str(tmp_path)]
    )
    assert json.loads((tmp_path / 'anchor_optimize_result.json').read_text()) == [[[60, 70]], [[90, 55]]]


def test_optimize_anchors_without_anchors(config):
    with pytest.raises(SystemExit, match='no anchors to optimize'):
        load_tool('analysis_tools/optimize_anchors').main([config('yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py')])


def test_dataset_analysis(config, tmp_path, capsys):
    tool = load_tool('analysis_tools/dataset_analysis')
    tool.main([config(), '--out-dir', str(tmp_path / 'out')])
    names = {path.name for path in (tmp_path / 'out').iterdir()}
    assert names == {f'YOLOv5CocoDataset_bbox_{kind}.jpg' for kind in ('num', 'wh', 'ratio', 'area')}
    said = capsys.readouterr().out
    assert re.search(r'│ 4 +│ 6 +│ 1.50', said) and re.search(r'螺栓 *│ *3 ', said) and re.search(r'nut *│ *3 ', said)
    tool.main(
        [
            config(),
            '--val-dataset',
            '--class-name',
            'nut',
            '--func',
            'show_bbox_area',
            '--area-rule',
            '70',
            '--out-dir',
            str(tmp_path / 'nut'),
        ]
    )
    assert [path.name for path in (tmp_path / 'nut').iterdir()] == ['nut_bbox_area.jpg']
    assert re.search(r'│ 4 +│ 3 +│ 0.75', capsys.readouterr().out)


def test_dataset_analysis_rejects_a_wrong_rule(capsys):
    with pytest.raises(SystemExit):
        load_tool('analysis_tools/dataset_analysis').main(['x.py', '--area-rule', '1', '2', '3', '4'])
    assert '--area-rule must be' in capsys.readouterr().err


def test_confusion_matrix(config, tmp_path, monkeypatch):
    found = []
    for image, boxes in enumerate(BOXES):
        labels = [0, 0] if image == 0 else [0, 1]  # the nut of the first image is taken for a bolt
        found.append(
            {
                'img_id': image,
                'pred_instances': {
                    'bboxes': torch.tensor(boxes, dtype=torch.float32),
                    'scores': torch.tensor([0.9, 0.4]),
                    'labels': torch.tensor(labels),
                },
            }
        )
    (tmp_path / 'found.pkl').write_bytes(pickle.dumps(found[::-1]))
    matrices = []
    normalize = confusion_matrix.normalize
    tool = load_tool('analysis_tools/confusion_matrix')
    monkeypatch.setattr(tool, 'normalize', lambda matrix: matrices.append(matrix) or normalize(matrix))
    for options in [], ['--score-thr', '0.5', '--show', '--color-theme', 'viridis']:
        tool.main([config(), str(tmp_path / 'found.pkl'), str(tmp_path / 'out'), *options])
    canary = tmp_path / 'canary'
    for hostile in (f'cbuiltins\nopen\n(V{canary}\nVw\ntR.', f'(lp0\ncbuiltins\nopen\n(V{canary}\nVw\ntRa.', 'x', ''):
        (tmp_path / 'hostile.pkl').write_text(hostile)
        with pytest.raises(ValueError, match='hostile.pkl'):
            tool.main([config(), str(tmp_path / 'hostile.pkl'), str(tmp_path / 'out')])
    assert not canary.exists()
    # the fourth image has no annotations, so what is found there is background
    assert matrices[0].tolist() == [[3, 0, 0], [1, 2, 0], [1, 1, 0]]
    assert matrices[1].tolist() == [[3, 0, 0], [0, 0, 3], [1, 0, 0]]
    assert min(size_of(tmp_path / 'out' / 'confusion_matrix.png')) > 400


def test_get_flops(config, capsys):
    tool = load_tool('analysis_tools/get_flops')
    path = config('yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py')
    tool.main([path, '--shape', '64', '--not-show-table'])
    said = capsys.readouterr().out
    assert 'Input shape: (64, 64)' in said and 'Params: 1.872M' in said and '+--' not in said
    tool.main([path, '--shape', '64', '96', '--show-arch'])
    both = capsys.readouterr().out
    assert 'Input shape: (64, 96)' in both and 'YOLOv5CSPDarknet' in both and '+--' in both
    flops = [float(re.search(r'Flops: ([\d.]+)M', text).group(1)) for text in (said, both)]
    assert flops[1] == pytest.approx(1.5 * flops[0], rel=1e-3)


@pytest.mark.filterwarnings('ignore:.*vis_scheduler has been created')  # the tool starts thrice in this process
def test_vis_scheduler(config, tmp_path):
    path = config(further='param_scheduler = None\ntrain_cfg = dict(max_epochs=4)')
    text = Config.fromfile(path)
    assert text.param_scheduler is None
    tool = load_tool('analysis_tools/vis_scheduler')
    for parameter in 'lr', 'momentum', 'wd':
        tool.main([path, '-p', parameter, '-o', str(tmp_path / 'out'), '--not-show', '--window-size', '6*4'])
        assert size_of(tmp_path / 'out' / f'small-{parameter}.jpg') == (900, 600)


@pytest.mark.slow
def test_vis_scheduler_without_the_key(config, tmp_path):
    """A config that has no `param_scheduler` at all; here as a process, which has no display."""
    cfg = Config.fromfile(config())
    cfg.pop('param_scheduler')
    cfg.train_cfg.max_epochs = 2
    cfg.dump(tmp_path / 'none.py')
    done = run_tool('analysis_tools/vis_scheduler', 'none.py', '-d', '1000', '-n', '2', '-o', 'out', cwd=tmp_path)
    assert 'Wrote out/none-lr.jpg' in done.stdout
    assert done.stderr.count('No window can be shown here') == 1
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['none-lr.jpg']


@pytest.mark.parametrize(
    'options, said',
    [(['--window-size', '12x7'], 'width*height'), (['--style', 'nonsense'], 'is unknown'), ([], 'nothing to do')],
)
def test_vis_scheduler_rejects(options, said, capsys):
    with pytest.raises(SystemExit):
        load_tool('analysis_tools/vis_scheduler').main(['x.py', *options])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize('mode', ['original', 'transformed', 'pipeline'])
def test_browse_dataset(config, tmp_path, mode):
    out = tmp_path / 'out'
    load_tool('analysis_tools/browse_dataset').main(
        [config(), '-m', mode, '-n', '1' if mode == 'pipeline' else '2', '--not-show', '--out-dir', str(out)]
    )
    assert sorted(path.name for path in out.iterdir()) == ['000000.jpg', '000001.jpg'][: 1 if mode == 'pipeline' else 2]
    size = size_of(out / '000000.jpg')
    if mode == 'original':
        assert size == (WIDTH, HEIGHT)
        drawn = cv2.imread(str(out / '000000.jpg'))
        x1, y1, x2, y2 = BOXES[0][1]
        inside, edge = drawn[y2 - 8, x2 - 20].astype(int), drawn[y2 - 8, x2 - 1 : x2 + 2].astype(int)
        assert np.abs(edge - inside).max() > 60
    elif mode == 'transformed':
        assert size == (640, 640)
    else:
        assert size[0] > 3 * 640 and size[1] > 3 * 640  # seven steps before packing, three in a row


def test_browse_dataset_moves_boxes_in_validation(config, tmp_path):
    """The boxes of the test pipeline are read last, so without being moved they would be drawn beside the objects."""
    out = tmp_path / 'out'
    load_tool('analysis_tools/browse_dataset').main([config(), '-p', 'val', '--out-dir', str(out), '--not-show'])
    assert len(list(out.iterdir())) == 4
    from mmyolo.registry import DATASETS
    from mmyolo.tools.analysis.pictures import Steps

    cfg = Config.fromfile(config())
    tool = load_tool('analysis_tools/browse_dataset')
    tool.read_objects_early(cfg.val_dataloader.dataset)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    ((name, steps),) = tool.recorded(dataset, 1)
    assert name == '000000.jpg' and isinstance(dataset.pipeline, Steps)
    assert [step[0] for step in steps] == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'YOLOv5KeepRatioResize',
        'LetterResize',
    ]
    ratio = steps[2][1].shape[1] / WIDTH
    np.testing.assert_allclose(steps[2][2].bboxes.tensor[0], np.array(BOXES[0][0]) * ratio, rtol=1e-5)


def test_browse_dataset_simple(config, tmp_path, capsys):
    tool = load_tool('analysis_tools/browse_dataset_simple')
    tool.main([config(), '--output-dir', str(tmp_path / 'out')])
    assert {size_of(path) for path in (tmp_path / 'out').iterdir()} == {(640, 640)}
    assert len(list((tmp_path / 'out').iterdir())) == 4
    with pytest.raises(SystemExit):
        tool.main([config(), '--not-show'])
    assert 'nothing to do' in capsys.readouterr().err


def test_browse_coco_json(data, tmp_path, capsys):
    tool = load_tool('analysis_tools/browse_coco_json')
    arguments = ['--data-root', str(data), '--img-dir', 'images', '--ann-file', 'all.json']
    for name, options in ('all', []), ('masks', ['--disp-all', '--shuffle']), ('nut', ['--category-names', *CLASSES]):
        tool.main([*arguments, '--out-dir', str(tmp_path / name), *options])
    counts = {name: len(list((tmp_path / name).iterdir())) for name in ('all', 'masks', 'nut')}
    assert counts == {'all': 4, 'masks': 4, 'nut': 3}  # the fourth image has no objects
    for path in (tmp_path / 'all').iterdir():
        assert size_of(path) == (WIDTH, HEIGHT)
    x1, y1, x2, y2 = BOXES[0][0]
    centre = (slice(y1 + 30, y2 - 30), slice(x1 + 24, x2 - 24))
    boxes, masks = (cv2.imread(str(tmp_path / name / '000000.jpg')).astype(int)[centre] for name in ('all', 'masks'))
    assert np.abs(boxes - cv2.imread(str(data / 'images/000000.jpg')).astype(int)[centre]).mean() < 8
    assert np.abs(boxes - masks).mean() > 30
    with pytest.raises(ValueError, match='cow'):
        tool.main([*arguments, '--out-dir', str(tmp_path), '--category-names', 'cow'])
    (tmp_path / 'none.json').write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(ValueError, match='has no images'):
        tool.main(['--ann-file', str(tmp_path / 'none.json'), '--out-dir', str(tmp_path)])
    with pytest.raises(SystemExit):
        tool.main(arguments)
    assert '--out-dir' in capsys.readouterr().err


def test_benchmark(config, data, tmp_path):
    """Four images are too few; eight, the data set twice, are three after the warm-up."""
    path = config(
        'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py',
        "test_pipeline = [dict(type='LoadImageFromFile'), dict(type='YOLOv5KeepRatioResize', scale=(64, 64)),\n"
        "    dict(type='LetterResize', scale=(64, 64)), dict(type='PackDetInputs', meta_keys=('img_id', 'ori_shape',\n"
        "    'scale_factor', 'pad_param'))]\n"
        "test_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[dict(\n"
        "    type='YOLOv5CocoDataset', test_mode=True, pipeline=test_pipeline, **data)] * 2))\n",
    )
    init_default_scope('mmyolo')
    weights = tmp_path / 'model.pth'
    torch.save({'state_dict': MODELS.build(Config.fromfile(path).model).state_dict()}, weights)
    tool = load_tool('analysis_tools/benchmark')
    try:
        tool.main(
            [
                path,
                str(weights),
                '--repeat-num',
                '2',
                '--log-interval',
                '7',
                '--work-dir',
                str(tmp_path / 'work'),
                '--fuse-conv-bn',
                '--local-rank',
                '0',
            ]
        )
    finally:
        for handler in logging.getLogger('benchmark').handlers:
            handler.close()
    log = (tmp_path / 'work' / 'benchmark.log').read_text()
    assert 'They end before --max-iter 2000' in log
    runs = [float(fps) for fps in re.findall(r'Time \d of 2: ([\d.]+) img/s, [\d.]+ ms/img, 3 images', log)]
    mean = float(re.search(r'Mean of 2: ([\d.]+) img/s', log).group(1))
    assert len(runs) == 2 and mean == pytest.approx(sum(runs) / 2, abs=0.11)
    assert log.count('Image 7 of 2000') == 2
    with pytest.raises(ValueError, match='nothing was measured'):
        tool.main([path, str(weights), '--max-iter', '5'])
