"""Every tool that reads a COCO file takes one without the optional keys, and gives what it gives for a whole one."""

import json
import pickle

import numpy as np
import pytest
import torch
from small_data import BOXES, HEIGHT, WIDTH, write_coco, write_images

from mmyolo.evaluation import FastCocoMetric
from tests.tools.running import ROOT, load_tool

CLASSES = ('bolt', 'nut')
# What is left of an image, an annotation and the file.
BARE = (('id', 'file_name'), ('id', 'image_id', 'category_id', 'bbox'), ('images', 'annotations', 'categories'))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """whole/ and bare/ with the same four images and objects, in the layout of COCO 2017 and with lists beside it."""
    root = tmp_path_factory.mktemp('optional')
    for name in ('whole', 'bare'):
        for part in ('train2017', 'val2017'):
            write_coco(
                root / name / 'annotations' / f'instances_{part}.json', write_images(root / name / part), CLASSES
            )
        for file in (root / name / 'annotations').iterdir():
            content = json.loads(file.read_text())
            for annotation in content['annotations']:
                annotation['segmentation'] = []
            if name == 'bare':
                images, annotations, lists = BARE
                content = {key: content[key] for key in lists}
                content['images'] = [{key: one[key] for key in images} for one in content['images']]
                content['annotations'] = [{key: one[key] for key in annotations} for one in content['annotations']]
            file.write_text(json.dumps(content))
    return root


def write_config(folder, path):
    path.write_text(
        f'_base_ = {str(ROOT / "configs/yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py")!r}\n'
        f'data = dict(data_root={str(folder)!r}, ann_file="annotations/instances_val2017.json",\n'
        f'            data_prefix=dict(img="val2017/"), metainfo=dict(classes={CLASSES!r}))\n'
        'train_dataloader = dict(dataset=data)\nval_dataloader = dict(dataset=data)\ntest_dataloader = val_dataloader\n'
        'model = dict(bbox_head=dict(prior_generator=dict(base_sizes=[[(10, 13)], [(30, 61)]])))\n'
    )
    return str(path)


def write_predictions(path):
    found = [
        {
            'img_id': image,
            'pred_instances': {
                'bboxes': torch.tensor(boxes, dtype=torch.float32),
                'scores': torch.tensor([0.9, 0.4]),
                'labels': torch.tensor([0, 1]),
            },
        }
        for image, boxes in enumerate(BOXES)
    ]
    path.write_bytes(pickle.dumps(found))
    return str(path)


# Tool -> its arguments, given the folder of the data, that of the output, and a config.
TOOLS = {
    'analysis_tools/optimize_anchors': lambda data, out, cfg: [
        cfg,
        '--algorithm',
        'v5-k-means',
        '--seed',
        '0',
        '--out-dir',
        out,
        '--device',
        'cpu',
    ],
    'analysis_tools/dataset_analysis': lambda data, out, cfg: [cfg, '--out-dir', out, '--func', 'show_bbox_area'],
    'analysis_tools/browse_dataset': lambda data, out, cfg: [
        cfg,
        '-p',
        'val',
        '-n',
        '1',
        '--not-show',
        '--out-dir',
        out,
    ],
    'analysis_tools/browse_dataset_simple': lambda data, out, cfg: [cfg, '--output-dir', out],
    'analysis_tools/browse_coco_json': lambda data, out, cfg: [
        '--data-root',
        data,
        '--img-dir',
        'val2017',
        '--ann-file',
        'annotations/instances_val2017.json',
        '--disp-all',
        '--out-dir',
        out,
    ],
    'analysis_tools/confusion_matrix': lambda data, out, cfg: [cfg, write_predictions(data.parent / 'found.pkl'), out],
    'misc/coco_split': lambda data, out, cfg: [
        '--json',
        data / 'annotations/instances_val2017.json',
        '--out-dir',
        out,
        '--ratios',
        '1',
        '1',
    ],
    'misc/extract_subcoco': lambda data, out, cfg: [
        data,
        out,
        '--num-img',
        '2',
        '--seed',
        '1',
        '--area-size',
        'medium',
    ],
}
DRAWN_BY_CHANCE = ('analysis_tools/browse_dataset_simple',)  # training images are augmented


def outputs(folder):
    """Name -> content of every file; JSON without the keys that are optional."""
    found = {}
    for path in sorted(folder.rglob('*')):
        if path.suffix == '.json':
            content = json.loads(path.read_text())
            if isinstance(content, dict):
                content = [
                    [image['file_name'] for image in content['images']],
                    [[one['image_id'], one['category_id'], *one['bbox']] for one in content['annotations']],
                ]
            found[path.name] = content
        elif path.is_file():
            found[path.name] = path.read_bytes()
    return found


@pytest.mark.parametrize('name', TOOLS)
def test_tool(name, data, tmp_path, monkeypatch):
    for variable in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(variable, raising=False)
    found = {}
    for kind in ('whole', 'bare'):
        out = tmp_path / kind
        arguments = TOOLS[name](data / kind, out, write_config(data / kind, tmp_path / f'{kind}.py'))
        load_tool(name).main(list(map(str, arguments)))
        found[kind] = outputs(out)
    assert found['bare'].keys() == found['whole'].keys() != set()
    if name not in DRAWN_BY_CHANCE:
        assert found['bare'] == found['whole']


@pytest.mark.parametrize('backend', ['faster_coco_eval', 'pycocotools'])
def test_evaluation(data, backend):
    values = []
    for kind in ('whole', 'bare'):
        metric = FastCocoMetric(str(data / kind / 'annotations/instances_val2017.json'), backend=backend)
        metric.dataset_meta = {'classes': CLASSES}
        for image, boxes in enumerate(BOXES):
            instances = {
                'bboxes': torch.tensor(boxes, dtype=torch.float32),
                'scores': torch.tensor([0.9, 0.8]),
                'labels': torch.tensor([0, 1] if image else [1, 0]),
            }
            metric.process({}, [{'img_id': image, 'ori_shape': (HEIGHT, WIDTH), 'pred_instances': instances}])
        values.append(metric.evaluate(size=len(BOXES)))
    assert values[0] == values[1]
    assert 0.3 < values[0]['coco/bbox_mAP'] < 0.9 and np.isfinite(list(values[0].values())).all()
