"""The table of all models: complete, with the numbers that are measured and those that were published."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmyolo.tools.analysis.complexity import complexity, deployed_model
from mmyolo.tools.analysis.model_zoo import (
    FAMILIES,
    MEASURED,
    document,
    family_of,
    find_configs,
    input_size,
    main,
    measure,
    metafile_text,
    read_metafiles,
)
from mmyolo.utils import register_all_modules

ROOT = Path(__file__).resolve().parents[4]
CONFIGS = ROOT / 'configs'
ENTRIES = read_metafiles(CONFIGS)
AGAIN = 'run python tools/misc/model_zoo.py'


def written(config):
    """The measured numbers of a config as its metafile has them."""
    return {key: ENTRIES[config]['Metadata'][key] for key in MEASURED}


def test_every_config_has_a_row():
    configs = find_configs(CONFIGS)
    assert len(configs) > 120
    missing = [config for config in configs if not all(key in ENTRIES[config]['Metadata'] for key in MEASURED)]
    assert not missing, AGAIN
    # What is listed exists; distillation, which another package trains, is published but not measured.
    assert {config for config in ENTRIES if not config.startswith('rtmdet/distillation/')} == set(configs)
    assert all((CONFIGS / f'{config}.py').is_file() for config in ENTRIES)
    assert {entry['Name'] for entry in ENTRIES.values()} == {config.rpartition('/')[2] for config in ENTRIES}


def test_the_document_is_the_table():
    assert (ROOT / 'docs/model_zoo.md').read_text(encoding='utf-8') == document(ENTRIES), AGAIN


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('*/metafile.yml')), ids=lambda path: path.parent.name)
def test_metafiles_are_written_as_the_tool_writes_them(path):
    text = path.read_text(encoding='utf-8')
    assert text == metafile_text(yaml.safe_load(text)), AGAIN


@pytest.mark.parametrize(
    'config, size, parameters, metrics',
    [
        ('yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco', '640x640', 3_157_184, {'box AP': 37.2}),
        ('yolov5/yolov5_s-v61_fast_1xb12-40e_608x352_cat', '352x608', 7_022_326, None),
        (
            'rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco',
            '640x640',
            4_896_168,
            {'box AP': 41.0, 'box AP with TTA': 42.7},
        ),
    ],
)
def test_rows(config, size, parameters, metrics):
    again = measure(CONFIGS, config, {})
    assert written(config) == again
    assert (again['Input Size'], again['Parameters']) == (size, parameters)
    assert ENTRIES[config].get('Results', [{'Metrics': None}])[0]['Metrics'] == metrics


@pytest.mark.slow
def test_every_number_is_true():
    known = {}
    wrong = {config for config in find_configs(CONFIGS) if measure(CONFIGS, config, known) != written(config)}
    assert not wrong, AGAIN


def test_two_small_inputs_give_the_number_of_a_large_one():
    register_all_modules()
    cfg = Config.fromfile(CONFIGS / 'ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco.py')  # has attention by channel
    cfg.model.backbone.pop('init_cfg', None)
    found = complexity(deployed_model(cfg), input_size(cfg), show_arch=False)
    row = measure(CONFIGS, 'ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco', {})
    assert (row['Parameters'], row['FLOPs']) == (found['params'], found['flops'])


@pytest.fixture
def small_zoo(tmp_path):
    """Two configs of one network, of which one was published; a third is gone."""
    folder = tmp_path / 'configs/yolov8'
    folder.mkdir(parents=True)
    for name in ('released', 'added'):
        (folder / f'{name}.py').write_text("_base_ = 'mmyolo::yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py'\n")
    entry = {'Name': 'released', 'Config': 'configs/yolov8/released.py', 'Metadata': {'Training Memory (GB)': 2.5}}
    results = [{'Task': 'Object Detection', 'Dataset': 'COCO', 'Metrics': {'box AP': 40.0}}]
    gone = {'Name': 'gone', 'Config': 'configs/yolov8/gone.py', 'Metadata': {}}
    released = {**entry, 'Results': results, 'Weights': 'https://example.org/released-0123abcd.pth'}
    (folder / 'metafile.yml').write_text(metafile_text({'Models': [released], 'Unpublished': [gone]}))
    return tmp_path


def test_the_tool_measures_and_writes(small_zoo, capsys):
    out = small_zoo / 'zoo.md'
    options = ['--configs', str(small_zoo / 'configs'), '--out', str(out)]
    assert main(options) == 0
    entries = read_metafiles(small_zoo / 'configs')
    measured = written('yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco')
    assert entries['yolov8/released']['Metadata'] == {**measured, 'Training Memory (GB)': 2.5}
    assert entries['yolov8/added'] == {'Name': 'added', 'Config': 'configs/yolov8/added.py', 'Metadata': measured}
    assert set(entries) == {'yolov8/released', 'yolov8/added'}
    text = out.read_text()
    assert '| [added](../configs/yolov8/added.py) | 640 x 640 | 3.16 | 4.40 | - | - | - |' in text
    assert '| box AP 40.0 (COCO) | - | [GPL-3.0](https://example.org/released-0123abcd.pth) |' in text
    assert f'## {FAMILIES["yolov8"]}\n' in text and '## YOLOv7\n' not in text
    # Nothing is measured where only the document is asked for.
    (small_zoo / 'configs/yolov8/added.py').write_text('broken')
    assert main([*options, '--document-only']) == 0 and out.read_text() == text


def test_a_folder_without_a_section():
    with pytest.raises(ValueError, match='configs/yolo99 has no section'):
        family_of('yolo99/x')
