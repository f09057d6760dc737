import json

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope

from mmyolo.datasets import YOLOv5CocoDataset, YOLOv5VOCDataset, yolov5_collate
from mmyolo.registry import DATASETS
from tests.mmyolo.datasets.samples import make_image

SIZES = ((40, 60), (60, 40), (50, 50), (30, 60), (16, 16))


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmyolo'):
        yield


@pytest.fixture
def coco(tmp_path):
    """Five images of SIZES: one box of class 1 in each, the third with no more than a crowd."""
    images, annotations = [], []
    for index, (height, width) in enumerate(SIZES):
        cv2.imwrite(str(tmp_path / f'{index}.png'), make_image(height, width, index))
        images.append({'id': index, 'file_name': f'{index}.png', 'height': height, 'width': width})
        annotations.append(
            {
                'id': index + 1,
                'image_id': index,
                'bbox': [2, 4, 10, 8],
                'area': 80,
                'iscrowd': int(index == 2),
                'category_id': 7,
            }
        )
    categories = [{'id': 5, 'name': 'a'}, {'id': 7, 'name': 'b'}]
    (tmp_path / 'coco.json').write_text(
        json.dumps({'images': images, 'annotations': annotations, 'categories': categories})
    )
    return {
        'ann_file': str(tmp_path / 'coco.json'),
        'data_prefix': {'img': str(tmp_path)},
        'metainfo': {'classes': ('a', 'b')},
    }


LOAD = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True}]


def pipeline(load, scale=(32, 32)):
    border = (-scale[0] // 2, -scale[1] // 2)
    mosaic_affine = [
        *load,
        {'type': 'Mosaic', 'img_scale': scale, 'pad_val': 114.0, 'pre_transform': load},
        {'type': 'YOLOv5RandomAffine', 'max_rotate_degree': 0.0, 'max_shear_degree': 0.0, 'border': border},
    ]
    return [
        *mosaic_affine,
        {'type': 'YOLOv5MixUp', 'prob': 0.5, 'pre_transform': mosaic_affine},
        {'type': 'mmdet.Albu', 'transforms': [{'type': 'Blur', 'p': 0.01}]},
        {'type': 'YOLOv5HSVRandomAug'},
        {'type': 'mmdet.RandomFlip', 'prob': 0.5},
        {
            'type': 'mmdet.PackDetInputs',
            'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction'),
        },
    ]


def test_list_filter_and_batch_shapes(coco):
    shapes = {'type': 'BatchShapePolicy', 'batch_size': 2, 'img_size': 64, 'extra_pad_ratio': 0}
    dataset = DATASETS.build(
        dict(type='YOLOv5CocoDataset', batch_shapes_cfg=shapes, filter_cfg={'min_size': 20}, **coco)
    )
    # Sorted by height / width before the filter takes the image of 16 x 16 out of its batch.
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == [3, 0, 2, 1]
    assert all(dataset.get_data_info(i)['batch_shape'].tolist() == [64, 64] for i in range(4))
    plain = YOLOv5CocoDataset(test_mode=True, **coco)
    assert [plain.get_data_info(i)['img_id'] for i in range(5)] == [0, 1, 2, 3, 4]
    assert 'batch_shape' not in plain.get_data_info(0)
    assert len(YOLOv5CocoDataset(indices=2, **coco)) == 2


def test_only_training_offers_the_dataset_to_the_pipeline(coco):
    train = YOLOv5CocoDataset(pipeline=[lambda results: results], **coco)
    assert train[1]['dataset'] is train
    test = YOLOv5CocoDataset(pipeline=[lambda results: results], test_mode=True, **coco)
    assert 'dataset' not in test[1] and test[1]['img_id'] == 1


@pytest.mark.parametrize('max_size', [None, 32])
def test_public_training_pipeline(coco, max_size):
    load = (
        LOAD if max_size is None else [LOAD[1], {'type': 'LoadCachedImage', 'max_size': max_size, 'cache_bytes': 2**20}]
    )
    dataset = YOLOv5CocoDataset(pipeline=pipeline(load), **coco)
    np.random.seed(0)
    batch = [dataset[index] for index in range(5)]
    for index, data in enumerate(batch):
        assert data['data_samples'].img_id == index
        assert data['data_samples'].ori_shape == SIZES[index] and data['data_samples'].img_shape[:2] == (32, 32)
    result = yolov5_collate(batch)
    assert result['inputs'].shape == (5, 3, 32, 32)
    rows = result['data_samples']['bboxes_labels']
    assert len(rows) > 5 and set(rows[:, 1].tolist()) == {1.0}
    assert rows[:, 2:].min() >= 0 and rows[:, 2:].max() <= 32


def test_cached_images_train_like_loaded_ones(coco):
    """Images that fit the cache unshrunk and the mosaic's own resize: everything after loading is the same."""
    results = []
    for load in (LOAD, [LOAD[1], {'type': 'LoadCachedImage', 'max_size': 64, 'cache_bytes': 2**20}]):
        dataset = YOLOv5CocoDataset(pipeline=pipeline(load, (64, 64)), **coco)
        np.random.seed(1)
        results.append(yolov5_collate([dataset[index] for index in range(5)]))
    assert (results[0]['inputs'] == results[1]['inputs']).all()
    assert (results[0]['data_samples']['bboxes_labels'] == results[1]['data_samples']['bboxes_labels']).all()


def test_public_test_pipeline(coco):
    test_pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'YOLOv5KeepRatioResize', 'scale': (64, 64)},
        {'type': 'LetterResize', 'scale': (64, 64), 'allow_scale_up': False, 'pad_val': {'img': 114}},
        {'type': 'LoadAnnotations', 'with_bbox': True, '_scope_': 'mmdet'},
        {'type': 'mmdet.PackDetInputs', 'meta_keys': ('img_id', 'ori_shape', 'img_shape', 'scale_factor', 'pad_param')},
    ]
    shapes = {'type': 'BatchShapePolicy', 'batch_size': 1, 'img_size': 64}
    dataset = YOLOv5CocoDataset(pipeline=test_pipeline, test_mode=True, batch_shapes_cfg=shapes, **coco)
    data = dataset[0]  # 30 x 60
    assert data['inputs'].shape == (3, 64, 96)
    assert data['data_samples'].pad_param.tolist() == [16, 16, 16, 16]
    assert data['data_samples'].gt_instances.bboxes.tensor.tolist() == [[2, 4, 12, 12]]  # in the file's pixels


VOC_OBJECT = (
    '<annotation><size><width>60</width><height>40</height></size><object><name>{}</name><difficult>0</difficult>'
    '<bndbox><xmin>3</xmin><ymin>5</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object></annotation>'
)


def voc(root, data, **options):
    """A data set of one image of 60 x 40 and these bytes of an annotation."""
    for folder in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (root / 'VOC2007' / folder).mkdir(parents=True)
    cv2.imwrite(str(root / 'VOC2007/JPEGImages/000001.jpg'), make_image(40, 60))
    (root / 'VOC2007/Annotations/000001.xml').write_bytes(data)
    (root / 'VOC2007/ImageSets/Main/trainval.txt').write_text('000001\n')
    return YOLOv5VOCDataset(
        data_root=str(root),
        ann_file='VOC2007/ImageSets/Main/trainval.txt',
        data_prefix={'sub_data_root': 'VOC2007/'},
        pipeline=LOAD,
        **options,
    )


def test_voc(tmp_path):
    dataset = voc(tmp_path, VOC_OBJECT.format('cat').encode())
    results = dataset[0]
    assert results['dataset'] is dataset
    assert results['gt_bboxes'].numpy().tolist() == [[2, 4, 19, 29]]
    assert dataset.metainfo['classes'][results['gt_bboxes_labels'][0]] == 'cat'


@pytest.mark.parametrize(
    'declared, name',
    [
        ('gb2312', '安全帽'),
        ('GBK', '安全帽'),
        ('gb18030', '安全帽'),
        ('big5', '安全帽'),
        ('shift_jis', 'ヘルメット'),
        ('euc-kr', '안전모'),
        ('windows-1251', 'каска'),
        ('utf-16', '安全帽'),
        ('utf-8', '安全帽'),
        ('latin-1', 'é'),
    ],
)
def test_voc_in_declared_encodings(tmp_path, declared, name):
    text = f'<?xml version="1.0" encoding="{declared}"?>\n' + VOC_OBJECT.format(name)
    dataset = voc(tmp_path, text.encode(declared), metainfo={'classes': ('cat', name)})
    assert dataset[0]['gt_bboxes'].numpy().tolist() == [[2, 4, 19, 29]] and dataset[0]['gt_bboxes_labels'].tolist() == [
        1
    ]
    assert dataset.get_data_info(0)['xml_path'].endswith('000001.xml')


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'<annotation>',
        b'<?xml version="1.0" encoding="gb2312"?><annotation>\xff</annotation>',
        b'<?xml version="1.0" encoding="none"?><annotation/>',
        VOC_OBJECT.format('cat').replace('<width>60</width>', '').encode(),
        VOC_OBJECT.format('cat').replace('>20<', '>twenty<').encode(),
    ],
)
def test_a_damaged_file_of_voc_is_named(tmp_path, data):
    with pytest.raises(ValueError, match=r'Annotations/000001\.xml cannot be read as an annotation of VOC'):
        voc(tmp_path, data)


def test_crowdhuman(tmp_path):
    (tmp_path / 'Images').mkdir()
    cv2.imwrite(str(tmp_path / 'Images/a.jpg'), make_image(40, 60))
    line = {
        'ID': 'a',
        'gtboxes': [
            {'tag': 'person', 'fbox': [2, 4, 10, 20], 'hbox': [3, 4, 5, 5], 'vbox': [2, 4, 9, 18], 'extra': {}},
            {
                'tag': 'mask',
                'fbox': [30, 4, 10, 20],
                'hbox': [3, 4, 5, 5],
                'vbox': [2, 4, 9, 18],
                'extra': {'ignore': 1},
            },
        ],
    }
    (tmp_path / 'train.odgt').write_text(json.dumps(line))
    dataset = DATASETS.build(
        {
            'type': 'YOLOv5CrowdHumanDataset',
            'data_root': str(tmp_path),
            'ann_file': 'train.odgt',
            'data_prefix': {'img': 'Images'},
            'pipeline': LOAD,
        }
    )
    results = dataset[0]
    assert results['dataset'] is dataset
    assert results['gt_bboxes'].numpy().tolist() == [[2, 4, 12, 24]]  # the ignored one is not loaded
