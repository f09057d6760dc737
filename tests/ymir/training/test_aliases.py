"""Keys of the ViDT executor mean the keys of this image; where both are there, this image's count."""

import pytest
from mmengine.config import Config

from tmi.errors import TaskError
from tmi.training.options import apply_options, check_options, read_options
from tmi.zoo.models import find_model
from ymir.errors import code_of
from ymir.params import InferParams, TrainingParams, load_params

NAMES = {'class_names': ['cat', 'dog']}
TEMPLATE = {  # of its training
    'batch_size_per_gpu': 2,
    'num_workers_per_gpu': 3,
    'epochs': 50,
    'learning_rate': 0.0001,
    'eval_size': 640,
    'backbone_name': 'swin_nano',
    'weight_save_interval': 100,
    'args_options': '',
    'export_format': 'ark:raw',
}


def test_a_task_of_the_other_executor(caplog):
    caplog.set_level('INFO', 'ymir')
    params = load_params(TrainingParams, {**NAMES, **TEMPLATE})
    found = params.model_dump(exclude_defaults=True, exclude={'class_names'})
    assert found == {
        'model_name': 'vidt_nano',
        'samples_per_gpu': 2,
        'workers_per_gpu': 3,
        'max_epochs': 50,
        'learning_rate': 0.0001,
        'img_size': (800, 640),
    }
    assert 'backbone_name in config.yaml is read as model_name: vidt_nano' in caplog.text
    assert 'Unknown key' not in caplog.text


@pytest.mark.parametrize(
    'key, value, name, expected',
    [
        ('backbone_name', 'swin_tiny', 'model_name', 'vidt_tiny'),
        ('backbone_name', 'swin_base', 'model_name', 'vidt_base'),
        ('backbone_name', 'swin_base_win7_22k', 'model_name', 'vidt_base'),
        ('backbone_name', ' Swin_Small', 'model_name', 'vidt_small'),
        ('epochs', '7', 'max_epochs', 7),
        ('batch_size', 4, 'samples_per_gpu', 4),
        ('num_workers', '0', 'workers_per_gpu', 0),
        ('eval_size', '1024', 'img_size', (1024, 1024)),
        ('eval_size', 512, 'img_size', (800, 512)),
        ('eval_size', 0, 'img_size', 0),
        ('weight_save_interval', 10, 'val_interval', 10),
        ('weight_save_interval', 100, 'val_interval', 'auto'),
    ],
)
def test_keys(key, value, name, expected):
    params = load_params(TrainingParams, {**NAMES, 'backbone_name': 'swin_nano', key: value})
    assert getattr(params, name) == expected


def test_a_size_for_another_model_is_one_side():
    assert load_params(TrainingParams, {**NAMES, 'model_name': 'yolov8_n', 'eval_size': 640}).img_size == 640


def test_defaults_of_the_own_template_do_not_count(caplog):
    """The form sends all keys of the template, numbers of text boxes as text."""
    template = {**TrainingParams.template(), 'max_epochs': '100'}
    params = load_params(TrainingParams, {**NAMES, **template, **TEMPLATE})
    assert params == load_params(TrainingParams, {**NAMES, **TEMPLATE})
    assert params.model_name == 'vidt_nano' and params.max_epochs == 50 and params.val_interval == 'auto'
    assert 'has no effect' not in caplog.text
    params = load_params(TrainingParams, {**NAMES, **template, 'model_name': 'vidt_tiny', **TEMPLATE})
    assert params.model_name == 'vidt_tiny' and params.img_size == (800, 640)
    assert 'backbone_name in config.yaml has no effect, since model_name is set' in caplog.text
    caplog.clear()
    params = load_params(InferParams, {**NAMES, **InferParams.template(), 'batch_size': 2, 'batch_size_per_gpu': 4})
    assert params.samples_per_gpu == 2
    assert 'batch_size_per_gpu in config.yaml has no effect, since batch_size is set' in caplog.text


@pytest.mark.parametrize(
    'key, value, allowed',
    [
        ('backbone_name', 'nonsense', 'allowed is swin_nano, '),
        ('batch_size', 0, 'greater than or equal to 1'),
        ('num_workers', -1, 'greater than or equal to 0'),
        ('epochs', 0, 'greater than or equal to 1'),
        ('eval_size', 1, 'one number from 32 to 8192'),
        ('eval_size', 'wide', 'one number from 32 to 8192'),
        ('weight_save_interval', 'never', 'valid integer'),
    ],
)
@pytest.mark.parametrize('backbone', ['', 'swin_nano'])
def test_a_bad_value_is_named_as_it_was_given(key, value, allowed, backbone):
    with pytest.raises(TaskError) as caught:
        load_params(TrainingParams, {**NAMES, **TrainingParams.template(), 'backbone_name': backbone, key: value})
    assert code_of(caught.value) == 300001
    assert caught.value.sentence.startswith(f'Bad value in config.yaml, {key}: {value!r}: ')
    assert allowed in caught.value.sentence


@pytest.mark.parametrize('cls', [TrainingParams, InferParams])
def test_keys_of_this_image_count(cls, caplog):
    params = load_params(cls, {**NAMES, 'samples_per_gpu': 8, 'batch_size': 2, 'batch_size_per_gpu': 4})
    assert params.samples_per_gpu == 8
    assert 'batch_size in config.yaml has no effect, since samples_per_gpu is set' in caplog.text


def test_an_unknown_backbone_is_named():
    with pytest.raises(TaskError, match="'coat_lite_tiny': allowed is swin_nano") as caught:
        load_params(TrainingParams, {**NAMES, 'backbone_name': 'coat_lite_tiny'})
    assert code_of(caught.value) == 300001


def test_a_bad_value_is_an_error():
    with pytest.raises(TaskError, match='samples_per_gpu'):
        load_params(TrainingParams, {**NAMES, 'batch_size': 'many'})


def options_of(text, model_name='vidt_nano', cfg_options=''):
    settings = {**NAMES, 'model_name': model_name, 'args_options': text, 'cfg_options': cfg_options}
    return read_options(load_params(TrainingParams, settings))


def test_arguments_of_its_code_become_options():
    """As the first published version of the executor passed them, and those of ViDT+."""
    found = options_of('--method vidt --min-lr 1e-7 --aux_loss True --with_box_refine=True --amp --resume')
    assert found.arguments == ['--amp', '--resume']
    assert found.config == {'model.aux_loss': True, 'model.box_refine': True} and found.min_lr == 1e-7
    assert {found.source_of(key) for key in found.config} == {'args_options'}
    found = options_of('--epff true --det_token_num 300 --cfg-options model.epff=False --iou_aware False')
    assert found.config == {'model.epff': False, 'model.backbone.num_det_tokens': 300, 'model.iou_aware': False}
    config = Config.fromfile(find_model('vidt_nano').config)
    apply_options(config, found)
    assert (config.model.backbone.num_det_tokens, config.model.iou_aware, config.model.aux_loss) == (300, False, True)


@pytest.mark.parametrize(
    'text, words, model_name',
    [
        ('--aux_loss maybe', 'allowed is true or false', 'vidt_nano'),
        ('--det_token_num many', 'allowed is a whole number', 'vidt_nano'),
        ('--lr', '--lr has no value', 'vidt_nano'),
        ('--lr --amp', '--lr has no value', 'vidt_nano'),
        ('--method vidt_wo_neck', 'model_name chooses the form', 'vidt_nano'),
        ('--lr_drop 100', "'--lr_drop'.*--cfg-options.*--lr, .*--min-lr.*--masks", 'vidt_nano'),
        ('--min-lr nan', 'allowed is a number from 0 to 10', 'vidt_nano'),
        ('--lr 1e-4; rm -rf /', "';'|'rm'|number", 'vidt_nano'),
        ('--aux_loss True', "'--aux_loss'", 'yolov8_n'),
    ],
)
def test_arguments_that_are_rejected(text, words, model_name):
    with pytest.raises(TaskError, match=words) as caught:
        options_of(text, model_name)
    assert code_of(caught.value) == 300001


def test_arguments_of_its_code_count_before_cfg_options():
    found = options_of('--det_token_num 50', cfg_options='model.backbone.num_det_tokens=20 model.epff=True')
    assert found.config == {'model.backbone.num_det_tokens': 50, 'model.epff': True}
    assert found.source_of('model.backbone.num_det_tokens') == 'args_options'
    assert found.source_of('model.epff') == 'cfg_options'


def test_arguments_of_parts_that_a_model_lacks_are_told_and_left_out(tmp_path, caplog):
    caplog.set_level('WARNING', 'tmi')
    text = '--aux_loss True --with_box_refine True --dec_layers 4 --epff False --iou_aware True --det_token_num 50'
    found = options_of(text, 'vidt_wo_neck_nano')
    assert found.config == {'model.backbone.num_det_tokens': 50}
    check_options(found, tmp_path, tmp_path)
    (record,) = caplog.records
    assert '--aux_loss, --with_box_refine, --dec_layers, --epff, --iou_aware' in record.message
    assert 'no such parts' in record.message and record.levelname == 'WARNING'


def test_arguments_that_need_masks_are_told_and_left_out(tmp_path, caplog):
    caplog.set_level('WARNING', 'tmi')
    found = options_of('--token_label True --with_vector --masks --lr 0.001')
    assert found.config == {'optim_wrapper.optimizer.lr': 0.001}
    check_options(found, tmp_path, tmp_path)
    assert [record.message.split()[1] for record in caplog.records] == ['--token_label', '--with_vector', '--masks']
    assert all('needs masks' in record.message for record in caplog.records)
    assert not options_of('--token_label False').notes
