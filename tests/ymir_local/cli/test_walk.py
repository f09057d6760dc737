"""The walk of an engineer from a folder of images to a model and back, each step one command, typed as documented."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.warm_python import warm_python

# A network of a few channels, so that two epochs on a CPU take seconds.
TINY = (
    'model.backbone.widen_factor=0.125 model.neck.widen_factor=0.125 '
    'model.bbox_head.head_module.widen_factor=0.125 model.test_cfg.score_thr=0.0001'
)
REAL = (
    'max_epochs=2',
    'img_size=64',
    'samples_per_gpu=2',
    'workers_per_gpu=0',
    'precision=fp32',
    f'cfg_options={TINY}',
)


def walk(command, data, options, training, mining):
    """Trains, mines, infers, reports, checks, packs, and infers again with the package; gives the two inferences.

    `mining` holds the mining and the first inference: two commands, or `infer --mine`, which starts one process less.
    """
    begin, environ = command

    def step(*arguments):
        done = subprocess.run([*begin, *map(str, arguments)], capture_output=True, text=True, env=environ, timeout=300)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    step('train', data, *training, *options, '--out', 'first')
    for run, arguments in mining.items():
        step(*arguments, '--model', 'first/model.tar', *options, '--out', run)
    for run in ('first', *mining):
        step('report', run, *(['--evaluate', '--gpus', '0'] if run == 'first' else []))
        assert Path(run, 'report.html').stat().st_size > 10_000
        step('check', run)
    step('pack', 'first', 'model.tar')
    step('infer', data / 'images', '--model', 'model.tar', *options, '--out', 'again')
    return [json.loads(Path(run, 'out/infer-result.json').read_text()) for run in ('found', 'again')]


def test_with_any_executor(command, coco_folder, fake):
    mining = {'mined': ['mine', coco_folder / 'images'], 'found': ['infer', coco_folder]}
    found, again = walk(command, coco_folder, fake, ['--model', 'small', 'max_epochs=2'], mining)
    assert found == again and len(found['detection']) == 6


@pytest.mark.integration
def test_with_our_executor(command, coco_folder):
    mining = {'found': ['infer', coco_folder, '--mine']}
    command = [warm_python(), *command[0][1:]], command[1]
    found, again = walk(command, coco_folder, ['--gpus', '0'], ['--model', 'yolov8_n', *REAL], mining)
    assert found == again and len(found['detection']) == 6
    result = yaml.safe_load(Path('first/out/models/result.yaml').read_text())
    assert {'best', 'last'} <= set(result['model_stages'])
    assert 'The model on the validation images' in Path('first/report.html').read_text(encoding='utf-8')
    ranking = Path('found/out/result.tsv').read_text().splitlines()
    assert len(ranking) == 6


def test_json_of_every_command_has_the_documented_keys(ymir, coco_folder, fake, trained):
    table = (Path(__file__).resolve().parents[3] / 'docs/command_line.md').read_text(encoding='utf-8')
    documented = set(re.findall(r'`(\w+)`', table.split('## For scripts')[1].split('\n## ')[0]))
    for arguments in (
        ['train', coco_folder, *fake, '--out', 'run'],
        ['train', coco_folder, 'crash_code=300103', *fake, '--out', 'failed'],
        ['infer', coco_folder, '--mine', '--model', trained, *fake, '--out', 'found'],
        ['train', 'nowhere'],
        ['pack', trained, 'model.tar'],
        ['unpack', 'model.tar', 'model'],
        ['report', trained],
        ['check', trained],
        ['convert', coco_folder, 'yolo', '--to', 'yolo'],
        ['models', 'yolov8'],
        ['explain', '300103'],
        ['explain'],
    ):
        result = json.loads(ymir(*arguments, '--json')[1])
        for part in (result, *(value[0] for value in result.values() if isinstance(value, list) and value)):
            assert not isinstance(part, dict) or set(part) - {'mAP', 'message_zh', 'fix_zh'} <= documented, arguments
