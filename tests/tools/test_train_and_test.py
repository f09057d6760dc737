"""The tools on a small data set, on the CPU: train, resume, test, alone and with two processes."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_data import IMAGES, write_coco, write_images

from tests.mmyolo.utils.files_of_all_kinds import Call
from tests.warm_python import warm_python

ROOT = Path(__file__).resolve().parents[2]
SCALE = (64, 64)
CLASSES = ('bolt', 'nut')

pytestmark = pytest.mark.integration


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('tools')
    names = write_images(root / 'data' / 'images')
    write_coco(root / 'data' / 'all.json', names, CLASSES)
    write_damaged_set(root / 'data')
    small_config().dump(root / 'small.py')
    return root


def write_damaged_set(data):
    """damaged.json: the images of all.json with two that cannot be read between them, with an object each."""
    content = json.loads((data / 'all.json').read_text())
    photo = (data / 'images' / content['images'][0]['file_name']).read_bytes()
    (data / 'images' / 'cut.jpg').write_bytes(photo[: len(photo) // 2])
    for img_id, name in ((98, 'cut.jpg'), (99, 'gone.jpg')):
        content['images'].insert(1, dict(content['images'][0], id=img_id, file_name=name))
        content['annotations'].append(dict(content['annotations'][0], id=img_id, image_id=img_id))
    (data / 'damaged.json').write_text(json.dumps(content))


def small_config():
    """YOLOv8-n at 64 pixels, with everything in it that a real training has."""
    cfg = Config.fromfile(ROOT / 'configs' / 'yolov8' / 'yolov8_n_syncbn_fast_8xb16-500e_coco.py')

    def shrink(node):
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ('scale', 'img_scale'):
                    node[key] = SCALE
                elif key == 'border' and value != (0, 0):
                    node[key] = (-SCALE[0] // 2, -SCALE[1] // 2)
                else:
                    shrink(value)
        elif isinstance(node, (list, tuple)):
            for value in node:
                shrink(value)

    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root='data/', ann_file='all.json', data_prefix={'img': 'images/'}, metainfo={'classes': CLASSES}
        )
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.update(ann_file='data/all.json', iou_thrs=[0.1, 0.3, 0.5])  # after one step few boxes are good
    shrink(cfg.train_dataloader.dataset.pipeline)
    shrink(cfg.val_dataloader.dataset.pipeline)
    shrink(cfg.test_dataloader.dataset.pipeline)
    shrink(cfg.custom_hooks)
    shrink(cfg.tta_pipeline)
    cfg.custom_hooks[1].switch_epoch = 1
    cfg.custom_hooks.insert(0, {'type': 'MemoryFormatHook'})
    cfg.custom_hooks.append({'type': 'SyncNormStatisticsHook'})
    cfg.train_cfg.update(max_epochs=1, val_interval=1, dynamic_intervals=None)
    cfg.default_hooks.checkpoint.interval = 1
    cfg.default_hooks.param_scheduler.update(max_epochs=2, warmup_mim_iter=2)
    cfg.model.bbox_head.head_module.num_classes = cfg.model.train_cfg.assigner.num_classes = len(CLASSES)
    cfg.model.test_cfg.score_thr = 0.0  # and it is sure of nothing
    cfg.randomness = {'seed': 0}
    return cfg


def run(folder, script, *args, python=None):
    environment = dict(os.environ, PYTHON=python or warm_python(), CUDA_VISIBLE_DEVICES='-1', OMP_NUM_THREADS='1')
    done = subprocess.run(
        ['bash', str(ROOT / 'tools' / script), *map(str, args)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def precision(work):
    """The values of mAP that the runs in a work directory measured, in full, oldest first."""
    files = sorted({*work.glob('*/[0-9]*.json'), *work.glob('*/vis_data/[0-9]*.json')})
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [line['coco/bbox_mAP'] for line in lines if 'coco/bbox_mAP' in line]


def predictions(file):
    return [sample['pred_instances'] for sample in pickle.loads(file.read_bytes())]


def load(path):
    return torch.load(path, map_location='cpu', weights_only=False)


@pytest.fixture(scope='module')
def trained(folder):
    work = folder / 'work dir'
    options = ['--cfg-options', 'train_dataloader.batch_size=4']
    run(folder, 'dist_train.sh', 'small.py', 0, '--work-dir', work, *options, python=sys.executable)
    return work


def test_training_writes_checkpoint_config_and_precision(trained):
    work = trained
    assert Config.fromfile(work / 'small.py').train_dataloader.batch_size == 4
    checkpoint = load(work / 'epoch_1.pth')
    assert (checkpoint['meta']['epoch'], checkpoint['meta']['iter']) == (1, 1)
    weight = checkpoint['state_dict']['backbone.stage1.0.conv.weight']
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    assert all(torch.isfinite(value).all() for value in checkpoint['state_dict'].values())
    assert len(precision(work)) == 1 and 0 < precision(work)[0] <= 1
    assert list(work.glob('best_coco_bbox_mAP_epoch_1.pth'))


@pytest.mark.slow  # the tests of a whole task resume too
def test_resume_goes_on_where_it_stopped(trained, folder):
    work = trained
    options = ['--cfg-options', 'train_cfg.max_epochs=2', 'train_dataloader.batch_size=4']
    log = run(folder, 'dist_train.sh', 'small.py', 0, '--work-dir', work, '--resume', *options)
    assert 'resumed epoch: 1, iter: 1' in log
    assert 'Switch pipeline now!' in log
    checkpoint = load(work / 'epoch_2.pth')
    assert (checkpoint['meta']['epoch'], checkpoint['meta']['iter']) == (2, 2)
    assert checkpoint['ema_state_dict']['steps'] == 2


@pytest.fixture(scope='module')
def shared(folder):
    """A training of two processes on data of which two images cannot be read: work directory and log."""
    work = folder / 'two'
    damaged = [
        f'{key}={value}damaged.json'
        for key, value in (
            ('train_dataloader.dataset.ann_file', ''),
            ('val_dataloader.dataset.ann_file', ''),
            ('val_evaluator.ann_file', 'data/'),
        )
    ]
    return work, run(folder, 'dist_train.sh', 'small.py', 2, '--work-dir', work, '--amp', '--cfg-options', *damaged)


@pytest.fixture(scope='module')
def found(shared, folder):
    """What one process predicts with the checkpoint of two."""
    out, prefix = folder / 'found.pkl', folder / 'json' / 'found'
    prefix.parent.mkdir()
    run(
        folder,
        'dist_test.sh',
        'small.py',
        shared[0] / 'epoch_1.pth',
        0,
        '--work-dir',
        folder / 'test',
        '--out',
        out,
        '--json-prefix',
        prefix,
    )
    return pickle.loads(out.read_bytes())


def test_test_writes_predictions(found, folder):
    assert [sample['img_id'] for sample in found] == list(range(IMAGES))
    written = json.loads((folder / 'json' / 'found.bbox.json').read_text())
    assert len(written) == sum(len(sample['pred_instances']['scores']) for sample in found) > 20 * IMAGES
    assert not precision(folder / 'test')  # the files are written instead of a precision


@pytest.mark.slow  # the tests with two processes show it too
def test_test_gives_the_precision_of_the_training(trained, folder):
    tested = folder / 'alone'
    run(folder, 'dist_test.sh', 'small.py', trained / 'epoch_1.pth', 0, '--work-dir', tested)
    assert precision(tested) == pytest.approx(precision(trained)[:1])


@pytest.mark.slow  # its parts have tests of their own
def test_augmentation_at_test_time(trained, folder):
    work = trained
    tested = folder / 'tta'
    log = run(
        folder,
        'dist_test.sh',
        'small.py',
        work / 'epoch_1.pth',
        0,
        '--work-dir',
        tested,
        '--tta',
        '--cfg-options',
        'test_dataloader.batch_size=1',
        'test_dataloader.dataset.ann_file=damaged.json',
        'test_evaluator.ann_file=data/damaged.json',
        '--show-dir',
        'pictures',
        python=sys.executable,
    )
    assert '2 of 6 images cannot be read and do not count in the evaluation' in log
    assert len(precision(tested)) == 1 and 0 < precision(tested)[0] <= 1
    assert len(list(tested.rglob('pictures/*.jpg'))) == IMAGES


def test_two_processes_share_a_training(shared):
    work, log = shared
    checkpoint = load(work / 'epoch_1.pth')
    assert checkpoint['meta']['iter'] == 2  # 6 images in 2 processes of 2
    for part in 'training', 'validation':
        told = next(line for line in log.splitlines() if f'2 images of the {part} set were skipped' in line)
        assert 'cut.jpg (not a readable image, or a damaged one)' in told and 'gone.jpg (No such file' in told
    assert '2 of 6 images cannot be read and do not count in the evaluation' in log
    assert checkpoint['meta']['cfg'].count("type='AmpOptimWrapper'") == 1
    assert all(torch.isfinite(value).all() for value in checkpoint['state_dict'].values())
    assert len(precision(work)) == 1


def test_two_processes_agree_with_one_on_a_test(shared, found, folder):
    work, _ = shared
    out, tested = folder / 'two.pkl', folder / 'test two'
    run(folder, 'dist_test.sh', 'small.py', work / 'epoch_1.pth', 2, '--work-dir', tested, '--out', out)
    assert precision(tested)[0] > 0
    # testing gives the precision of the training, where each process validated its share with its own model and the
    # first one's was saved
    assert precision(work) == pytest.approx(precision(tested))
    assert all(len(sample['pred_instances']['scores']) > 20 for sample in found)
    for alone, both in zip(found, predictions(out)):
        for key in ('scores', 'labels', 'bboxes'):
            torch.testing.assert_close(both[key], alone['pred_instances'][key])


def test_a_checkpoint_runs_nothing(folder, tmp_path):
    """Neither where it is tested, nor where a training begins or goes on with it; no config within it, too."""
    canary = tmp_path / 'canary'
    hostile = tmp_path / 'hostile.pth'
    config = f'open({str(canary)!r}, "w")'
    torch.save(
        {'state_dict': {'w': torch.ones(1)}, 'meta': {'epoch': 1, 'iter': 1, 'when': Call(open, str(canary), 'w')}},
        hostile,
    )
    torch.save(
        {'state_dict': {'w': torch.ones(1)}, 'meta': {'epoch': 1, 'iter': 1, 'config': config, 'cfg': config}},
        tmp_path / 'text.pth',
    )
    code = (
        'import sys, runpy; from mmyolo.utils import register_all_modules; register_all_modules()\n'
        'for words in {words!r}:\n'
        '    sys.argv = words\n'
        '    try: runpy.run_path(words[0], run_name="__main__")\n'
        '    except BaseException as error: print("ended with", type(error).__name__, error)\n'
    )
    test, train = str(ROOT / 'tools' / 'test.py'), str(ROOT / 'tools' / 'train.py')
    words = [
        [test, 'small.py', str(hostile)],
        [train, 'small.py', '--cfg-options', f'load_from={hostile}'],
        [train, 'small.py', '--resume', str(hostile)],
        [train, 'small.py', '--resume', str(tmp_path / 'text.pth')],
    ]
    words = [[*line, '--work-dir', str(tmp_path / 'work')] if '--cfg-options' not in line else line for line in words]
    done = subprocess.run(
        [warm_python(), '-c', code.format(words=words)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        env=dict(os.environ, CUDA_VISIBLE_DEVICES='-1', OMP_NUM_THREADS='1'),
    )
    assert done.stdout.count('hostile.pth holds io.open, which is not loaded') == 3, (
        done.stdout[-3000:] + done.stderr[-3000:]
    )
    assert not canary.exists()
