"""ViDT learns what it is shown."""

import pytest

from tests.ymir.training.platform import TINY, check_result, run_start
from ymir_local.demo.sample_data import generate
from ymir_local.platform.prepare import hyper_parameters, prepare_training

PIPELINE = 'train_dataloader.dataset.pipeline'
# The images as they are, without flips, crops and other sizes; fewer queries and layers save time.
OPTIONS = (
    f'{PIPELINE}.2.prob=0.0 {PIPELINE}.3.prob=[1.0,0.0] {PIPELINE}.3.transforms.0.0.sizes=96 '
    'model.num_decoder_layers=3 model.backbone.num_det_tokens=30'
)


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_it_learns_eight_images_by_heart(tmp_path):
    images = generate(tmp_path / 'data', 8, 2, (96, 96), (1, 2), (0.45, 0.8), 2)
    settings = {
        'model_name': 'vidt_nano',
        'img_size': 96,
        'max_epochs': 320,
        'val_interval': 160,
        'samples_per_gpu': 8,
        'workers_per_gpu': 0,
        'cfg_options': OPTIONS,
    }
    params = hyper_parameters('training', {**TINY, **settings})
    task = prepare_training(tmp_path / 'task', ['one', 'two'], images, images, params)
    done = run_start(task, tmp_path, timeout=1500)
    assert done.returncode == 0, done.stdout
    assert check_result(task)['mAP'] > 0.9
