"""The numbers in a page of an inference are those of COCO's evaluators, from the files on."""

import json
import re

import numpy as np
import pytest

from report_pages.charts import BOTTOM, LEFT, RIGHT, TOP
from tests.ymir_local.report import coco_reference, runs
from tests.ymir_local.report.reader import report
from ymir_local.datasets import read_dataset
from ymir_local.demo.sample_data import generate
from ymir_local.platform.labels import Dataset, LabelledBox, LabelledImage
from ymir_local.report.evaluation import BoxTable


@pytest.fixture
def labelled(tmp_path, class_names):
    """Thirty images, some with a crowd, in a COCO folder."""
    images = generate(tmp_path / 'labelled' / 'images', 30, 3, size_range=(64, 96), objects_range=(1, 5))
    annotations = [
        {'image_id': k, 'category_id': box.class_index + 1, 'bbox': [box.x, box.y, box.w, box.h], 'iscrowd': 0}
        for k, image in enumerate(images)
        for box in image.boxes
    ]
    annotations += [
        {'image_id': k, 'category_id': 1 + k % 3, 'bbox': [0, 0, 40, 50], 'iscrowd': 1} for k in range(0, 30, 4)
    ]
    content = {
        'images': [{'id': k, 'file_name': image.path.name} for k, image in enumerate(images)],
        'categories': [{'id': k, 'name': name} for k, name in enumerate(class_names, 1)],
        'annotations': [dict(item, id=k) for k, item in enumerate(annotations, 1)],
    }
    (tmp_path / 'labelled' / 'annotations.json').write_text(json.dumps(content))
    return images, content


def test_page_of_a_coco_folder(labelled, tmp_path, class_names):
    images, content = labelled
    objects = runs.jittered(images, class_names)
    task = runs.candidates(tmp_path / 'infer', [image.path for image in images], class_names)
    runs.write_detections(task, objects)
    runs.finish(task)
    page = report(task, tmp_path, labels=read_dataset(tmp_path / 'labelled', 'coco'))

    found = BoxTable.of(
        [(k, class_names.index(name), *box, score) for k, items in enumerate(objects) for name, score, *box in items]
    )
    truth, crowds = (
        BoxTable.of(
            [
                (item['image_id'], item['category_id'] - 1, *item['bbox'], 1)
                for item in content['annotations']
                if item['iscrowd'] == crowd
            ]
        )
        for crowd in (0, 1)
    )
    reference = coco_reference.evaluated(found, truth, crowds, 3, len(images))
    precision = coco_reference.precisions(reference)
    ap = precision.mean(1)
    assert [row[5:7] for row in page.table('class')[1:]] == [
        [f'{ap[0, k]:.3f}', f'{ap[:, k].mean():.3f}'] for k in range(3)
    ]
    assert f'<dd id="map">{ap.mean():.3f}</dd>' in page.html and f'<dd id="map50">{ap[0].mean():.3f}</dd>' in page.html
    for k, name in enumerate(class_names):
        points = re.search(rf'points="([^"]*)"><title>{name} \({ap[0, k]:.3f}\)', page.html).group(1)
        x, y = np.array([point.split(',') for point in points.split()], float).T
        assert (x - LEFT) / (520 - LEFT - RIGHT) == pytest.approx(np.linspace(0, 1, 101), abs=2e-4)
        assert (330 - BOTTOM - y) / (330 - TOP - BOTTOM) == pytest.approx(precision[0, :, k], abs=2e-4)
    score = float(re.search(r'F1[^<]*</span>.*?<dd>([0-9.]+)</dd>', page.html, re.S).group(1))
    matrix = coco_reference.confusion(found, truth, crowds, 3, len(images), score - 5e-4)
    cells = {
        (row, column): int(count)
        for row, column, count in re.findall(r'<g><title[^>]*>([^<→]+) → ([^<:]+): (\d+) ', page.html)
    }
    rows, columns = [*class_names, 'left over'], [*class_names, 'not found']
    assert cells == {(rows[r], columns[c]): int(matrix[r, c]) for r, c in np.argwhere(matrix)}
    assert '8 as crowds' in page.html


def test_difficult_objects_do_not_count(inference, tmp_path, images, class_names):
    """Half of the objects are marked: the predictions on them vanish from the numbers, and nothing is missed."""
    marked = [
        LabelledImage(
            image.path,
            image.width,
            image.height,
            tuple(
                LabelledBox(b.class_index, b.x, b.y, b.w, b.h, difficult=k % 2 == 1) for k, b in enumerate(image.boxes)
            ),
        )
        for image in images
    ]
    counted = [sum(not b.difficult and b.class_index == k for image in marked for b in image.boxes) for k in range(3)]
    num_marked = sum(b.difficult for image in marked for b in image.boxes)
    assert num_marked > 1
    page = report(inference, tmp_path, labels=Dataset(tuple(class_names), {'all': tuple(marked)}))
    assert [row[1:3] for row in page.table('class')[1:]] == [[str(count)] * 2 for count in counted]
    assert 'There are no mistakes' in page.html and f'{num_marked} labels are marked as difficult' in page.html
    assert 'class="box neutral"' in page.html
