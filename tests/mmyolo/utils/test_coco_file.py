"""COCO files that leave out what the format leaves optional, and files that are none."""

import json
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image
from pycocotools import mask as mask_utils

from mmyolo.registry import DATASETS
from mmyolo.utils.coco_file import CocoFile, fill_coco_defaults, image_size, read_coco

MASK = np.zeros((20, 30), np.uint8)
MASK[5:15, 8:20] = 1
RLE = mask_utils.encode(np.asfortranarray(MASK))
RUNS = {'size': [20, 30], 'counts': [165, *[10, 10] * 11, 10, 600 - 165 - 230]}  # columns 8 to 19, rows 5 to 14


def content(annotation, **lists):
    return dict(
        {
            'images': [{'id': 1, 'file_name': '1.jpg'}],
            'categories': [{'id': 1, 'name': 'cat'}],
            'annotations': [dict(image_id=1, category_id=1, **annotation)],
        },
        **lists,
    )


@pytest.mark.parametrize(
    'annotation, box, area, crowd',
    [
        ({'bbox': [1, 2, 3, 4]}, [1, 2, 3, 4], 12, 0),
        ({'bbox': [1, 2, 3, 4], 'area': None, 'iscrowd': None}, [1, 2, 3, 4], 12, 0),
        ({'bbox': [1, 2, 3, 4], 'area': 5, 'iscrowd': 1}, [1, 2, 3, 4], 5, 1),
        ({'bbox': [1, 2, 0, 4]}, [1, 2, 0, 4], 0, 0),
        ({'segmentation': [[1, 1, 5, 1, 5, 4], [7, 2, 8, 2, 8, 9]]}, [1, 1, 7, 8], 56, 0),
        ({'segmentation': {'size': [20, 30], 'counts': RLE['counts'].decode()}}, [8, 5, 12, 10], 120, 0),
        ({'segmentation': RUNS}, [8, 5, 12, 10], 120, 0),
        ({'keypoints': [3, 4, 2, 0, 0, 0, 9, 6, 1]}, [3, 4, 6, 2], 12, 0),
    ],
)
def test_defaults_of_an_annotation(annotation, box, area, crowd):
    filled = fill_coco_defaults(content(annotation), 'x.json')['annotations'][0]
    assert (filled['bbox'], filled['area'], filled['iscrowd'], filled['id']) == (box, area, crowd, 1)


def test_ids_are_those_that_are_free():
    annotations = [
        dict(image_id=1, category_id=1, bbox=[0, 0, 1, 1], **more) for more in ({'id': 7}, {}, {'id': 3}, {})
    ]
    filled = fill_coco_defaults(content({}, annotations=annotations), 'x.json')
    assert [annotation['id'] for annotation in filled['annotations']] == [7, 8, 3, 9]


def test_lists_that_are_missing_are_empty():
    assert fill_coco_defaults({'images': []}, 'x.json') == {'images': [], 'annotations': [], 'categories': []}
    assert fill_coco_defaults({'images': [], 'annotations': None}, 'x.json')['annotations'] == []


@pytest.mark.parametrize(
    'wrong, words',
    [
        ([], '`images`'),
        ({'annotations': []}, '`images`'),
        ({'images': {}}, '`images`'),
        (content({'bbox': [1, 2, 3]}), r'annotations\[0\].bbox is \[1, 2, 3\]'),
        (content({'bbox': '1 2 3 4'}), 'four numbers'),
        (content({'bbox': [1, 2, 3, None]}), 'four numbers'),
        (content({}), 'no bbox'),
        (content({'segmentation': []}), 'no bbox'),
        (content({'keypoints': [1, 1, 0]}), 'no point'),
        (content({}, annotations={}), '`annotations` is a dict'),
        (content({}, annotations=[3]), r'annotations\[0\] is 3'),
        (content({}, annotations=[{'image_id': 1}]), r'annotations\[0\] lacks category_id'),
        (content({}, images=[{'id': 1}]), r'images\[0\] lacks file_name'),
        (content({}, categories=[{'name': 'cat'}]), r'categories\[0\] lacks id'),
    ],
)
def test_what_is_no_coco_file_is_named(wrong, words, tmp_path):
    (tmp_path / 'x.json').write_text(json.dumps(wrong))
    with pytest.raises(ValueError, match=words) as error:
        read_coco(tmp_path / 'x.json')
    assert 'x.json' in str(error.value)


@pytest.mark.parametrize('data', [b'', b'{', b'\xff\xfe{\x00', b'[' * 100000])
def test_what_is_no_json_is_named(data, tmp_path):
    (tmp_path / 'x.json').write_bytes(data)
    with pytest.raises(ValueError, match='x.json is not a JSON file'):
        read_coco(tmp_path / 'x.json')


def test_index(tmp_path, capsys):
    (tmp_path / 'x.json').write_text('\ufeff' + json.dumps(content({'bbox': [1, 2, 3, 4]})), encoding='utf-8')
    index = CocoFile(tmp_path / 'x.json')
    assert index.load_anns(index.get_ann_ids(img_ids=[1]))[0]['area'] == 12
    assert index.cat_img_map[1] == [1] and index.get_img_ids() == [1] and CocoFile().anns == {}
    assert capsys.readouterr().out == ''


def data_set(folder, description, **options):
    (folder / 'x.json').write_text(json.dumps(description))
    return DATASETS.build(
        dict(
            {
                'type': 'YOLOv5CocoDataset',
                'data_root': str(folder),
                'ann_file': 'x.json',
                'data_prefix': {'img': ''},
                'metainfo': {'classes': ('cat',)},
                'pipeline': [],
            },
            **options,
        )
    )


def test_a_data_set_reads_sizes_from_the_images(tmp_path):
    cv2.imwrite(str(tmp_path / '1.jpg'), np.zeros((40, 60, 3), np.uint8))
    images = [
        {'id': 1, 'file_name': '1.jpg'},
        {'id': 2, 'file_name': 'absent.jpg'},
        {'id': 3, 'file_name': '1.jpg', 'width': 6, 'height': 4},
    ]
    annotations = [{'image_id': image, 'category_id': 1, 'bbox': [1, 2, 3, 20]} for image in (1, 2)]
    infos = [data_set(tmp_path, content({}, images=images, annotations=annotations)).get_data_info(i) for i in range(3)]
    assert [(info['width'], info['height']) for info in infos] == [(60, 40), (4, 22), (6, 4)]
    assert [[one['bbox'] for one in info['instances']] for info in infos] == [[[1, 2, 4, 22]], [[1, 2, 4, 22]], []]
    assert image_size(tmp_path / '1.jpg') == (60, 40)


@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp', 'tif'])
@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_the_size_of_an_image_is_that_which_opencv_loads(tmp_path, kind, orientation):
    path = tmp_path / f'x.{kind}'
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new('RGB', (60, 40)).save(path, exif=exif)
    assert image_size(path) == cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR).shape[1::-1]


def test_the_size_of_an_image_that_pillow_would_call_a_bomb(tmp_path):
    header = struct.pack('>4s2I5B', b'IHDR', 14000, 13000, 8, 2, 0, 0, 0)
    end = b'\0\0\0\0IDAT' + struct.pack('>I', zlib.crc32(b'IDAT'))
    (tmp_path / 'x.png').write_bytes(
        b'\x89PNG\r\n\x1a\n\0\0\0\r' + header + struct.pack('>I', zlib.crc32(header)) + end
    )
    assert image_size(tmp_path / 'x.png') == (14000, 13000)


def test_keypoints_need_no_sizes_either(tmp_path):
    cv2.imwrite(str(tmp_path / '1.jpg'), np.zeros((40, 60, 3), np.uint8))
    person = content({'bbox': [1, 2, 30, 20], 'keypoints': [5, 6, 2] * 17}, categories=[{'id': 1, 'name': 'person'}])
    info = data_set(tmp_path, person, type='PoseCocoDataset', metainfo=None).get_data_info(0)
    assert (info['width'], info['height'], len(info['keypoints'])) == (60, 40, 1)


def test_images_to_be_tested_need_no_annotations(tmp_path):
    cv2.imwrite(str(tmp_path / '1.jpg'), np.zeros((40, 60, 3), np.uint8))
    found = data_set(tmp_path, {'images': [{'id': 1, 'file_name': '1.jpg'}]}, test_mode=True)
    assert len(found) == 1 and found.get_data_info(0)['instances'] == []
