"""What the build arguments ENGINES and FONTS add to the image, used by tasks without network and as an unknown user."""

import json
import subprocess

import pytest

from tests.ymir_exc import platform_rules
from ymir_exc.training_summary import read_training_summary
from ymir_local.demo.sample_data import generate
from ymir_local.platform.prepare import Host, ModelStage, hyper_parameters, prepare_candidates, prepare_training
from ymir_local.platform.run import docker_command, run_in_container

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]
USER = '12345:23456'
CLASSES = ['猫', '大 狗']
HOST = Host(in_container=True)
# A network of a few channels, which is exported and compared in seconds.
PARAMETERS = {
    'model_name': 'yolov8_n',
    'img_size': 64,
    'max_epochs': 1,
    'samples_per_gpu': 4,
    'workers_per_gpu': 0,
    'export_onnx': True,
    'cfg_options': 'model.backbone.widen_factor=0.125 model.neck.widen_factor=0.125 '
    'model.bbox_head.head_module.widen_factor=0.125',
}
ONE_MACHINE = 'ray start --head --port=6379 --num-cpus=1 --object-store-memory=100000000 --include-dashboard=false'


def printed(image, code):
    """What Python code prints in an image."""
    command = ['docker', 'run', '--rm', '--network=none', '--user', USER, image, 'python3', '-c', code]
    return subprocess.check_output(command, text=True).splitlines()


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return generate(tmp_path_factory.mktemp('data'), num_images=12, num_classes=2, size_range=(64, 96))


@pytest.fixture(scope='module')
def training(full_image, images, tmp_path_factory):
    """A finished training that exports its model."""
    folder = tmp_path_factory.mktemp('training') / 'work'
    parameters = hyper_parameters('training', PARAMETERS)
    task = prepare_training(folder, CLASSES, images[:8], images[8:], parameters, host=HOST)
    run_in_container(task, full_image, user=USER, options=['--network=none']).raise_for_failure('training')
    return task


@pytest.fixture
def inference(training, images, tmp_path):
    """Prepares an inference with the trained model; keywords are its settings."""

    def prepare(name, **settings):
        parameters = hyper_parameters('infer', {'conf_threshold': 0.0001, **settings})
        paths = [image.path for image in images]
        stage = ModelStage.of_training(training)
        return prepare_candidates(tmp_path / name, paths, stage, parameters, infer=True, host=HOST)

    return prepare


def test_packages_are_in_it_where_they_were_asked_for(image, full_image):
    code = (
        'from importlib.metadata import version; from importlib.util import find_spec; '
        "print(*[name for name in ('onnx', 'onnxruntime', 'openvino', 'ray') if find_spec(name)]); "
        "print(version('torch'))"
    )
    lean, full = printed(image, code), printed(full_image, code)
    assert (lean[0], full[0]) == ('', 'onnx onnxruntime openvino ray')
    assert lean[1] == full[1]  # PyTorch stays as it was


def test_chinese_names_can_be_drawn_where_a_font_was_asked_for(image, full_image):
    code = f'from tmi.evaluation.plots import legible_names; print(*legible_names({CLASSES}), sep=chr(10))'
    assert printed(full_image, code) == CLASSES
    assert printed(image, code) == ['class 0', 'class 1']


def test_a_training_exports_its_model_and_draws_chinese_names(training):
    summary = read_training_summary(training.out_dir)
    assert summary.onnx and (training.out_dir / 'models' / summary.onnx['file']).is_file()
    log = training.log_file.read_text()
    assert 'onnx' in log and 'Glyph' not in log
    assert platform_rules.result_yaml_violations(training.out_dir / 'models/result.yaml') == []


@pytest.mark.parametrize('engine', ['onnxruntime', 'openvino'])
def test_an_engine_is_used(full_image, inference, engine):
    task = inference('infer', engine=engine)
    run_in_container(task, full_image, user=USER, options=['--network=none']).raise_for_failure('inference')
    assert f'engine is {engine}, {engine} is used' in task.log_file.read_text()


def test_on_ray_the_result_is_that_of_one_machine(full_image, inference):
    """The container is the only machine of the cluster."""
    alone, task = inference('alone'), inference('ray', ray_address='auto')
    options = ['--network=none']
    run_in_container(alone, full_image, user=USER, options=options).raise_for_failure('inference')
    command = docker_command(task, full_image, user=USER, options=options)
    command += ['bash', '-c', f'{ONE_MACHINE} && bash /usr/bin/start.sh']
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert 'Usage stats collection is disabled' in done.stdout
    assert 'on 1 machines of the Ray cluster' in done.stdout
    results = [(each.out_dir / 'infer-result.json').read_bytes() for each in (alone, task)]
    assert results[0] == results[1] and any(entry['boxes'] for entry in json.loads(results[0])['detection'].values())
