"""DOTA from large images to an evaluated model: cut, loaded, transformed, evaluated, written for the server."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmyolo.registry import DATASETS, METRICS
from mmyolo.standins.mmcv import box_iou_rotated
from mmyolo.standins.mmrotate.structures import RotatedBoxes
from mmyolo.tools.converters.datasets.dota import SplitConfig, sliding_windows, split_dota
from mmyolo.utils import register_all_modules
from tests.tools.running import run_tool

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = 'dataset_converters/dota/dota_split'


def write_dota(root, set_name, count=2, size=(300, 260), seed=0):
    """Images of dark noise with bright rotated rectangles, some of them across the edges of patches."""
    random = np.random.RandomState(seed)
    images, annotations = root / set_name / 'images', root / set_name / 'labelTxt-v1.0' / 'labelTxt'
    images.mkdir(parents=True)
    annotations.mkdir(parents=True)
    names = ('plane', 'ship', 'storage-tank')
    for index in range(count):
        image = random.randint(0, 60, (size[1], size[0], 3)).astype(np.uint8)
        lines = ['imagesource:GoogleEarth\n', 'gsd:0.5\n']
        for number in range(8):
            centre = (45 + 70 * (number % 4), 60 + 130 * (number // 4))
            sides, angle = random.uniform(24, 52, 2), random.uniform(0, 90)
            corners = cv2.boxPoints((centre, sides, angle))
            cv2.fillPoly(image, [corners.astype(np.int32)], (90 * (number % 3) + 60, 220, 240))
            text = ' '.join(f'{value:.1f}' for value in corners.ravel())
            lines.append(f'{text} {names[number % 3]} {number % 2}\n')
        cv2.imwrite(str(images / f'{set_name}{index}.png'), image)
        (annotations / f'{set_name}{index}.txt').write_text(''.join(lines))


@pytest.fixture(scope='module')
def split(tmp_path_factory):
    """DOTA in patches of 128 pixels."""
    folder = tmp_path_factory.mktemp('dota')
    for seed, name in enumerate(('train', 'val', 'test')):
        write_dota(folder / 'DOTA', name, seed=seed)
    config = {
        'patch_sizes': [128],
        'patch_overlap_sizes': [28],
        'img_resize_ratio': [1.0],
        'min_img_ratio': 0.6,
        'iof_thr': 0.7,
        'padding': True,
        'padding_value': [104, 116, 124],
    }
    (folder / 'split.json').write_text(json.dumps(config))
    run_tool(SCRIPT, folder / 'split.json', folder / 'DOTA', folder / 'split', '--nproc', '2')
    return folder


@pytest.fixture(autouse=True)
def scope():
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmyolo'):
        yield


@pytest.mark.parametrize(
    'size, windows, found',
    [
        ((300, 260), [(128, 28)], [(x, y) for y in (0, 100, 132) for x in (0, 100, 172)]),
        ((128, 128), [(128, 28)], [(0, 0)]),
        ((129, 128), [(128, 28)], [(0, 0), (1, 0)]),
        ((60, 60), [(128, 28)], [(0, 0)]),  # covers less than min_img_ratio, but there is no other
        ((150, 100), [(100, 20), (200, 40)], [(0, 0), (50, 0)]),
    ],
)
def test_windows(size, windows, found):
    boxes = sliding_windows(*size, windows, 0.6)
    assert [tuple(box) for box in boxes[:, :2].tolist()] == found


def test_split(split):
    for phase, images in (('trainval', 4), ('test', 2)):
        patches = sorted((split / 'split' / phase / 'images').iterdir())
        assert len(patches) == 9 * images
        annotations = (split / 'split' / phase / 'annfiles').iterdir()
        assert [path.stem for path in patches] == sorted(path.stem for path in annotations)
        assert {cv2.imread(str(path)).shape for path in patches} == {(128, 128, 3)}
    assert not any(path.read_text() for path in (split / 'split/test/annfiles').iterdir())

    whole = cv2.imread(str(split / 'DOTA/train/images/train0.png'))
    patch = cv2.imread(str(split / 'split/trainval/images/train0__128__100___132.png'))
    assert (patch == whole[132:260, 100:228]).all()
    lines = {}
    for line in (split / 'DOTA/train/labelTxt-v1.0/labelTxt/train0.txt').read_text().splitlines()[2:]:
        *corners, name, difficulty = line.split()
        corners = np.array(corners, dtype=float).reshape(4, 2) - (100, 132)
        lines[tuple(corners.ravel().round(1))] = name, int(difficulty), corners
    for line in (split / 'split/trainval/annfiles/train0__128__100___132.txt').read_text().splitlines():
        *corners, name, difficulty = line.split()
        wanted, difficult, corners = lines.pop(tuple(np.array(corners, dtype=float).round(1)))
        assert name == wanted
        assert int(difficulty) == (difficult if ((corners >= 0) & (corners <= 128)).all() else 2)
    # what was left out lies outside by more than three tenths
    for _, _, corners in lines.values():
        area = cv2.contourArea(corners.astype(np.float32))
        patch_corners = np.float32([[0, 0], [128, 0], [128, 128], [0, 128]])
        inside, _ = cv2.intersectConvexConvex(corners.astype(np.float32), patch_corners)
        assert inside / area < 0.7


def test_split_files_and_errors(split, tmp_path, capsys):
    for name, ratios in (('single_scale', [1.0]), ('multi_scale', [0.5, 1.0, 1.5])):
        path = ROOT / f'tools/dataset_converters/dota/split_config/{name}.json'
        assert SplitConfig.from_dict(json.loads(path.read_text())).img_resize_ratio == ratios
    multi = SplitConfig([1024], [500], [0.5, 1.0, 1.5])
    assert multi.windows() == [(2048, 1000), (1024, 500), (682, 333)]
    with pytest.raises(ValueError, match='iof'):
        SplitConfig.from_dict({'patch_sizes': [1], 'patch_overlap_sizes': [0], 'iof': 1})
    with pytest.raises(ValueError, match='holds files already'):
        split_dota(multi, split / 'DOTA', split / 'split', nproc=1)
    with pytest.raises(ValueError, match='does not exist'):
        split_dota(multi, split / 'elsewhere', tmp_path, nproc=1)
    counts = split_dota(SplitConfig([400], [0]), split / 'DOTA', tmp_path, ('val',), nproc=1, suffix='.jpg')
    assert counts == {'val': (2, 2)}  # the image is smaller than a patch
    assert sorted(path.name for path in (tmp_path / 'val/images').iterdir()) == [
        'val0__400__0___0.jpg',
        'val1__400__0___0.jpg',
    ]


def config(split, name='rtmdet-r_tiny_fast_1xb8-36e_dota'):
    cfg = Config.fromfile(ROOT / f'configs/rtmdet/rotated/{name}.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = str(split / 'split')
    return cfg


def test_data_set(split):
    cfg = config(split)
    train = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=[]))
    files = sorted((split / 'split/trainval/annfiles').iterdir())
    filled = [path.stem for path in files if path.read_text()]
    assert [train.get_data_info(index)['img_id'] for index in range(len(train))] == filled
    assert train[0]['dataset'] is train
    assert train.metainfo['classes'][9] == 'storage-tank' and train.metainfo['classes'][11] == 'roundabout'
    info = train.get_data_info(0)
    assert len(info['instances'][0]['bbox']) == 8 and Path(info['img_path']).is_file()
    assert set(train.get_cat_ids(0)) <= {0, 6, 9}

    easy = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=[], diff_thr=0))
    ignored = [one['ignore_flag'] for index in range(len(easy)) for one in easy.get_data_info(index)['instances']]
    assert 0 < sum(ignored) < len(ignored)
    val = DATASETS.build(dict(cfg.val_dataloader.dataset, pipeline=[]))
    assert len(val) == len(files) and 'dataset' not in val[0]
    test = DATASETS.build(
        {
            'type': 'YOLOv5DOTADataset',
            'data_root': str(split / 'split'),
            'data_prefix': {'img_path': 'test/images'},
            'test_mode': True,
            'pipeline': [],
        }
    )
    assert len(test) == 18 and test[0]['instances'] == []
    with pytest.raises(FileNotFoundError, match='Check data_root'):
        DATASETS.build(dict(cfg.val_dataloader.dataset, ann_file='nowhere'))
    with pytest.raises(ValueError, match="class 'ship' is not among"):
        DATASETS.build(dict(cfg.val_dataloader.dataset, metainfo={'classes': ('plane', 'storage-tank')}))


def predictions(dataset, jitter=0.0):
    """Data samples with predictions equal to the ground truth, in another description, or moved by some pixels."""
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        truth = sample.gt_instances
        boxes = RotatedBoxes(truth.bboxes.regularize_boxes('oc'))
        boxes.translate_((jitter, 0))
        sample.pred_instances = InstanceData(
            bboxes=boxes, scores=torch.linspace(0.9, 0.5, len(boxes)), labels=truth.labels
        )
        yield sample.to_dict()


def test_perfect_predictions(split):
    cfg = config(split)
    val = DATASETS.build(cfg.val_dataloader.dataset)
    for mode in ('11points', 'area'):
        for jitter, wanted in ((0.0, 1), (1000.0, 0)):
            metric = METRICS.build(dict(cfg.val_evaluator, eval_mode=mode, iou_thrs=[0.5, 0.75]))
            metric.dataset_meta = val.metainfo
            metric.process({}, list(predictions(val, jitter)))
            found = metric.evaluate(len(val))
            assert found == pytest.approx({'dota/mAP': wanted, 'dota/AP50': wanted, 'dota/AP75': wanted})


def test_submission(split, tmp_path):
    """Objects that several patches found are written once, where they lie in the image."""
    cfg = config(split)
    val = DATASETS.build(cfg.val_dataloader.dataset)
    metric = METRICS.build(
        {'type': 'mmrotate.DOTAMetric', 'format_only': True, 'merge_patches': True, 'outfile_prefix': str(tmp_path)}
    )
    metric.dataset_meta = val.metainfo
    metric.process({}, list(predictions(val)))
    assert metric.evaluate(len(val)) == {}
    found = {}
    with zipfile.ZipFile(tmp_path / 'Task1.zip') as archive:
        assert sorted(archive.namelist()) == sorted(f'Task1_{name}.txt' for name in val.metainfo['classes'])
        for name in ('plane', 'ship', 'storage-tank'):
            for line in archive.read(f'Task1_{name}.txt').decode().splitlines():
                image, score, *corners = line.split()
                assert 0.5 <= float(score) <= 0.9
                found.setdefault((image, name), []).append([float(value) for value in corners])
    written = 0
    for path in sorted((split / 'DOTA').glob('[tv][ra]*/labelTxt-v1.0/labelTxt/*.txt')):
        truth = {}
        for line in path.read_text().splitlines()[2:]:
            *corners, name, _ = line.split()
            truth.setdefault(name, []).append([float(value) for value in corners])
        for name, corners in truth.items():
            ours = torch.tensor(found.get((path.stem, name), [])).reshape(-1, 8)
            to_boxes = [box_class_of(rows) for rows in (torch.tensor(corners), ours)]
            iou = box_iou_rotated(to_boxes[1], to_boxes[0])
            assert ((iou > 0.95).sum(1) == 1).all() and ((iou > 0.95).sum(0) <= 1).all()
            written += len(ours)
    assert written > 20


def box_class_of(corners):
    from mmyolo.standins.mmrotate.structures import qbox2rbox

    return qbox2rbox(corners)


@pytest.mark.parametrize('name', ['rtmdet-r_tiny_fast_1xb8-36e_dota', 'rtmdet-r_l_syncbn_fast_2xb4-aug-100e_dota'])
def test_training_pipeline(split, name):
    """The pixels below a rotated box are those of its object, whatever the pipeline did."""
    cfg = config(split, name)
    text = json.dumps(cfg.train_dataloader.dataset.to_dict()).replace('[1024, 1024]', '[192, 192]')
    text = text.replace('[2048, 2048]', '[384, 384]').replace('[0.1, 2.0]', '[0.8, 1.2]')
    dataset = json.loads(text)
    for step in dataset['pipeline']:
        for key in ('img_scale', 'scale', 'size', 'crop_size', 'ratio_range'):
            if key in step:
                step[key] = tuple(step[key])
        step.pop('pad_val', None)
    dataset['pipeline'] = [
        step for step in dataset['pipeline'] if step['type'] not in ('mmdet.YOLOXHSVRandomAug', 'YOLOv5MixUp')
    ]
    np.random.seed(0)
    dataset = DATASETS.build(dataset)
    inside, outside = [], []
    for index in range(len(dataset)):
        data = dataset[index]
        image, boxes = data['inputs'].numpy(), data['data_samples'].gt_instances.bboxes
        assert image.shape == (3, 192, 192) and isinstance(boxes, RotatedBoxes)
        if 'aug' not in name:
            assert (boxes.widths >= boxes.heights - 1e-4).all()
            assert ((boxes.angles >= -np.pi / 2) & (boxes.angles < np.pi / 2)).all()
        for row in boxes.tensor.numpy():
            for scale, values in ((0.8, inside), (1.6, outside)):
                corners = RotatedBoxes(torch.tensor([[*row[:2], *row[2:4] * scale, row[4]]])).corners()[0].numpy()
                mask = cv2.fillPoly(np.zeros(image.shape[1:], np.uint8), [corners.round().astype(np.int32)], 1) > 0
                if scale > 1:
                    inner = RotatedBoxes(torch.tensor([[*row[:2], *row[2:4] * 1.2, row[4]]])).corners()[0].numpy()
                    mask &= cv2.fillPoly(mask.astype(np.uint8), [inner.round().astype(np.int32)], 0) > 0
                if mask.any():
                    values.append(image[1][mask].mean())  # the channel that is bright in objects alone
    assert np.mean(inside) > 195
    assert np.mean(outside) < 110


@pytest.mark.slow
def test_trains_validates_and_tests(split, tmp_path):
    """A step on patches, a validation, and the files for the server of a test."""
    text = config(split).pretty_text.replace('1024', '128')
    path = tmp_path / 'small.py'
    path.write_text(text)
    cfg = Config.fromfile(path)
    cfg.model.backbone.init_cfg = None
    cfg.model.neck.in_channels = [256, 512, 1024]
    cfg.train_cfg.max_epochs = 1
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.indices = 8
    cfg.val_dataloader.dataset.indices = 4
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_evaluator = {
        'type': 'mmrotate.DOTAMetric',
        'format_only': True,
        'merge_patches': True,
        'outfile_prefix': str(tmp_path / 'files'),
    }
    cfg.dump(path)
    work_dir = tmp_path / 'work'
    run_tool('train', path, '--work-dir', work_dir)
    scalars = [json.loads(line) for line in next(work_dir.rglob('scalars.json')).read_text().splitlines()]
    assert any('dota/mAP' in row and 0 <= row['dota/mAP'] <= 1 for row in scalars)
    assert (work_dir / 'epoch_1.pth').is_file() and list(work_dir.glob('best_dota_mAP*.pth'))
    run_tool('test', path, work_dir / 'epoch_1.pth', '--work-dir', work_dir)
    with zipfile.ZipFile(tmp_path / 'files/Task1.zip') as archive:
        assert len(archive.namelist()) == 15
