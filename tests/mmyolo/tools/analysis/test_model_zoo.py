"""The document of all models: complete, with the numbers that are measured and those that were published."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmyolo.tools.analysis.complexity import complexity, deployed_model
from mmyolo.tools.analysis.model_zoo import (
    FAMILIES,
    Row,
    document,
    family_of,
    find_configs,
    input_size,
    measure,
    read_published,
)
from mmyolo.utils import register_all_modules

ROOT = Path(__file__).resolve().parents[4]
DOCUMENT = (ROOT / 'docs/model_zoo.md').read_text(encoding='utf-8')
PUBLISHED = read_published(ROOT / 'docs/model_zoo.tsv')


def cells(config):
    """The row of a config."""
    lines = [line for line in DOCUMENT.splitlines() if f'](../configs/{config}.py)' in line]
    assert len(lines) == 1, f'{config} stands in {len(lines)} rows: run python tools/misc/model_zoo.py'
    return [cell.strip() for cell in lines[0].strip('|').split('|')]


@pytest.mark.parametrize('config', find_configs(ROOT / 'configs'))
def test_every_config_has_a_row(config):
    row = cells(config)
    assert f'## {FAMILIES[family_of(config)]}\n' in DOCUMENT
    dataset, metric, tta, address = PUBLISHED.get(config, ('', '-', '-', ''))
    assert row[4] == (f'{metric} ({dataset})' if dataset else '-') and row[5] == tta
    assert row[6] == (f'[GPL-3.0]({address})' if address else '-')


def test_published_results_belong_to_configs():
    names = set(find_configs(ROOT / 'configs'))
    assert {config for config in PUBLISHED if not config.startswith('rtmdet/distillation/')} <= names


@pytest.mark.parametrize(
    'config, size, parameters, metric, tta',
    [
        ('yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco', '640 x 640', '3.16', 'box AP 37.2 (COCO)', '-'),
        ('rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco', '640 x 640', '4.90', 'box AP 41.0 (COCO)', '42.7'),
    ],
)
def test_rows(config, size, parameters, metric, tta):
    row = cells(config)
    assert row[1] == size and row[4:6] == [metric, tta]
    again = measure(ROOT / 'configs', config, {})
    assert row[2] == parameters == f'{again.parameters / 1e6:.2f}' and row[3] == f'{again.flops / 1e9:.2f}'


def test_two_small_inputs_give_the_number_of_a_large_one():
    register_all_modules()
    cfg = Config.fromfile(ROOT / 'configs/ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco.py')  # has attention by channel
    cfg.model.backbone.pop('init_cfg', None)
    found = complexity(deployed_model(cfg), input_size(cfg), show_arch=False)
    row = measure(ROOT / 'configs', 'ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco', {})
    assert (row.parameters, row.flops) == (found['params'], found['flops'])


def test_a_row_without_results():
    text = document([Row('yolov7/mine', (640, 320), 1_234_567, 2_500_000_000)], {})
    assert '| [mine](../configs/yolov7/mine.py) | 640 x 320 | 1.23 | 2.50 | - | - | - |' in text
    assert '## YOLOv7\n' in text and '## YOLOv8\n' not in text


def test_a_folder_without_a_section():
    with pytest.raises(ValueError, match='configs/yolo99 has no section'):
        family_of('yolo99/x')
