"""Checkpoints of other projects: every weight arrives, under the name that its layer has here.

No published file is at hand, so files are made from our models: `official.py` names the weights as those projects do,
and `KNOWN` holds names and shapes that their files are known to have.
"""

import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mmyolo.registry import MODELS
from mmyolo.tools.converters.checkpoints import KeyMap, Rename
from mmyolo.tools.converters.checkpoints.reading import StandIn, read_torch
from mmyolo.tools.converters.checkpoints.rules import Place, place_keys
from mmyolo.tools.converters.checkpoints.ultralytics import translate_yolov5, translate_yolov5u, translate_yolov8
from mmyolo.tools.converters.checkpoints.yolov6 import translate_yolov6, translate_yolov6_v3
from mmyolo.tools.converters.checkpoints.yolov7 import translator
from mmyolo.utils import register_all_modules
from tests.mmyolo.tools.converters import official
from tests.mmyolo.tools.converters.known_names import KNOWN
from tests.tools.running import ROOT, load_tool, run_tool

V5 = official.ultralytics(official.C3, 4, True, official.ANCHOR_HEAD)
V5_P6 = official.ultralytics(official.C3, 5, True, official.ANCHOR_HEAD)
V5U = official.ultralytics(official.C3, 4, True, official.FREE_HEAD)
V8 = official.ultralytics(official.C2F, 4, False, official.FREE_HEAD)

# name: tool, config, our names -> theirs, weights of theirs that have no place here
SMALL = {
    'yolov5': (
        'yolov5_to_mmyolo',
        'yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco',
        V5,
        {'model.24.anchors': (3, 3, 2), 'model.24.anchor_grid': (3, 1, 3, 1, 1, 2)},
    ),
    'yolov5-p6': (
        'yolov5_to_mmyolo',
        'yolov5/yolov5_n-p6-v62_syncbn_fast_8xb16-300e_coco',
        V5_P6,
        {'model.33.anchors': (4, 3, 2)},
    ),
    'yolov5u': (
        'yolov5u_to_mmyolo',
        'yolov5/yolov5u/yolov5u_n_syncbn_fast_8xb16-300e_coco',
        V5U,
        {'model.24.dfl.conv.weight': (1, 16, 1, 1)},
    ),
    'yolov8': (
        'yolov8_to_mmyolo',
        'yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco',
        V8,
        {'model.22.dfl.conv.weight': (1, 16, 1, 1)},
    ),
    'yolov6': (
        'yolov6_to_mmyolo',
        'yolov6/yolov6_n_syncbn_fast_8xb32-400e_coco',
        official.YOLOV6,
        {'detect.proj': (1,), 'detect.proj_conv.weight': (1, 1, 1, 1)},
    ),
    'yolov6-v3': (
        'yolov6_v3_to_mmyolo',
        'yolov6/yolov6_v3_n_syncbn_fast_8xb32-300e_coco',
        official.YOLOV6_V3,
        {'detect.reg_preds.0.weight': (68, 32, 1, 1), 'detect.proj': (17,)},
    ),
    'yolov7-tiny': (
        'yolov7_to_mmyolo',
        'yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco',
        official.yolov7('tiny'),
        {'model.77.anchors': (3, 3, 2), 'model.77.anchor_grid': (3, 1, 3, 1, 1, 2)},
    ),
    'yolox': ('yolox_to_mmyolo', 'yolox/yolox_tiny_fast_8xb8-300e_coco', official.YOLOX, {}),
    'yolox-nano': ('yolox_to_mmyolo', 'yolox/yolox_nano_fast_8xb8-300e_coco', official.YOLOX, {}),
}


@pytest.fixture(scope='module', autouse=True)
def modules():
    register_all_modules()


def build(config, device='meta'):
    """A detector, by default without values: its weights come from a file."""
    cfg = Config.fromfile(ROOT / 'configs' / f'{config}.py')
    cfg.model.backbone.pop('init_cfg', None)
    with torch.device(device):
        return MODELS.build(cfg.model)


def unlike(state):
    """Weights that all differ; those that converters set by themselves have the values that they set."""
    generator = torch.Generator().manual_seed(0)
    result = {}
    for key, value in state.items():
        if not value.is_floating_point():
            result[key] = torch.zeros(value.shape, dtype=value.dtype)
        elif key.endswith('implicit'):  # zeros before the convolution, ones behind it
            result[key] = torch.full(value.shape, float(key.split('.')[-2] in ('2', '3')))
        else:
            result[key] = torch.rand(value.shape, generator=generator)
    return result


def as_official(state, rename, extra=None):
    renamed = {rename(key): value for key, value in state.items() if not key.endswith('implicit')}
    assert len(renamed) == sum(not key.endswith('implicit') for key in state)
    return {**renamed, **{key: torch.ones(shape) for key, shape in (extra or {}).items()}}


def arguments(tool, src, dst):
    return [src, dst] if tool in ('yolov7_to_mmyolo', 'rtmdet_to_mmyolo') else ['--src', src, '--dst', dst]


def convert(tool, src, dst, *more):
    load_tool(f'model_converters/{tool}').main([*map(str, arguments(tool, src, dst)), *map(str, more)])
    return torch.load(dst, weights_only=True)


def check(found, wanted, model):
    model.load_state_dict(found['state_dict'], strict=True, assign=True)
    for key, value in model.state_dict().items():
        assert torch.equal(value, wanted[key]), key


LONGER = ('yolov5-p6', 'yolov5u', 'yolov6-v3', 'yolox-nano')


@pytest.mark.parametrize(
    'family', [pytest.param(name, marks=pytest.mark.slow) if name in LONGER else name for name in SMALL]
)
def test_every_weight_arrives(family, tmp_path):
    tool, config, rename, extra = SMALL[family]
    model = build(config)
    wanted = unlike(model.state_dict())
    theirs = as_official(wanted, rename, extra)
    assert {key: tuple(theirs[key].shape) for key in KNOWN[family]} == KNOWN[family]
    src = tmp_path / ('yolov7-tiny.pt' if family == 'yolov7-tiny' else 'theirs.pt')
    torch.save({'model': theirs, 'optimizer': {'state': {}}, 'epoch': 7}, src)
    found = convert(tool, src, tmp_path / 'ours.pth', '--config', ROOT / 'configs' / f'{config}.py')
    check(found, wanted, model)
    assert found['meta'] == {'epoch': 7}


@pytest.mark.parametrize(
    'translate, config, rename',
    [
        (translate_yolov5, 'yolov5/yolov5_x-v61_syncbn_fast_8xb16-300e_coco', V5),
        (translate_yolov5, 'yolov5/yolov5_x-p6-v62_syncbn_fast_8xb16-300e_coco', V5_P6),
        (translate_yolov5u, 'yolov5/yolov5u/yolov5u_x_syncbn_fast_8xb16-300e_coco', V5U),
        (translate_yolov8, 'yolov8/yolov8_x_syncbn_fast_8xb16-500e_coco', V8),
        (translate_yolov6, 'yolov6/yolov6_m_syncbn_fast_8xb32-300e_coco', official.YOLOV6_BEP3),
        (translate_yolov6, 'yolov6/yolov6_l_syncbn_fast_8xb32-300e_coco', official.YOLOV6_BEP3),
        (translate_yolov6_v3, 'yolov6/yolov6_v3_m_syncbn_fast_8xb32-300e_coco', official.YOLOV6_V3_BEP3),
        (translate_yolov6_v3, 'yolov6/yolov6_v3_l_syncbn_fast_8xb32-300e_coco', official.YOLOV6_V3_BEP3),
        (translator('yolov7.pt'), 'yolov7/yolov7_l_syncbn_fast_8x16b-300e_coco', official.yolov7('l')),
        (translator('yolov7x.pt'), 'yolov7/yolov7_x_syncbn_fast_8x16b-300e_coco', official.yolov7('x')),
        (translator('yolov7-w6.pt'), 'yolov7/yolov7_w-p6_syncbn_fast_8x16b-300e_coco', official.yolov7('w')),
        (translator('yolov7-e6.pt'), 'yolov7/yolov7_e-p6_syncbn_fast_8x16b-300e_coco', official.yolov7('e')),
        (translator('yolov7-e6e.pt'), 'yolov7/yolov7_e2e-p6_syncbn_fast_8x16b-300e_coco', official.yolov7('e2e')),
    ],
)
def test_names_of_large_models(translate, config, rename):
    state = {key: value for key, value in build(config).state_dict().items() if 'aux_convs' not in key}
    theirs = as_official(state, rename)
    found = translate(theirs)
    assert found.keys() == state.keys()
    for key, value in state.items():
        if not key.endswith('implicit'):
            assert found[key] is value, key
        assert found[key].shape == value.shape, key


def test_numbers_of_known_layers_of_yolov7():
    """First and last numbers of groups, as the authors' files count them."""
    for kind, layers in {
        'l': {
            3: 'backbone.stage1.0',
            13: 'backbone.stage2.0.maxpool_branches.1',
            37: 'backbone.stage3.1.final_conv',
            51: 'neck.reduce_layers.2',
            66: 'neck.reduce_layers.0',
            91: 'neck.downsample_layers.1.stride_conv_branches.0',
            101: 'neck.bottom_up_layers.1.final_conv',
            104: 'neck.out_layers.2',
            105: official.HEAD,
        },
        'x': {
            58: 'backbone.stage4.1.final_conv',
            59: 'neck.reduce_layers.2',
            120: 'neck.out_layers.2',
            121: official.HEAD,
        },
        'w': {1: 'backbone.stem.conv', 46: 'backbone.stage5.1.final_conv', 118: official.HEAD},
        'e': {2: 'backbone.stage1.0', 112: 'neck.downsample_layers.1', 140: official.HEAD},
        'e2e': {
            101: 'backbone.stage5.1.e_elan_blocks.1.short_conv',
            112: 'neck.reduce_layers.3',
            236: 'neck.bottom_up_layers.2.e_elan_blocks.0.short_conv',
            261: official.HEAD,
        },
    }.items():
        rename = official.yolov7(kind)
        for index, ours in layers.items():
            assert rename(f'{ours}.x').startswith(f'model.{index}.'), (kind, ours)


def write_pdparams(path, state, rename, **extra):
    arrays = {rename(key): value.numpy() for key, value in state.items() if not key.endswith('num_batches_tracked')}
    arrays['StructuredToParameterName@@'] = {key: f'conv2d_{index}.w_0' for index, key in enumerate(arrays)}
    path.write_bytes(pickle.dumps({**arrays, **extra}, protocol=2))
    return arrays


def test_ppyoloe(tmp_path):
    config = 'ppyoloe/ppyoloe_plus_s_fast_8xb8-80e_coco'
    model = build(config)
    wanted = unlike(model.state_dict())
    arrays = write_pdparams(
        tmp_path / 'theirs.pdparams',
        wanted,
        official.PPYOLOE,
        **{
            'yolo_head.anchor_points': np.zeros((9, 2)),
            'yolo_head.stride_tensor': np.zeros((9, 1)),
            'yolo_head.proj_conv.weight': np.zeros((1, 17, 1, 1)),
        },
    )
    assert {key: arrays[key].shape for key in KNOWN['ppyoloe']} == KNOWN['ppyoloe']
    found = convert(
        'ppyoloe_to_mmyolo',
        tmp_path / 'theirs.pdparams',
        tmp_path / 'ours.pth',
        '--config',
        ROOT / 'configs' / f'{config}.py',
    )
    check(found, wanted, model)


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_ppyoloe_backbone(prefix, tmp_path):
    config = 'ppyoloe/ppyoloe_s_fast_8xb32-300e_coco'
    model = build(config)
    wanted = {key: value for key, value in unlike(model.state_dict()).items() if key.startswith('backbone.')}
    write_pdparams(
        tmp_path / 'theirs.pdparams',
        wanted,
        lambda key: prefix + official.PPYOLOE(key).removeprefix('backbone.'),
        **{'fc.weight': np.zeros((4, 4)), 'StructuredToParameterName@@x': np.zeros(1)},
    )
    found = convert('ppyoloe_to_mmyolo', tmp_path / 'theirs.pdparams', tmp_path / 'ours.pth', '--imagenet-pretrain')
    backbone = {key.removeprefix('backbone.'): value for key, value in found['state_dict'].items()}
    model.backbone.load_state_dict(backbone, strict=True, assign=True)
    assert all(torch.equal(value, wanted[f'backbone.{key}']) for key, value in model.backbone.state_dict().items())


def test_rtmdet_of_mmdet_gives_the_same_maps(tmp_path):
    import mmdet

    theirs_cfg = Config.fromfile(
        Path(mmdet.__file__).parent / '.mim/configs/rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
    ).model
    theirs_cfg.backbone.init_cfg = None
    from mmdet.registry import MODELS as MMDET

    theirs = MMDET.build(dict(theirs_cfg, _scope_='mmdet')).eval()
    torch.manual_seed(0)
    for key, value in theirs.state_dict().items():
        if key.endswith('running_mean'):
            value.copy_(torch.randn(value.shape) * 0.1)
        elif key.endswith('running_var'):
            value.copy_(1 + torch.rand(value.shape))
    src, dst = tmp_path / 'theirs.pth', tmp_path / 'ours.pth'
    meta = {'epoch': 300, 'dataset_meta': {'classes': ('a', 'b')}, 'cfg': 'x = 1'}
    foreign = dict(meta, hook_msgs=HistoryBuffer(), palette=np.array([[1, 2, 3]]))
    torch.save({'meta': foreign, 'state_dict': {**theirs.state_dict(), 'data_preprocessor.mean': torch.zeros(3)}}, src)
    found = convert('rtmdet_to_mmyolo', src, dst)
    assert found['meta'] == dict(meta, palette=[[1, 2, 3]])
    ours = build('rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco', 'cpu').eval()
    ours.load_state_dict(found['state_dict'], strict=True)
    image = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        our_cls, our_bbox = ours(image, mode='tensor')[:2]
        their_cls, their_bbox = theirs(image, mode='tensor')
    for our, their in zip(our_cls, their_cls, strict=True):
        torch.testing.assert_close(our, their)
    for our, their, stride in zip(our_bbox, their_bbox, (8, 16, 32), strict=True):
        # mmdet's are in pixels
        assert torch.allclose(our, their, atol=1e-4) or torch.allclose(our * stride, their, atol=1e-3)


PICKLER = textwrap.dedent("""
    import sys, types
    import torch
    from torch import nn

    class Marks:  # what runs if such a file is read without care
        def __reduce__(self):
            return open, (sys.argv[1] + '/executed', 'w')

    def foreign(name, base=nn.Module):
        package = sys.modules.setdefault('models', types.ModuleType('models'))
        module = sys.modules.setdefault('models.common', types.ModuleType('models.common'))
        made = type(name, (base, ), {'__module__': 'models.common'})
        setattr(module, name, made)
        return made

    Conv, Model, Names = foreign('Conv'), foreign('DetectionModel'), foreign('Names', dict)

    def tree(state):
        root = Model()
        for key, value in state.items():
            *path, name = key.split('.')
            module = root
            for part in path:
                if part not in module._modules:
                    module.add_module(part, nn.BatchNorm2d(1) if part == 'bn' else Conv())
                module = module._modules[part]
                if part == 'bn':
                    module._parameters.pop(name, None), module._buffers.pop(name, None)
            if 'running' in name or 'num_batches' in name or 'anchor' in name:
                module.register_buffer(name, value)
            else:
                module.__dict__.pop(name, None)
                module.register_parameter(name, nn.Parameter(value))
        return root

    for file in sys.argv[2:]:
        state = torch.load(file)
        model = tree(state).half()
        model.names = {0: 'cat', 1: 'dog'}
        model.yaml = Names(depth=0.33)
        model.hook = Marks()
        model.register_buffer('fleeting', torch.zeros(1), persistent=False)
        other = tree({key: torch.zeros_like(value) for key, value in state.items()})
        content = dict(epoch=-1, best_fitness=None, ema=None, model=model, optimizer=None, date='2022-01-01')
        if 'yolov6' in file:
            content.update(ema=model, model=other)
        if 'yolov8' in file:
            torch.save(content, file, _use_new_zipfile_serialization=False)
        else:
            torch.save(content, file)
""")


@pytest.fixture(scope='module')
def pickled_models(tmp_path_factory):
    """Files of whole models whose classes exist in another process only."""
    folder = tmp_path_factory.mktemp('pickled')
    wanted = {}
    for family in ('yolov5', 'yolov6', 'yolov7-tiny', 'yolov8'):
        _, config, rename, extra = SMALL[family]
        wanted[family] = {
            key: value.half().float() if value.is_floating_point() else value
            for key, value in unlike(build(config).state_dict()).items()
        }
        torch.save(as_official(wanted[family], rename, extra), folder / f'{family}.pt')
    files = [str(folder / f'{family}.pt') for family in wanted]
    subprocess.run([sys.executable, '-c', PICKLER, str(folder), *files], check=True, timeout=120)
    (folder / 'executed').unlink(missing_ok=True)
    return folder, wanted


@pytest.mark.parametrize('family', ['yolov5', 'yolov6', 'yolov7-tiny', 'yolov8'])
def test_pickled_models_of_absent_classes(family, pickled_models, tmp_path):
    folder, wanted = pickled_models
    tool, config, *_ = SMALL[family]
    found = convert(tool, folder / f'{family}.pt', tmp_path / 'ours.pth')
    check(found, wanted[family], build(config))
    assert found['meta'] == {'epoch': -1, 'date': '2022-01-01', 'dataset_meta': {'classes': ('cat', 'dog')}}
    assert not (folder / 'executed').exists(), 'a call in the file was executed'


def test_what_stands_in_for_objects(pickled_models):
    folder, _ = pickled_models
    model = read_torch(folder / 'yolov5.pt')['model']
    assert isinstance(model, StandIn) and type(model).__module__ == 'models.common'
    assert isinstance(model.hook, StandIn) and type(model.hook).__name__ == 'open'
    assert not (folder / 'executed').exists()


def test_student_of_a_distillation(tmp_path, capsys):
    src = tmp_path / 'epoch_9.pth'
    weights = {'a.weight': torch.rand(2, 3), 'b.num_batches_tracked': torch.tensor(4)}
    state = {f'architecture.{key}': value for key, value in weights.items()}
    torch.save({'meta': {'epoch': 9}, 'state_dict': {**state, 'distiller.x': torch.rand(1)}, 'optimizer': {}}, src)
    main = load_tool('model_converters/convert_kd_ckpt_to_student').main
    main([str(src)])
    main([str(src), '--out-path', str(tmp_path / 'out')])
    main([str(src), '--inplace'])
    for path in (tmp_path / 'epoch_9_student.pth', tmp_path / 'out/epoch_9_student.pth', src):
        found = torch.load(path, weights_only=True)
        assert found['meta'] == {'epoch': 9}
        assert found['state_dict'].keys() == weights.keys()
        assert all(torch.equal(found['state_dict'][key], value) for key, value in weights.items())
    with pytest.raises(SystemExit, match='no weights that start with architecture'):
        main([str(src)])


KEYS = KeyMap('Net', [Place('model.1', 'a', [Rename(r'^\.cv', '.conv')]), Place('model.10', 'b')], [r'anchor'])


@pytest.mark.parametrize(
    'names, message',
    [
        (['model.1.cv1', 'model.10.x', 'model.2.x', 'head'], 'no place in it: model.2.x, head'),
        (['model.1.cv1', 'model.1.anchors'], 'no weights that start with model.10'),
        (['model.1.cv1', 'model.1.conv1', 'model.10.x'], 'model.1.conv1 and model.1.cv1 both are a.conv1'),
    ],
)
def test_files_of_another_model(names, message):
    with pytest.raises(ValueError, match=f'not of Net.*{message}|{message}.*not of Net'):
        place_keys({name: torch.zeros(1) for name in names}, KEYS)


def test_messages(tmp_path):
    """What the user reads, at the exit code of a failure."""
    state = unlike(build('yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco').state_dict())
    theirs = as_official(state, V5)
    good, dst = tmp_path / 'yolov5n.pt', tmp_path / 'ours.pth'
    torch.save({'model': theirs}, good)
    (tmp_path / 'text.pt').write_text('no checkpoint')
    (tmp_path / 'text.pdparams').write_bytes(pickle.dumps({'a': 'b'}))
    torch.save({'epoch': 3}, tmp_path / 'empty.pt')
    other = ROOT / 'configs/yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'
    for tool, args, message in [
        ('yolov5_to_mmyolo', ['--src', tmp_path / 'none.pt'], 'There is no file'),
        (
            'yolov5_to_mmyolo',
            ['--src', tmp_path / 'text.pt', '--dst', dst],
            'holds no weights that torch.save wrote; it is a text file',
        ),
        ('yolov5_to_mmyolo', ['--src', tmp_path / 'empty.pt', '--dst', dst], r"holds no weights.*\['epoch'\]"),
        ('yolov8_to_mmyolo', ['--src', good, '--dst', dst], 'not of YOLOv8: these weights have no place.*: model.10'),
        (
            'yolov5_to_mmyolo',
            ['--src', good, '--dst', dst, '--config', other],
            r'other shapes: backbone.stem.conv.weight \(16, 3, 6, 6\) instead of \(32, 3, 6, 6\)',
        ),
        ('yolov7_to_mmyolo', [good, dst], 'must be one of yolov7-tiny.pt.*yolov7-e6e.pt'),
        ('yolov7_to_mmyolo', [tmp_path / 'yolov7-d6.pt', dst], 'yolov7-d6 cannot be converted'),
        ('ppyoloe_to_mmyolo', ['--src', tmp_path / 'text.pdparams', '--dst', dst], 'holds no arrays'),
        ('ppyoloe_to_mmyolo', ['--src', tmp_path / 'text.pt', '--dst', dst], 'cannot be read as a .pdparams file'),
    ]:
        with pytest.raises(SystemExit, match=message) as error:
            load_tool(f'model_converters/{tool}').main([str(arg) for arg in args])
        assert error.value.code != 0 and not dst.exists()


@pytest.mark.slow
def test_as_a_user_starts_it(tmp_path):
    model = build(SMALL['yolov8'][1])
    wanted = unlike(model.state_dict())
    torch.save({'model': as_official(wanted, V8)}, tmp_path / 'yolov8n.pt')
    done = run_tool('model_converters/yolov8_to_mmyolo', '--src', 'yolov8n.pt', '--dst', 'out/ours.pth', cwd=tmp_path)
    assert 'out/ours.pth: 354 tensors' in done.stdout
    check(torch.load(tmp_path / 'out/ours.pth', weights_only=True), wanted, model)
