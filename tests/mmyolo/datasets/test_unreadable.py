"""Data sets in which most images cannot be read: the others are used, and every unreadable one is named once."""

import json
import multiprocessing
import os
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import DumpResults, Evaluator
from mmengine.structures import InstanceData
from torch.utils.data import DataLoader

from mmyolo.datasets import YOLOv5CocoDataset
from mmyolo.datasets.transforms import LoadCachedImage, LoadImageFromFile
from mmyolo.errors import UnreadableImageError
from mmyolo.evaluation import FastCocoMetric
from mmyolo.evaluation.readable_only import ReadableOnly
from mmyolo.registry import METRICS
from mmyolo.utils.unreadable import UNREADABLE, UnreadableImage
from tests.damaged_images import READABLE, can_be_read, photo, write_damaged

CLASSES = ('a', 'b')
LOAD = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True}]
CACHED = [LOAD[1], {'type': 'LoadCachedImage', 'max_size': 32, 'cache_bytes': 2**20}]
PACK = {'type': 'mmdet.PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'scale_factor')}


@pytest.fixture(autouse=True)
def forget():
    UNREADABLE.clear()
    yield
    UNREADABLE.clear()


@pytest.fixture(scope='module')
def damaged(tmp_path_factory):
    """A COCO file of all kinds of damage, a box in each, and which of them can be read."""
    folder = tmp_path_factory.mktemp('damaged')
    names = write_damaged(folder)
    return write_coco(folder, names), {name for name in names if can_be_read(folder / name)}


def write_coco(folder, names):
    images = [{'id': index, 'file_name': name, 'width': 96, 'height': 64} for index, name in enumerate(names)]
    boxes = [
        {
            'id': index + 1,
            'image_id': index,
            'bbox': [2, 4, 40, 30],
            'area': 1200,
            'iscrowd': 0,
            'category_id': index % 2,
        }
        for index in range(len(names))
    ]
    categories = [{'id': label, 'name': name} for label, name in enumerate(CLASSES)]
    (folder / 'coco.json').write_text(json.dumps({'images': images, 'annotations': boxes, 'categories': categories}))
    return folder / 'coco.json'


def make_dataset(file, pipeline, **kwargs):
    return YOLOv5CocoDataset(
        ann_file=str(file),
        data_prefix={'img': str(file.parent)},
        pipeline=pipeline,
        metainfo={'classes': CLASSES},
        **kwargs,
    )


def base_name(data):
    return os.path.basename(data['data_samples'].img_path)


def mixing(load):
    mosaic = [
        *load,
        {'type': 'Mosaic', 'img_scale': (32, 32), 'pad_val': 114.0, 'pre_transform': load},
        {'type': 'YOLOv5RandomAffine', 'border': (-16, -16)},
    ]
    return [*mosaic, {'type': 'YOLOv5MixUp', 'pre_transform': mosaic}, PACK]


def mixing_as_yolox(load):
    return [
        *load,
        {'type': 'Mosaic9', 'img_scale': (32, 32), 'pad_val': 114.0, 'pre_transform': load},
        {'type': 'YOLOXMixUp', 'img_scale': (64, 64), 'pre_transform': load},
        PACK,
    ]


@pytest.mark.parametrize('load', [LOAD, CACHED])
@pytest.mark.parametrize('make', [lambda load: [*load, PACK], mixing, mixing_as_yolox])
def test_training_takes_another_image(damaged, load, make):
    file, readable = damaged
    assert len(readable) > 40 and set(READABLE) < readable
    np.random.seed(0)
    dataset = make_dataset(file, make(load))
    names = [base_name(dataset[index]) for index in range(len(dataset))]
    assert set(names) <= readable
    assert names[0] == 'plain.jpg'
    used = {base_name(dataset[index]) for index in range(len(dataset))} | set(names)
    assert used == readable
    skipped = {os.path.basename(image.path) for image in UNREADABLE.all('training')}
    assert skipped == {path.name for path in file.parent.iterdir() if path.name != 'coco.json'} - readable
    assert all(image.reason for image in UNREADABLE.all())


def test_loader_processes_share_what_they_found(damaged, capsys):
    file, readable = damaged
    dataset = make_dataset(file, [*LOAD, PACK])
    loader = DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=list)
    for _ in range(2):
        names = [base_name(data) for batch in loader for data in batch]
        assert len(names) == len(dataset) and set(names) <= readable
    unreadable = len(dataset) - len(readable)
    assert len(UNREADABLE.all('training')) == unreadable


def test_an_image_is_named_once(tmp_path, caplog):
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8\xff')
    cv2.imwrite(str(tmp_path / 'good.jpg'), photo())
    dataset = make_dataset(write_coco(tmp_path, ['broken.jpg', 'gone.jpg', 'good.jpg']), [*LOAD, PACK])
    with caplog.at_level('WARNING'):
        names = [base_name(dataset[index]) for index in (0, 0, 1, 2, 1, 0)]
    assert names == ['good.jpg'] * 6
    assert {(os.path.basename(image.path), image.reason) for image in UNREADABLE.all()} == {
        ('broken.jpg', 'not a readable image, or a damaged one'),
        ('gone.jpg', 'No such file or directory'),
    }


@pytest.mark.parametrize('load', [LOAD, CACHED])
def test_nothing_readable_is_an_error_that_names_images(tmp_path, load):
    dataset = make_dataset(write_coco(tmp_path, [f'{index}.jpg' for index in range(5)]), [*load, PACK])
    with pytest.raises(UnreadableImageError, match=r'5 images of the training set .*4?\.jpg \(No such file'):
        dataset[0]


def test_a_mix_without_a_readable_partner_is_an_error(tmp_path):
    cv2.imwrite(str(tmp_path / '0.jpg'), photo())
    dataset = make_dataset(write_coco(tmp_path, ['0.jpg', '1.jpg']), mixing(LOAD))
    assert base_name(dataset[0]) == '0.jpg'  # mixed with itself
    (tmp_path / '0.jpg').unlink()
    with pytest.raises(UnreadableImageError, match='2 images of the training set'):
        dataset[0]


def test_the_fault_of_the_machine_is_no_fault_of_the_image(damaged, monkeypatch):
    dataset = make_dataset(damaged[0], [*LOAD, PACK])
    monkeypatch.setattr(LoadImageFromFile, 'transform', _no_handles)
    with pytest.raises(OSError, match='Too many open files'):
        dataset[0]


def _no_handles(self, results):
    raise OSError(24, os.strerror(24))


def test_large_photos_are_read_by_all_alike(tmp_path, monkeypatch):
    """Pillow rejects images of twice its limit, OpenCV does not."""
    monkeypatch.setattr('PIL.Image.MAX_IMAGE_PIXELS', 1000)
    cv2.imwrite(str(tmp_path / 'large.jpg'), photo(96, 64))
    results = {'img_path': str(tmp_path / 'large.jpg')}
    assert LoadImageFromFile()(dict(results))['ori_shape'] == (64, 96)
    assert LoadCachedImage(20)(dict(results))['ori_shape'] == (64, 96)


# ---- evaluation


def found_in(dataset):
    """Data samples in which every box is found exactly, and something in the blank images too."""
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        boxes = torch.tensor([[2.0, 4, 42, 34]])
        if sample.get('unreadable'):
            boxes = boxes + 50
        yield DetDataSample(
            metainfo=dict(sample.metainfo, unreadable=sample.get('unreadable')),
            gt_instances=sample.gt_instances,
            ignored_instances=InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0)),
            pred_instances=InstanceData(bboxes=boxes, scores=torch.tensor([0.9]), labels=torch.tensor([index % 2])),
        )


METRIC_CONFIGS = [
    {'type': 'FastCocoMetric'},
    {'type': 'FastCocoMetric', 'format_only': False, 'metric': 'proposal'},
    {'type': 'mmdet.CocoMetric'},
    {'type': 'mmdet.VOCMetric', 'metric': 'mAP', 'eval_mode': 'area'},
]
FULL = {'FastCocoMetric': 'coco/bbox_mAP', 'mmdet.CocoMetric': 'coco/bbox_mAP', 'mmdet.VOCMetric': 'pascal_voc/mAP'}


@pytest.mark.parametrize('cfg', METRIC_CONFIGS)
def test_unreadable_images_do_not_count_in_an_evaluation(damaged, cfg):
    file, readable = damaged
    cfg = dict(cfg) if 'VOC' in cfg['type'] else dict(cfg, ann_file=str(file), proposal_nums=(100, 300, 1000))
    dataset = make_dataset(file, [LOAD[0], {'type': 'LoadAnnotations', 'with_bbox': True}, PACK], test_mode=True)
    evaluator = Evaluator([ReadableOnly(METRICS.build(cfg))])
    evaluator.dataset_meta = dataset.metainfo
    samples = list(found_in(dataset))
    assert sum(bool(sample.get('unreadable')) for sample in samples) == len(dataset) - len(readable)
    for start in range(0, len(samples), 8):
        evaluator.process(samples[start : start + 8])
    metrics = evaluator.evaluate(len(dataset))
    key = 'coco/AR@100' if cfg.get('metric') == 'proposal' else FULL[cfg['type']]
    assert metrics[key] == pytest.approx(1)


def test_crowds_of_unreadable_images_do_not_count(tmp_path):
    """CrowdHuman's objects stand in a file of lines, in the order of the images."""
    box = {'tag': 'person', 'vbox': [2, 4, 40, 30], 'hbox': [2, 4, 9, 9], 'head_attr': {}, 'extra': {}}
    lines = [json.dumps({'ID': str(index), 'gtboxes': [dict(box, fbox=[2, 4, 40, 30 + index])]}) for index in range(4)]
    found = InstanceData(
        bboxes=torch.tensor([[2.0, 4, 42, 34]]), scores=torch.tensor([0.9]), labels=torch.zeros(1).long()
    )
    samples = [
        DetDataSample(
            metainfo={'img_id': str(index), 'ori_shape': (64, 96), 'unreadable': index == 1}, pred_instances=found
        )
        for index in range(4)
    ]

    def measure(kept, wrap):
        (tmp_path / 'val.odgt').write_text('\n'.join(lines[index] for index in kept))
        metric = wrap(
            METRICS.build({'type': 'mmdet.CrowdHumanMetric', 'ann_file': str(tmp_path / 'val.odgt'), 'metric': ['AP']})
        )
        Evaluator([metric]).process([samples[index] for index in kept])
        return metric.evaluate(len(kept))['crowd_human/mAP']

    assert 0 < measure((0, 2, 3), lambda metric: metric) == measure((0, 1, 2, 3), ReadableOnly)


def test_without_the_wrapper_they_would_count(damaged):
    file, readable = damaged
    dataset = make_dataset(file, [*LOAD, PACK], test_mode=True)
    evaluator = Evaluator([FastCocoMetric(ann_file=str(file))])
    evaluator.dataset_meta = dataset.metainfo
    evaluator.process(list(found_in(dataset)))
    assert evaluator.evaluate(len(dataset))['coco/bbox_mAP'] < 0.8


def test_predictions_that_are_written_are_those_of_readable_images(damaged, tmp_path):
    file, readable = damaged
    dataset = make_dataset(file, [*LOAD, PACK], test_mode=True)
    dump = ReadableOnly(DumpResults(str(tmp_path / 'results.pkl')))
    Evaluator([dump]).process(list(found_in(dataset)))
    dump.evaluate(len(dataset))
    written = pickle.loads((tmp_path / 'results.pkl').read_bytes())
    assert {os.path.basename(sample['img_path']) for sample in written} == readable


def test_an_evaluation_of_nothing_is_an_error(tmp_path):
    file = write_coco(tmp_path, ['1.jpg', '2.jpg'])
    dataset = make_dataset(file, [*LOAD, PACK], test_mode=True)
    metric = ReadableOnly(FastCocoMetric(ann_file=str(file)))
    metric.dataset_meta = dataset.metainfo
    Evaluator([metric]).process(list(found_in(dataset)))
    with pytest.raises(UnreadableImageError, match='2 images of the validation set .*1.jpg'):
        metric.evaluate(2)


def test_the_list_is_shared_by_forks():
    with multiprocessing.get_context('fork').Pool(2) as pool:
        added = pool.map(UNREADABLE.add, [UnreadableImage('training', str(number % 7), 'cut') for number in range(70)])
    assert sum(added) == 7
    assert sorted(image.path for image in UNREADABLE.all()) == [str(number) for number in range(7)]


def test_names_that_are_not_utf8_can_be_told(tmp_path, caplog):
    names = [os.fsdecode(b'\xff%d.jpg' % number) for number in range(2)]
    dataset = make_dataset(write_coco(tmp_path, names), [*LOAD, PACK])
    with pytest.raises(UnreadableImageError) as caught:
        dataset[0]
    assert r'\udcff0.jpg (No such file' in str(caught.value).encode().decode()
    assert sorted(os.path.basename(image.path) for image in UNREADABLE.all()) == names
